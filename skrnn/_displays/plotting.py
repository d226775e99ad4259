"""What the displays share: axes, styles, and the network at the end of a pipeline."""

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skrnn._base import BaseRecurrent


def import_pyplot(caller):
    """Return matplotlib.pyplot, or raise an error that names the extra.

    Parameters
    ----------
    caller : str
        What needs it.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib, which is not installed. Install it by "
            'pip install "skrnn[plot]".'
        ) from error
    return plt


def make_axes(display, ax):
    """Return axes to draw on, new ones for None."""
    plt = import_pyplot(f"{type(display).__name__}.plot")
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    return ax


def merge_style(defaults, given, kind):
    """Return keyword arguments of an artist; those given replace equal defaults.

    Parameters
    ----------
    defaults : dict

    given : dict or None
        With matplotlib's long or short names, as `color` or `c`.

    kind : {'Line2D', 'PolyCollection', 'Rectangle'}
        The artist.
    """
    from matplotlib import collections, lines, patches
    from matplotlib.cbook import normalize_kwargs

    kinds = {
        "Line2D": lines.Line2D,
        "PolyCollection": collections.PolyCollection,
        "Rectangle": patches.Rectangle,
    }
    return defaults | normalize_kwargs(given, kinds[kind])


def use_integer_ticks(ax):
    """Place ticks of a linear x axis at whole numbers."""
    from matplotlib.ticker import MaxNLocator

    locator = ax.xaxis.get_major_locator()
    if isinstance(locator, MaxNLocator):
        locator.set_params(integer=True)


def split_pipeline(estimator, X=None):
    """Return the last step of pipelines and searches, and the X that it receives."""
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, Pipeline):
            if X is not None and len(estimator) > 1:
                X = estimator[:-1].transform(X)
            estimator = estimator[-1]
        else:
            return estimator, X


def find_network(estimator, caller, X=None):
    """Return the network at the end of an estimator, and the X that it receives."""
    check_is_fitted(estimator)
    network, X = split_pipeline(estimator, X)
    if not isinstance(network, BaseRecurrent):
        raise TypeError(
            f"{caller} needs an estimator of skrnn, or a pipeline or search that ends "
            f"with one. Got {type(network).__name__}."
        )
    return network, X
