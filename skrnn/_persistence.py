"""`load_model`, and the names of classes that other formats may trust."""

from skrnn._classifier import BiRNNClassifier, RNNClassifier
from skrnn._regressor import RNNRegressor
from skrnn._saving.models import load_estimator

ESTIMATORS = {
    cls.__name__: cls for cls in (RNNRegressor, RNNClassifier, BiRNNClassifier)
}


def load_model(path):
    """Load a model that `save_model` wrote.

    Loading runs no code of the file and imports nothing by name: the file holds JSON
    and arrays, and a class is chosen from the three estimators. All sizes are compared
    with the arrays before a network is built, so that a file from an unknown source can
    at worst be refused, or predict badly.

    Parameters
    ----------
    path : str or path-like
        File of a model.

    Returns
    -------
    model : RNNRegressor, RNNClassifier or BiRNNClassifier
        The fitted estimator. It predicts, and continues training with `warm_start` or
        `partial_fit`, exactly as the one that was saved. If that was trained on a GPU
        and this machine has none, it is loaded to the CPU.

    Raises
    ------
    ValueError
        If the file is not one that `save_model` wrote: damaged, incomplete, changed, or
        written by a later version of skrnn in another format.

    OSError
        If the file cannot be read.

    See Also
    --------
    RNNRegressor.save_model : Writes the file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from skrnn import RNNRegressor, load_model
    >>> from skrnn.datasets import make_sine_waves
    >>> X, y = make_sine_waves(20, random_state=0)
    >>> model = RNNRegressor(hidden_size=4, max_epochs=2, random_state=0).fit(X, y)
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "waves.safetensors"
    ...     model.save_model(path)
    ...     loaded = load_model(path)
    >>> (loaded.predict(X) == model.predict(X)).all()
    np.True_
    """
    return load_estimator(path, ESTIMATORS)
