"""A picture of the losses of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import is_regressor

from skrnn._data.step_targets import unwrap_target
from skrnn._displays.plotting import (
    Axes,
    Figure,
    Line2D,
    SubFigure,
    find_network,
    make_axes,
    merge_style,
    use_integer_ticks,
)
from skrnn._typing import Estimator

LOSS_NAMES = {
    "squared_error": "Squared error",
    "absolute_error": "Absolute error",
    "huber": "Huber loss",
    "quantile": "Quantile loss",
}


class LossCurveDisplay:
    """Training and validation loss of each epoch.

    Create it by `from_estimator`; all parameters are stored as attributes.

    Parameters
    ----------
    train_losses : list of list of float
        Training loss of each epoch, a list for each member of an ensemble, or one.

    validation_losses : list of list of float or None, default=None
        Validation losses, likewise; one list may be the mean over folds.

    best_epochs : list of int or None, default=None
        Epochs whose weights early stopping restored, counted from 1; 0 is the linear
        model that training started from.

    loss_name : str or None, default=None
        Label of the y axis. None means 'Loss'.

    name : str or None, default=None
        Name of the estimator, for the legend.

    Attributes
    ----------
    train_lines_, validation_lines_ : lists of matplotlib lines
        A line for each list of losses.

    best_epoch_lines_ : list of matplotlib lines
        A vertical line at each best epoch.

    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    RNNRegressor : Has `loss_curve_`, `validation_loss_curve_` and `best_epoch_`.

    Examples
    --------
    >>> import numpy as np
    >>> from skrnn import LossCurveDisplay, RNNRegressor
    >>> X = np.random.default_rng(0).normal(size=(200, 6))
    >>> y = X[:, 0] * X[:, -1]
    >>> model = RNNRegressor(early_stopping=True, random_state=0).fit(X, y)
    >>> display = LossCurveDisplay.from_estimator(model)
    >>> display.ax_.get_xlabel()
    'Epoch'
    """

    train_lines_: list[Line2D]
    validation_lines_: list[Line2D]
    best_epoch_lines_: list[Line2D]
    ax_: Axes
    figure_: Figure | SubFigure

    def __init__(
        self,
        *,
        train_losses: Sequence[Sequence[float]],
        validation_losses: Sequence[Sequence[float]] | None = None,
        best_epochs: Sequence[int] | None = None,
        loss_name: str | None = None,
        name: str | None = None,
    ) -> None:
        self.train_losses = train_losses
        self.validation_losses = validation_losses
        self.best_epochs = best_epochs
        self.loss_name = loss_name
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        *,
        name: str | None = None,
        ax: Axes | None = None,
        train_kwargs: dict[str, Any] | None = None,
        validation_kwargs: dict[str, Any] | None = None,
        best_epoch_kwargs: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the losses of a fitted estimator.

        Parameters
        ----------
        estimator : estimator of skrnn, Pipeline or search
            Fitted. Of a search, the best estimator is shown. The validation losses of
            folds, see `early_stopping='auto'`, are their mean.

        name : str or None, default=None
            Name in the legend. None means the name of the class.

        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a figure.

        train_kwargs, validation_kwargs, best_epoch_kwargs : dict, default=None
            Keyword arguments of the lines.

        Returns
        -------
        display : LossCurveDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.

        TypeError
            If there is no network at its end.
        """
        network, _ = find_network(estimator, f"{cls.__name__}.from_estimator")
        members = network.members_ if len(network._nets()) > 1 else [network]
        validation: list[Any] = [member.validation_loss_curve_ for member in members]
        if validation[0] is None:
            validation = [network.validation_loss_curve_]  # of folds, or None
        best: list[Any] = [member.best_epoch_ for member in members]
        loss_name = "Log loss"
        if is_regressor(network):
            loss = unwrap_target(network._encoder.target).loss
            loss_name = f"{LOSS_NAMES[loss]}\n(standardised units of y)"
        display = cls(
            train_losses=[member.loss_curve_ for member in members],
            validation_losses=None if validation[0] is None else validation,
            best_epochs=None if best[0] is None else best,
            loss_name=loss_name,
            name=type(network).__name__ if name is None else name,
        )
        return display.plot(
            ax,
            train_kwargs=train_kwargs,
            validation_kwargs=validation_kwargs,
            best_epoch_kwargs=best_epoch_kwargs,
        )

    def plot(
        self,
        ax: Axes | None = None,
        *,
        name: str | None = None,
        train_kwargs: dict[str, Any] | None = None,
        validation_kwargs: dict[str, Any] | None = None,
        best_epoch_kwargs: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the losses.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a figure.

        name : str or None, default=None
            Name in the legend. None means the name of the display.

        train_kwargs, validation_kwargs, best_epoch_kwargs : dict, default=None
            Keyword arguments of the lines.

        Returns
        -------
        display : LossCurveDisplay
            This display.
        """
        ax = make_axes(self, ax)
        name = self.name if name is None else name
        prefix = "" if name is None else f"{name}, "
        self.train_lines_ = self._draw(
            ax, self.train_losses, f"{prefix}training", "tab:blue", train_kwargs
        )
        self.validation_lines_ = self._draw(
            ax,
            self.validation_losses,
            f"{prefix}validation",
            "tab:orange",
            validation_kwargs,
        )
        self.best_epoch_lines_ = self._mark_best(ax, prefix, best_epoch_kwargs)
        ax.set(xlabel="Epoch", ylabel=self.loss_name or "Loss")
        use_integer_ticks(ax)
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw(
        self,
        ax: Axes,
        losses: Sequence[Sequence[float]] | None,
        label: str,
        color: str,
        kwargs: dict[str, Any] | None,
    ) -> list[Line2D]:
        defaults: dict[str, Any]
        lines: list[Line2D] = []
        losses = losses or []
        for curve in losses:
            defaults = {"color": color, "label": None if lines else label}
            if len(losses) > 1:
                defaults |= {"alpha": 0.6, "linewidth": 1.0}
            if len(curve) == 1:  # a line of one point cannot be seen
                defaults["marker"] = "o"
            epochs = np.arange(1, len(curve) + 1)
            style = merge_style(defaults, kwargs, "Line2D")
            lines += ax.plot(epochs, curve, **style)
        return lines

    def _mark_best(
        self, ax: Axes, prefix: str, kwargs: dict[str, Any] | None
    ) -> list[Line2D]:
        defaults: dict[str, Any]
        lines: list[Line2D]
        best, lines = self.best_epochs or [], []
        for epoch in best:
            label = f"{prefix}best epochs"
            if len(best) == 1:
                start = ", the linear model" if epoch == 0 else ""
                label = f"{prefix}best epoch ({epoch}{start})"
            defaults = {"color": "gray", "linestyle": "--", "linewidth": 1.0}
            defaults["label"] = None if lines else label
            lines.append(ax.axvline(epoch, **merge_style(defaults, kwargs, "Line2D")))
        return lines
