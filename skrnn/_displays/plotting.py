"""What the displays share: axes, styles, and the network at the end of a pipeline."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skrnn._base import BaseRecurrent
from skrnn._typing import Estimator

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.container import BarContainer
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D
else:  # matplotlib is imported where a figure is drawn; annotations need the names
    Axes = BarContainer = Figure = Line2D = PolyCollection = SubFigure = Any


def import_pyplot(caller: str) -> ModuleType:
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


def make_axes(display: object, ax: Axes | None) -> Axes:
    """Return axes to draw on, new ones for None."""
    plt = import_pyplot(f"{type(display).__name__}.plot")
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    return ax


def merge_style(
    defaults: dict[str, Any],
    given: dict[str, Any] | None,
    kind: Literal["Line2D", "PolyCollection", "Rectangle"],
) -> dict[str, Any]:
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
    # matplotlib's annotation leaves out None, which it accepts.
    return defaults | normalize_kwargs(given, kinds[kind])  # type: ignore[arg-type]


def use_integer_ticks(ax: Axes) -> None:
    """Place ticks of a linear x axis at whole numbers."""
    from matplotlib.ticker import MaxNLocator

    locator = ax.xaxis.get_major_locator()
    if isinstance(locator, MaxNLocator):
        locator.set_params(integer=True)


def split_pipeline(estimator: Estimator, X: Any = None) -> tuple[Any, Any]:
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


def find_network(
    estimator: Estimator, caller: str, X: Any = None
) -> tuple[BaseRecurrent, Any]:
    """Return the network at the end of an estimator, and the X that it receives."""
    check_is_fitted(estimator)
    network, X = split_pipeline(estimator, X)
    if not isinstance(network, BaseRecurrent):
        raise TypeError(
            f"{caller} needs an estimator of skrnn, or a pipeline or search that ends "
            f"with one. Got {type(network).__name__}."
        )
    return network, X
