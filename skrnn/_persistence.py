"""`load_model`, and the names of classes that other formats may trust."""

from __future__ import annotations

from skrnn._base import BaseRecurrent
from skrnn._classifier import BiRNNClassifier, RNNClassifier
from skrnn._data.normalization import WindowNormalizer
from skrnn._data.samples import SampleEncoder
from skrnn._data.step_targets import StepwiseTarget
from skrnn._data.targets import (
    ClassTarget,
    MultilabelTarget,
    QuantileTarget,
    RegressionTarget,
)
from skrnn._nn.config import ModuleConfig
from skrnn._preprocessing.each_step import EachStep
from skrnn._preprocessing.to_sequences import ToSequences
from skrnn._preprocessing.tokens import TokenEncoder, TokenOneHotEncoder
from skrnn._preprocessing.windows import SlidingWindow
from skrnn._regressor import RNNRegressor
from skrnn._saving.models import load_estimator
from skrnn._training.config import TrainingConfig
from skrnn._typing import FilePath

ESTIMATORS = {
    cls.__name__: cls for cls in (RNNRegressor, RNNClassifier, BiRNNClassifier)
}
# The classes in models and transformers of skrnn, for `trusted` of `skops.io.load`.
# Their state is plain data, and none of them runs code that is in a file.
TRUSTED_TYPES = tuple(
    f"{cls.__module__}.{cls.__name__}"
    for cls in (
        *ESTIMATORS.values(),
        EachStep,
        SlidingWindow,
        ToSequences,
        TokenEncoder,
        TokenOneHotEncoder,
        ModuleConfig,
        TrainingConfig,
        SampleEncoder,
        WindowNormalizer,
        RegressionTarget,
        QuantileTarget,
        ClassTarget,
        MultilabelTarget,
        StepwiseTarget,
    )
)


def load_model(path: FilePath) -> BaseRecurrent:
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
    skrnn.RNNRegressor.save_model : Writes the file.

    Examples
    --------
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from tempfile import TemporaryDirectory
    >>> from skrnn import RNNRegressor, load_model
    >>> X = np.random.default_rng(0).normal(size=(20, 5))
    >>> y = X.sum(axis=1)
    >>> model = RNNRegressor(hidden_size=4, max_epochs=2, random_state=0).fit(X, y)
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "model.safetensors"
    ...     model.save_model(path)
    ...     loaded = load_model(path)
    >>> (loaded.predict(X) == model.predict(X)).all()
    np.True_
    """
    return load_estimator(path, ESTIMATORS)
