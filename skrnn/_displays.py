"""Pictures of training, of forecasts, and of the importance of time steps.

They follow the convention of scikit-learn's displays. matplotlib is imported when
something is plotted.
"""

from numbers import Integral, Real

import numpy as np
import pandas as pd
from sklearn.base import is_regressor
from sklearn.metrics import check_scoring
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skrnn._base import BaseRecurrent
from skrnn._data.sequences import FIXED, split_sequences
from skrnn._data.step_targets import unwrap_target
from skrnn._inference.forecasting import fed_back_columns

LOSS_NAMES = {
    "squared_error": "Squared error",
    "absolute_error": "Absolute error",
    "huber": "Huber loss",
    "quantile": "Quantile loss",
}


# -- what the displays share


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


# -- the losses of training


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

    def __init__(
        self,
        *,
        train_losses,
        validation_losses=None,
        best_epochs=None,
        loss_name=None,
        name=None,
    ):
        self.train_losses = train_losses
        self.validation_losses = validation_losses
        self.best_epochs = best_epochs
        self.loss_name = loss_name
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        *,
        name=None,
        ax=None,
        train_kwargs=None,
        validation_kwargs=None,
        best_epoch_kwargs=None,
    ):
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
        validation = [member.validation_loss_curve_ for member in members]
        if validation[0] is None:
            validation = [network.validation_loss_curve_]  # of folds, or None
        best = [member.best_epoch_ for member in members]
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
        ax=None,
        *,
        name=None,
        train_kwargs=None,
        validation_kwargs=None,
        best_epoch_kwargs=None,
    ):
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

    def _draw(self, ax, losses, label, color, kwargs):
        lines = []
        for curve in losses or []:
            defaults = {"color": color, "label": None if lines else label}
            if len(losses) > 1:
                defaults |= {"alpha": 0.6, "linewidth": 1.0}
            if len(curve) == 1:  # a line of one point cannot be seen
                defaults["marker"] = "o"
            epochs = np.arange(1, len(curve) + 1)
            style = merge_style(defaults, kwargs, "Line2D")
            lines += ax.plot(epochs, curve, **style)
        return lines

    def _mark_best(self, ax, prefix, kwargs):
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


# -- forecasts


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

    def __init__(
        self,
        *,
        y_pred,
        y_true=None,
        history=None,
        interval=None,
        interval_name=None,
        name=None,
    ):
        self.y_pred = y_pred
        self.y_true = y_true
        self.history = history
        self.interval = interval
        self.interval_name = interval_name
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        n_steps=None,
        future_features=None,
        interval="auto",
        n_std=2.0,
        output=None,
        history=None,
        index=None,
        name=None,
        ax=None,
        forecast_kwargs=None,
        truth_kwargs=None,
        history_kwargs=None,
        interval_kwargs=None,
    ):
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
            if index is None and _index_of(y) is None and len(X) > 1:
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
        y_true,
        y_pred,
        *,
        interval=None,
        interval_name=None,
        history=None,
        index=None,
        name=None,
        ax=None,
        forecast_kwargs=None,
        truth_kwargs=None,
        history_kwargs=None,
        interval_kwargs=None,
    ):
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
        ax=None,
        *,
        name=None,
        forecast_kwargs=None,
        truth_kwargs=None,
        history_kwargs=None,
        interval_kwargs=None,
    ):
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
        self.history_line_, self.truth_line_, self.forecast_line_ = lines
        ax.set(
            xlabel=self.y_pred.index.name or "Time",
            ylabel="y" if self.y_pred.name is None else self.y_pred.name,
        )
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _draw(self, ax, series, defaults, kwargs):
        if series is None:
            return None
        if len(series) == 1:  # a line of one point cannot be seen
            defaults["marker"] = "o"
        style = merge_style(defaults, kwargs, "Line2D")
        (line,) = ax.plot(_places(series), series.to_numpy(), **style)
        return line


class _Predictions:
    """What a regressor predicts of X."""

    def __init__(self, estimator, X):
        self.estimator, self.X = estimator, X
        self.network, self.inner_X = split_pipeline(estimator, X)

    def predict(self):
        return self.estimator.predict(self.X)

    def history(self, output):
        """Return None: what X holds need not be what is predicted."""

    def interval(self, kind, n_std, y_pred, output):
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

    def __init__(self, network, X, n_steps, future_features):
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

    def predict(self):
        return self.network.forecast(self.X, *self.arguments)

    def history(self, output):
        """Return the values of the feature that the forecast continues."""
        columns = fed_back_columns(self.network, self.sequences.n_features)
        values, _ = self.sequences.take(slice(None), np.float64)
        return values[0, :, columns[0 if output is None else output]]

    def interval(self, kind, n_std, y_pred, output):
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


def _check_kind(kind, n_std):
    if kind not in ("auto", "quantiles", "std", None):
        raise ValueError(
            f"interval must be 'auto', 'quantiles', 'std' or None. Got {kind!r}."
        )
    if not isinstance(n_std, Real) or not n_std > 0:
        raise ValueError(f"n_std must be a number above 0. Got {n_std!r}.")


def _is_ensemble(estimator):
    return isinstance(estimator, BaseRecurrent) and len(estimator._nets()) > 1


def _check_ensemble(estimator):
    if not _is_ensemble(estimator):
        raise ValueError(
            "interval='std' needs an ensemble, an RNNRegressor with n_members above 1. "
            f"Got {type(estimator).__name__}. Set interval=None, or fit an ensemble."
        )


def _levels(network):
    return unwrap_target(network._encoder.target).quantiles


def _around(y_pred, std, n_std):
    name = f"± {n_std:g} standard deviations of the members"
    return np.c_[y_pred - n_std * std, y_pred + n_std * std], name


def _one_series(values, output, name="The prediction"):
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


def _index_of(values):
    """Return the index of a Series or DataFrame, None of anything else."""
    return values.index if isinstance(values, (pd.Series, pd.DataFrame)) else None


def _check_1d(values, name):
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(
            f"{name} must be 1-D, with at least one value. Got shape {values.shape}."
        )
    return values


def _check_interval(interval, n):
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


def _continue(index, n):
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


def _places(values):
    """Return the index of a Series or DataFrame as matplotlib takes it."""
    if isinstance(values.index, pd.PeriodIndex):
        return values.index.to_timestamp()
    return values.index


# -- the importance of time steps


class TimeStepDisplay:
    """How much each time step matters to a network.

    Steps are counted from the end of a sequence: 0 is the last one. Create it by
    `from_estimator`; all parameters are stored as attributes.

    Parameters
    ----------
    steps : ndarray of shape (n_groups,)
        Place of each time step, or the centre of each group of steps, up to 0.

    importances : ndarray of shape (n_groups,)
        Importance of each.

    deviations : ndarray of shape (n_groups,) or None, default=None
        Standard deviations of the importances, drawn as error bars.

    width : int, default=1
        Number of time steps in a group.

    importance_name : str or None, default=None
        Label of the y axis. None means 'Importance'.

    name : str or None, default=None
        Name of the estimator, for the legend.

    Attributes
    ----------
    bars_ : matplotlib BarContainer
        A bar for each step or group.

    ax_ : matplotlib Axes
        The axes.

    figure_ : matplotlib Figure
        The figure.

    See Also
    --------
    RNNRegressor : Its `attention_weights` are those of each sequence.
    sklearn.inspection.permutation_importance : Importance of the columns of a table.

    Notes
    -----
    'permutation' is the permutation importance of Breiman, and the model reliance of
    Fisher, Rudin and Dominici, of a time step: the decrease of the score when the
    values of all features at that step are exchanged between sequences, at random. What
    a step tells about others stays in these, so that neighbours that are alike share
    their importance: join them by `width`. Of sequences that differ in length, those
    that have a step exchange it among themselves; the score is that of all sequences.

    'attention' is the mean over sequences of the weights of `pooling='attention'`. They
    tell which hidden states the output reads, and these also hold what came before: a
    weight is no proof that the input at a step matters, see Jain and Wallace.

    References
    ----------
    Breiman: Random forests. Machine Learning 45, 2001.

    Fisher, Rudin, Dominici: All models are wrong, but many are useful: learning a
    variable's importance by studying an entire class of prediction models
    simultaneously. Journal of Machine Learning Research 20, 2019.

    Jain, Wallace: Attention is not explanation. NAACL 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from skrnn import RNNRegressor, TimeStepDisplay
    >>> X = np.random.default_rng(0).normal(size=(200, 6))
    >>> y = X[:, 1] + 2 * X[:, -1]
    >>> model = RNNRegressor(random_state=0).fit(X, y)
    >>> display = TimeStepDisplay.from_estimator(model, X, y, random_state=0)
    >>> display.steps[np.argsort(display.importances)[-2:]]
    array([-4.,  0.])
    """

    def __init__(
        self,
        *,
        steps,
        importances,
        deviations=None,
        width=1,
        importance_name=None,
        name=None,
    ):
        self.steps = steps
        self.importances = importances
        self.deviations = deviations
        self.width = width
        self.importance_name = importance_name
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y=None,
        *,
        method="auto",
        scoring=None,
        n_repeats=5,
        width=None,
        random_state=None,
        name=None,
        ax=None,
        bar_kwargs=None,
    ):
        """Compute and draw the importance of each time step.

        Parameters
        ----------
        estimator : estimator of skrnn, Pipeline or search
            Fitted. Of a pipeline, the steps are those of the X that the network
            receives.

        X : array-like, DataFrame, or list of arrays
            Sequences, in any form that the estimator accepts; better not those that it
            was trained on.

        y : array-like, default=None
            Targets, which 'permutation' needs.

        method : {'auto', 'attention', 'permutation'}, default='auto'
            What importance is, see Notes. 'auto' means 'attention' if the network was
            fitted with `pooling='attention'`, and otherwise 'permutation'.

        scoring : str, callable or None, default=None
            Score whose decrease 'permutation' computes, as in `cross_val_score`. None
            means the `score` of the network: R squared or accuracy.

        n_repeats : int, default=5
            How often 'permutation' exchanges each step. The cost is as many predictions
            of X for each step.

        width : int or None, default=None
            Number of consecutive steps that 'permutation' exchanges together. None
            means the `patch_size_` of the network.

        random_state : int, RandomState instance or None, default=None
            Controls which sequences exchange their steps.

        name : str or None, default=None
            Name in the legend. None means the name of the class.

        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a figure.

        bar_kwargs : dict, default=None
            Keyword arguments of `bar`.

        Returns
        -------
        display : TimeStepDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.

        TypeError
            If there is no network at its end.

        ValueError
            If the network cannot say what `method` asks for, or if y is missing.
        """
        caller = f"{cls.__name__}.from_estimator"
        import_pyplot(caller)
        network, X = find_network(estimator, caller, X)
        if method not in ("auto", "attention", "permutation"):
            raise ValueError(
                f"method must be 'auto', 'attention' or 'permutation'. Got {method!r}."
            )
        if method == "auto":
            has_weights = network.pooling_ == "attention"
            method = "attention" if has_weights else "permutation"
        if method == "attention":
            if network.pooling_ != "attention":
                raise ValueError(
                    "method='attention' needs a network with pooling='attention'. Got "
                    f"pooling={network.pooling_!r}. Use method='permutation'."
                )
            width = network.patch_size_
            importances, deviations = mean_attention(network, X)
            importance_name = "Mean attention weight"
        else:
            if y is None:
                raise ValueError(
                    "y must be passed for method='permutation', which computes the "
                    "decrease of a score. Got None."
                )
            width = network.patch_size_ if width is None else width
            for number, of in ((width, "width"), (n_repeats, "n_repeats")):
                if not isinstance(number, Integral) or number < 1:
                    raise ValueError(
                        f"{of} must be an int from 1 upwards. Got {number!r}."
                    )
            scores = permutation_decreases(
                network, X, y, scoring, n_repeats, width, random_state
            )
            importances, deviations = scores.mean(axis=1), scores.std(axis=1)
            score_name = scoring if isinstance(scoring, str) else "score"
            if scoring is None:
                score_name = "R squared" if is_regressor(network) else "accuracy"
            importance_name = f"Decrease of {score_name.replace('_', ' ')}"
        n_groups = len(importances)
        last = np.arange(n_groups - 1, -1, -1) * width
        display = cls(
            steps=(1 - width) / 2 - last,
            importances=importances,
            deviations=deviations,
            width=width,
            importance_name=importance_name,
            name=type(network).__name__ if name is None else name,
        )
        return display.plot(ax, bar_kwargs=bar_kwargs)

    def plot(self, ax=None, *, name=None, bar_kwargs=None):
        """Draw the importances.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. None makes a figure.

        name : str or None, default=None
            Name in the legend. None means the name of the display.

        bar_kwargs : dict, default=None
            Keyword arguments of `bar`.

        Returns
        -------
        display : TimeStepDisplay
            This display.
        """
        ax = make_axes(self, ax)
        name = self.name if name is None else name
        defaults = {"color": "tab:blue", "width": 0.8 * self.width, "label": name}
        style = merge_style(defaults, bar_kwargs, "Rectangle")
        self.bars_ = ax.bar(
            self.steps,
            self.importances,
            yerr=self.deviations,
            error_kw={"elinewidth": 1.0, "ecolor": "gray"},
            **style,
        )
        ax.set(
            xlabel="Time step, counted from the last",
            ylabel=self.importance_name or "Importance",
        )
        use_integer_ticks(ax)
        if name is not None:
            ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self


def mean_attention(network, X):
    """Return the mean and the deviation of attention weights, oldest step first.

    Parameters
    ----------
    network : BaseRecurrent
        Of an ensemble, the weights of the members are averaged.

    X : array-like
        Sequences; those that differ in length are aligned at their ends.

    Returns
    -------
    mean, deviation : ndarrays of shape (n_steps,)
        Over the sequences that have a step.
    """
    of_members = [
        [np.asarray(row) for row in member.attention_weights(X)]
        for member in network.members_
    ]
    rows = [np.mean(row, axis=0) for row in zip(*of_members, strict=True)]
    longest = max(map(len, rows))
    table = np.full((len(rows), longest), np.nan)
    for cells, row in zip(table, rows, strict=True):
        cells[longest - len(row) :] = row
    return np.nanmean(table, axis=0), np.nanstd(table, axis=0)


def permutation_decreases(network, X, y, scoring, n_repeats, width, random_state):
    """Return the decrease of a score when steps are exchanged between sequences.

    Parameters
    ----------
    network : BaseRecurrent

    X, y : array-like
        Sequences and targets.

    scoring : str, callable or None
        As in `cross_val_score`.

    n_repeats, width : int
        See `TimeStepDisplay.from_estimator`.

    random_state : int, RandomState instance or None

    Returns
    -------
    decreases : ndarray of shape (n_groups, n_repeats)
        Of the oldest group of steps first.
    """
    rng, score = check_random_state(random_state), check_scoring(network, scoring)
    steps = _Steps(network, X)
    baseline = score(network, steps.as_X(steps.values), y)
    n_groups = -(-int(steps.lengths.max()) // width)
    decreases = np.empty((n_groups, n_repeats))
    for group in range(n_groups):
        for repeat in range(n_repeats):
            values = steps.permute(group * width, width, rng)
            decreases[-1 - group, repeat] = baseline - score(
                network, steps.as_X(values), y
            )
    return decreases


class _Steps:
    """The time steps of X end to end, and X with other values."""

    def __init__(self, network, X):
        sequences = network._check_X(X)
        self.is_fixed = network._input_kind == FIXED
        self.lengths = sequences.n_steps()
        self.padded = sequences.padded_steps  # of token ids
        if self.padded is None:
            self.padded = self.lengths
        self.is_rectangular = self.is_fixed or not sequences.ragged
        self.values = sequences.values.reshape(-1, sequences.n_features)
        self.ends = np.cumsum(self.lengths)

    def permute(self, first, width, rng):
        """Return values with some steps, counted from the end, exchanged."""
        values = self.values.copy()
        counts = np.clip(self.lengths - first, 0, width)
        for count in np.unique(counts[counts > 0]):
            rows = np.flatnonzero(counts == count)
            steps = first + 1 + np.arange(count)
            places = self.ends[rows][:, None] - steps
            values[places] = self.values[places[rng.permutation(len(rows))]]
        return values

    def as_X(self, values):
        """Return X with these values, in a form that the network accepts."""
        pieces = split_sequences(values, self.lengths)
        for i in np.flatnonzero(self.padded > self.lengths):
            gap = np.zeros((self.padded[i] - self.lengths[i], 1), values.dtype)
            pieces[i] = np.concatenate([pieces[i], gap])
        return np.stack(list(pieces)) if self.is_rectangular else pieces
