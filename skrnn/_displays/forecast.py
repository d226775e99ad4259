"""A picture of a forecast, beside what came before and what came true."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skrnn._base import BaseRecurrent
from skrnn._data.step_targets import unwrap_target
from skrnn._displays.plotting import (
    Axes,
    Figure,
    Line2D,
    PolyCollection,
    SubFigure,
    find_network,
    import_pyplot,
    make_axes,
    merge_style,
    split_pipeline,
)
from skrnn._inference.forecasting import fed_back_columns
from skrnn._typing import (
    AnyArray,
    ArrayLike,
    Estimator,
    SequencesLike,
    TargetsLike,
)


class ForecastDisplay:
    """A forecast, with what came before, what came, and an interval.

    Create it by `from_estimator` or `from_predictions`; all parameters are stored as
    attributes.

    Parameters
    ----------
    y_pred : Series
        Predictions; the index is their place on the x axis.

    y_true : Series or None, default=None
        What was observed at these places.

    history : Series or None, default=None
        What was observed before.

    interval : DataFrame or None, default=None
        Lower and upper bounds of the predictions, in two columns.

    interval_name : str or None, default=None
        Name of the interval, for the legend.

    name : str or None, default=None
        Name of the forecast, for the legend.

    Attributes
    ----------
    forecast_line_ : matplotlib line
        The predictions.

    truth_line_, history_line_ : matplotlib line or None
        What was observed.

    interval_ : matplotlib PolyCollection or None
        The area between the bounds.

    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    RNNRegressor : Its `forecast`, `predict` and `predict_quantiles` make forecasts.

    Examples
    --------
    >>> import numpy as np
    >>> from skrnn import ForecastDisplay, RNNRegressor, make_windows
    >>> wave = np.sin(np.arange(120) / 5)
    >>> X, y = make_windows(wave[:100, None], window_size=20)
    >>> model = RNNRegressor(random_state=0).fit(X, y.ravel())
    >>> display = ForecastDisplay.from_estimator(
    ...     model, wave[None, 80:100, None], wave[100:], n_steps=20
    ... )
    >>> display.y_pred.shape
    (20,)
    """

    forecast_line_: Line2D
    truth_line_: Line2D | None
    history_line_: Line2D | None
    interval_: PolyCollection | None
    ax_: Axes
    figure_: Figure | SubFigure

    def __init__(
        self,
        *,
        y_pred: pd.Series,
        y_true: pd.Series | None = None,
        history: pd.Series | None = None,
        interval: pd.DataFrame | None = None,
        interval_name: str | None = None,
        name: str | None = None,
    ) -> None:
        self.y_pred = y_pred
        self.y_true = y_true
        self.history = history
        self.interval = interval
        self.interval_name = interval_name
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        X: SequencesLike,
        y: TargetsLike | None = None,
        *,
        n_steps: int | None = None,
        future_features: ArrayLike | None = None,
        interval: Literal["auto", "quantiles", "std"] | None = "auto",
        n_std: float = 2.0,
        output: int | None = None,
        history: ArrayLike | pd.Series | None = None,
        index: ArrayLike | pd.Index | None = None,
        name: str | None = None,
        ax: Axes | None = None,
        forecast_kwargs: dict[str, Any] | None = None,
        truth_kwargs: dict[str, Any] | None = None,
        history_kwargs: dict[str, Any] | None = None,
        interval_kwargs: dict[str, Any] | None = None,
    ) -> Self:
        """Draw a forecast of a fitted regressor.

        Parameters
        ----------
        estimator : regressor
            Fitted; for intervals and `n_steps` an `RNNRegressor`, or a pipeline or
            search that ends with one.

        X : array-like, DataFrame, or list of arrays
            What the estimator predicts from. Without `n_steps`: rows that follow each
            other in time, with one prediction each; or a single sequence whose outputs
            follow each other in time, as those of a direct forecast. With `n_steps`: a
            single sequence.

        y : array-like, default=None
            What was observed, for the same times as the predictions.

        n_steps : int or None, default=None
            Number of steps of a recursive forecast. None predicts X.

        future_features : array-like, default=None
            With `n_steps`, see `RNNRegressor.forecast`.

        interval : {'auto', 'quantiles', 'std'} or None, default='auto'
            'quantiles' draws the area between the lowest and the highest quantile of
            `loss='quantile'`; not with `n_steps`, where quantiles are not known. 'std'
            draws `n_std` standard deviations of the members of an ensemble around the
            prediction; with `n_steps`, of the members' own forecasts. 'auto' draws the
            first of these that the estimator has, and None none.

        n_std : float, default=2.0
            Standard deviations on each side.

        output : int or None, default=None
            Which output to draw, if the estimator has several for each time.

        history : array-like or Series, default=None
            What was observed before. None means the values of the predicted feature in
            X with `n_steps`, and otherwise nothing.

        index : array-like, default=None
            Times of the predictions, such as dates. None means the index of y, if it
            is a Series or DataFrame; else that of X, if it is a DataFrame with a row
            for each prediction; else times that continue the index of `history`; else
            numbers.

        name : str or None, default=None
            Name in the legend. None means the name of the class.

        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a figure.

        forecast_kwargs, truth_kwargs, history_kwargs : dict, default=None
            Keyword arguments of the lines.

        interval_kwargs : dict, default=None
            Keyword arguments of `fill_between`.

        Returns
        -------
        display : ForecastDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.

        ValueError
            If the estimator has no such interval, or if the predictions are no single
            series.
        """
        check_is_fitted(estimator)
        if n_steps is not None:
            network, X = find_network(estimator, f"{cls.__name__} with n_steps", X)
            source = _RecursiveForecast(network, X, n_steps, future_features)
        else:
            source = _Predictions(estimator, X)
            # mypy counts numbers among the array-likes.
            if index is None and _index_of(y) is None and len(X) > 1:  # type: ignore[arg-type]
                index = _index_of(X)
        y_pred = _one_series(source.predict(), output)
        if history is None:
            history = source.history(output)
        bounds, interval_name = source.interval(interval, n_std, y_pred, output)
        if y is not None and not isinstance(y, pd.Series):
            y_index = _index_of(y)
            y = _one_series(y, output, "y")
            if y_index is not None and len(y_index) == len(y):
                y = pd.Series(y, y_index)
        return cls.from_predictions(
            y,
            y_pred,
            interval=bounds,
            interval_name=interval_name,
            history=history,
            index=index,
            name=type(split_pipeline(estimator)[0]).__name__ if name is None else name,
            ax=ax,
            forecast_kwargs=forecast_kwargs,
            truth_kwargs=truth_kwargs,
            history_kwargs=history_kwargs,
            interval_kwargs=interval_kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike | pd.Series | None,
        y_pred: ArrayLike | pd.Series,
        *,
        interval: ArrayLike | pd.DataFrame | None = None,
        interval_name: str | None = None,
        history: ArrayLike | pd.Series | None = None,
        index: ArrayLike | pd.Index | None = None,
        name: str | None = None,
        ax: Axes | None = None,
        forecast_kwargs: dict[str, Any] | None = None,
        truth_kwargs: dict[str, Any] | None = None,
        history_kwargs: dict[str, Any] | None = None,
        interval_kwargs: dict[str, Any] | None = None,
    ) -> Self:
        """Draw predictions that follow each other in time.

        Parameters
        ----------
        y_true : array-like of shape (n_predictions,) or None
            What was observed; None if that is not known yet.

        y_pred : array-like of shape (n_predictions,)
            The predictions.

        interval : array-like of shape (n_predictions, 2), default=None
            Lower and upper bounds of the predictions.

        interval_name : str or None, default=None
            Name of the interval in the legend. None means 'interval'.

        history : array-like of shape (n_before,), default=None
            What was observed before.

        index : array-like of shape (n_predictions,), default=None
            Times of the predictions, such as dates. None means the index of `y_true`
            or `y_pred`, if one is a Series; else times that continue the index of
            `history`; else numbers.

        name : str or None, default=None
            Name in the legend. None means 'forecast'.

        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a figure.

        forecast_kwargs, truth_kwargs, history_kwargs : dict, default=None
            Keyword arguments of the lines.

        interval_kwargs : dict, default=None
            Keyword arguments of `fill_between`.

        Returns
        -------
        display : ForecastDisplay

        Raises
        ------
        ValueError
            If the parts differ in length, or if the times do not follow from the index
            of `history`.
        """
        import_pyplot(f"{cls.__name__}.from_predictions")
        label = getattr(y_true, "name", None) or getattr(history, "name", None)
        for series in (y_true, y_pred):
            if index is None and isinstance(series, pd.Series):
                index = series.index
        y_pred = _check_1d(y_pred, "y_pred")
        history_index = _index_of(history)
        if history is not None:
            history = _check_1d(history, "history")
        if index is not None:
            index = pd.Index(index)
            check_consistent_length(y_pred, index)
        elif history_index is not None:
            index = _continue(history_index, len(y_pred))
        else:
            first = 0 if history is None else len(history)
            index = pd.RangeIndex(first, first + len(y_pred))
        if history is not None and history_index is None:
            history_index = _continue(index, -len(history))
        if y_true is not None:
            y_true = _check_1d(y_true, "y_true")
            check_consistent_length(y_true, y_pred)
            y_true = pd.Series(y_true, index, name=label)
        if history is not None:
            history = pd.Series(history, history_index, name=label)
        if interval is not None:
            interval = pd.DataFrame(
                _check_interval(interval, len(y_pred)), index, ["lower", "upper"]
            )
        display = cls(
            y_pred=pd.Series(y_pred, index, name=label),
            y_true=y_true,
            history=history,
            interval=interval,
            interval_name=interval_name,
            name=name,
        )
        return display.plot(
            ax,
            forecast_kwargs=forecast_kwargs,
            truth_kwargs=truth_kwargs,
            history_kwargs=history_kwargs,
            interval_kwargs=interval_kwargs,
        )

    def plot(
        self,
        ax: Axes | None = None,
        *,
        name: str | None = None,
        forecast_kwargs: dict[str, Any] | None = None,
        truth_kwargs: dict[str, Any] | None = None,
        history_kwargs: dict[str, Any] | None = None,
        interval_kwargs: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the forecast.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a figure.

        name : str or None, default=None
            Name in the legend. None means the name of the display.

        forecast_kwargs, truth_kwargs, history_kwargs : dict, default=None
            Keyword arguments of the lines.

        interval_kwargs : dict, default=None
            Keyword arguments of `fill_between`.

        Returns
        -------
        display : ForecastDisplay
            This display.
        """
        ax = make_axes(self, ax)
        name = self.name if name is None else name
        self.interval_ = None
        if self.interval is not None:
            defaults = {
                "color": "tab:blue",
                "alpha": 0.25,
                "linewidth": 0.0,
                "label": self.interval_name or "interval",
            }
            self.interval_ = ax.fill_between(
                _places(self.interval),
                self.interval["lower"],
                self.interval["upper"],
                **merge_style(defaults, interval_kwargs, "PolyCollection"),
            )
        lines = [
            self._draw(ax, series, defaults, kwargs)
            for series, defaults, kwargs in (
                (self.history, {"color": "gray", "label": "history"}, history_kwargs),
                (self.y_true, {"color": "black", "label": "observed"}, truth_kwargs),
                (
                    self.y_pred,
                    {"color": "tab:blue", "label": name or "forecast"},
                    forecast_kwargs,
                ),
            )
        ]
        # The last is a line, as there are always predictions.
        self.history_line_, self.truth_line_, self.forecast_line_ = lines  # type: ignore[assignment]
        ax.set(
            xlabel=self.y_pred.index.name or "Time",
            ylabel="y" if self.y_pred.name is None else self.y_pred.name,
        )
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw(
        self,
        ax: Axes,
        series: pd.Series | None,
        defaults: dict[str, Any],
        kwargs: dict[str, Any] | None,
    ) -> Line2D | None:
        if series is None:
            return None
        if len(series) == 1:  # a line of one point cannot be seen
            defaults["marker"] = "o"
        style = merge_style(defaults, kwargs, "Line2D")
        (line,) = ax.plot(_places(series), series.to_numpy(), **style)
        return line


class _Predictions:
    """What a regressor predicts of X."""

    def __init__(self, estimator: Estimator, X: Any) -> None:
        self.estimator, self.X = estimator, X
        self.network, self.inner_X = split_pipeline(estimator, X)

    def predict(self) -> AnyArray:
        return self.estimator.predict(self.X)

    def history(self, output: int | None) -> None:
        """Return None: what X holds need not be what is predicted."""

    def interval(
        self, kind: str | None, n_std: float, y_pred: AnyArray, output: int | None
    ) -> tuple[AnyArray | None, str | None]:
        """Return the bounds `(n_predictions, 2)`, and the name of the interval."""
        _check_kind(kind, n_std)
        has_quantiles = hasattr(self.network, "predict_quantiles")
        if kind == "auto":
            if has_quantiles and len(_levels(self.network)) > 1:
                kind = "quantiles"
            else:
                kind = "std" if _is_ensemble(self.network) else None
        if kind is None:
            return None, None
        if kind == "quantiles":
            if not has_quantiles or len(_levels(self.network)) < 2:
                raise ValueError(
                    "interval='quantiles' needs a network with loss='quantile' and at "
                    f"least two quantiles. Got {type(self.network).__name__} without. "
                    "Set interval=None, or fit one."
                )
            quantiles = self.network.predict_quantiles(self.inner_X)
            levels = _levels(self.network)
            if quantiles.dtype == object:
                (quantiles,) = quantiles
                quantiles = quantiles[None]
            bounds = [_one_series(quantiles[..., place], output) for place in (0, -1)]
            return np.c_[*bounds], f"quantiles {levels[0]:g} to {levels[-1]:g}"
        _check_ensemble(self.network)
        _, std = self.estimator.predict(self.X, return_std=True)
        return _around(y_pred, _one_series(std, output), n_std)


class _RecursiveForecast:
    """A recursive forecast from the end of one sequence."""

    def __init__(
        self,
        network: Estimator,
        X: Any,
        n_steps: int,
        future_features: ArrayLike | None,
    ) -> None:
        if not hasattr(network, "forecast"):
            raise TypeError(
                "ForecastDisplay with n_steps needs a regressor. Got "
                f"{type(network).__name__}."
            )
        self.network, self.X = network, X
        self.arguments = n_steps, future_features
        self.sequences = network._check_X(X)
        if len(self.sequences) != 1:
            raise ValueError(
                "X must hold one sequence with n_steps. Got "
                f"{len(self.sequences)}. Pass the last one, for example X[-1:]."
            )

    def predict(self) -> AnyArray:
        return self.network.forecast(self.X, *self.arguments)

    def history(self, output: int | None) -> AnyArray:
        """Return the values of the feature that the forecast continues."""
        columns = fed_back_columns(self.network, self.sequences.n_features)
        values, _ = self.sequences.take(slice(None), np.float64)
        return values[0, :, columns[0 if output is None else output]]

    def interval(
        self, kind: str | None, n_std: float, y_pred: AnyArray, output: int | None
    ) -> tuple[AnyArray | None, str | None]:
        """Return the bounds `(n_predictions, 2)`, and the name of the interval."""
        _check_kind(kind, n_std)
        if kind == "quantiles":
            raise ValueError(
                "interval must not be 'quantiles' with n_steps: each step follows from "
                "the median of the step before, whose errors no quantile knows. Set "
                "interval=None, or draw a direct forecast."
            )
        if kind == "auto" and not _is_ensemble(self.network):
            kind = None
        if kind is None:
            return None, None
        _check_ensemble(self.network)
        forecasts = [
            _one_series(member.forecast(self.X, *self.arguments), output)
            for member in self.network.members_
        ]
        return _around(y_pred, np.std(forecasts, axis=0), n_std)


def _check_kind(kind: str | None, n_std: float) -> None:
    if kind not in ("auto", "quantiles", "std", None):
        raise ValueError(
            f"interval must be 'auto', 'quantiles', 'std' or None. Got {kind!r}."
        )
    if not isinstance(n_std, Real) or not n_std > 0:
        raise ValueError(f"n_std must be a number above 0. Got {n_std!r}.")


def _is_ensemble(estimator: Estimator) -> bool:
    return isinstance(estimator, BaseRecurrent) and len(estimator._nets()) > 1


def _check_ensemble(estimator: Estimator) -> None:
    if not _is_ensemble(estimator):
        raise ValueError(
            "interval='std' needs an ensemble, an RNNRegressor with n_members above 1. "
            f"Got {type(estimator).__name__}. Set interval=None, or fit an ensemble."
        )


def _levels(network: Estimator) -> tuple[float, ...]:
    return unwrap_target(network._encoder.target).quantiles


def _around(y_pred: AnyArray, std: AnyArray, n_std: float) -> tuple[AnyArray, str]:
    name = f"± {n_std:g} standard deviations of the members"
    return np.c_[y_pred - n_std * std, y_pred + n_std * std], name


def _one_series(
    values: Any, output: int | None, name: str = "The prediction"
) -> AnyArray:
    """Return values that follow each other in time as a 1-D array."""
    values = np.asarray(values)
    if values.dtype == object and len(values) == 1:  # of one ragged sequence
        values = np.asarray(values[0])[None]
    if values.ndim > 1 and len(values) == 1:
        values = values[0]
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2 and output is not None:
        is_valid = isinstance(output, Integral) and 0 <= output < values.shape[1]
        if not is_valid:
            raise ValueError(
                f"output must be an int from 0 to {values.shape[1] - 1}. Got "
                f"{output!r}."
            )
        return values[:, output]
    if values.ndim != 1 or values.dtype == object:
        raise ValueError(
            f"{name} must be one series: a number for each row of X, or a row of "
            f"numbers. Got shape {values.shape}. Name the output to draw by output, or "
            "pass a single row of X."
        )
    return values


def _index_of(values: object) -> pd.Index | None:
    """Return the index of a Series or DataFrame, None of anything else."""
    return values.index if isinstance(values, (pd.Series, pd.DataFrame)) else None


def _check_1d(values: Any, name: str) -> AnyArray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(
            f"{name} must be 1-D, with at least one value. Got shape {values.shape}."
        )
    return values


def _check_interval(interval: Any, n: int) -> AnyArray:
    interval = np.asarray(interval, dtype=np.float64)
    if interval.shape != (n, 2):
        raise ValueError(
            f"interval must have shape ({n}, 2), a lower and an upper bound for each "
            f"prediction. Got shape {interval.shape}."
        )
    if (interval[:, 0] > interval[:, 1]).any():
        raise ValueError(
            "interval must hold the lower bounds in the first column. Got "
            f"{(interval[:, 0] > interval[:, 1]).sum()} rows with a lower bound above "
            "the upper one. Swap the columns."
        )
    return interval


def _continue(index: pd.Index, n: int) -> pd.Index:
    """Return n times after the end of an index, or -n before its start."""
    if isinstance(index, pd.PeriodIndex):
        step = index.freq
    elif isinstance(index, pd.DatetimeIndex):
        step = index.freq
        if step is None and len(index) > 2:
            name = pd.infer_freq(index)
            step = None if name is None else pd.tseries.frequencies.to_offset(name)
    elif pd.api.types.is_numeric_dtype(index):
        step = index[-1] - index[-2] if len(index) > 1 else 1
    else:
        step = None
    if step is None:
        raise ValueError(
            "The times must follow from those that are known, which needs dates of a "
            f"regular frequency, or numbers. Got {type(index).__name__} of dtype "
            f"{index.dtype}. Pass index, and history as a Series."
        )
    counts = np.arange(1, n + 1) if n > 0 else np.arange(n, 0)
    start = index[-1] if n > 0 else index[0]
    return pd.Index([start + int(count) * step for count in counts], name=index.name)


def _places(values: pd.Series | pd.DataFrame) -> pd.Index:
    """Return the index of a Series or DataFrame as matplotlib takes it."""
    if isinstance(values.index, pd.PeriodIndex):
        return values.index.to_timestamp()
    return values.index
