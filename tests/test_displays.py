"""Pictures: the data that they draw, labels, axes that are passed, and errors."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from clients import INPUTS, LENGTHS, N_ROWS, N_STEPS, NUMBERS, VALUES, WORDS, small
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_architecture import HIDE_OPTIONAL

from skrnn import (
    EachStep,
    ForecastDisplay,
    LossCurveDisplay,
    RNNClassifier,
    RNNRegressor,
    SlidingWindow,
    TimeStepDisplay,
    make_windows,
)

pytest.importorskip("matplotlib")

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

LAGS = VALUES[:, :, 0]
ALONE = dict(ar_order=0, early_stopping=False)
WAVE = np.sin(np.arange(60) / 4)
WINDOWS, NEXT = make_windows(WAVE[:50, None], window_size=8)
MONTHS = pd.Series(
    WAVE, pd.date_range("2020-01-01", periods=60, freq="MS", name="month"), name="level"
)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def labels_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def assert_line(line, x, y):
    assert_array_equal(np.asarray(line.get_xdata()), np.asarray(x))
    assert_array_equal(line.get_ydata(), y)


def bounds_of(polygons):
    """Return the bounds of the area that `fill_between` drew, by their places."""
    found = {}
    for x, y in polygons.get_paths()[0].vertices:
        found.setdefault(x, set()).add(y)
    places = sorted(found)
    return places, [min(found[x]) for x in places], [max(found[x]) for x in places]


def forecaster(**params):
    return RNNRegressor(4, max_epochs=2, random_state=0, **params)


# -- the losses of training


def test_loss_curves_are_those_of_the_estimator():
    model = small(early_stopping=True, max_epochs=5, **{"ar_order": 0})
    model.fit(LAGS, NUMBERS)
    display = LossCurveDisplay.from_estimator(model)

    epochs = np.arange(1, model.n_iter_ + 1)
    (train,), (validation,) = display.train_lines_, display.validation_lines_
    assert_line(train, epochs, model.loss_curve_)
    assert_line(validation, epochs, model.validation_loss_curve_)
    (best,) = display.best_epoch_lines_
    assert list(best.get_xdata()) == [model.best_epoch_] * 2
    assert display.ax_.get_xlabel() == "Epoch"
    assert display.ax_.get_ylabel() == "Squared error\n(standardised units of y)"
    assert labels_of(display.ax_) == [
        "RNNRegressor, training",
        "RNNRegressor, validation",
        f"RNNRegressor, best epoch ({model.best_epoch_})",
    ]
    assert display.figure_ is display.ax_.figure


@pytest.mark.parametrize(
    ("loss", "label"),
    [
        ("absolute_error", "Absolute error\n(standardised units of y)"),
        ("huber", "Huber loss\n(standardised units of y)"),
        ("quantile", "Quantile loss\n(standardised units of y)"),
    ],
)
def test_the_axis_names_the_loss(loss, label):
    model = small(loss=loss, **ALONE).fit(LAGS, NUMBERS)

    assert LossCurveDisplay.from_estimator(model).ax_.get_ylabel() == label


def test_a_classifier_shows_its_log_loss_and_no_validation():
    model = small(RNNClassifier).fit(INPUTS["list"], WORDS)
    display = LossCurveDisplay.from_estimator(model)

    assert display.ax_.get_ylabel() == "Log loss"
    assert labels_of(display.ax_) == ["RNNClassifier, training"]
    assert display.validation_lines_ == display.best_epoch_lines_ == []


def test_an_ensemble_has_a_line_for_each_member():
    model = small(n_members=3, early_stopping=True, ar_order=0, max_epochs=4)
    model.fit(LAGS, NUMBERS)
    display = LossCurveDisplay.from_estimator(model)

    for member, train, validation, best in zip(
        model.members_,
        display.train_lines_,
        display.validation_lines_,
        display.best_epoch_lines_,
        strict=True,
    ):
        epochs = np.arange(1, member.n_iter_ + 1)
        assert_line(train, epochs, member.loss_curve_)
        assert_line(validation, epochs, member.validation_loss_curve_)
        assert list(best.get_xdata()) == [member.best_epoch_] * 2
    assert labels_of(display.ax_) == [
        "RNNRegressor, training",
        "RNNRegressor, validation",
        "RNNRegressor, best epochs",
    ]


def test_the_validation_loss_of_folds_is_one_line():
    rows = np.random.default_rng(0).normal(size=(120, 4))
    model = small(n_members=2).fit(rows, rows[:, 0] * rows[:, 1] + rows[:, 2])
    display = LossCurveDisplay.from_estimator(model)

    assert len(display.train_lines_) == 2
    (validation,) = display.validation_lines_
    assert_line(validation, [1, 2], model.validation_loss_curve_)


def test_epoch_0_is_the_linear_model():
    display = LossCurveDisplay(train_losses=[[2.0, 1.0]], best_epochs=[0]).plot()

    assert labels_of(display.ax_) == ["training", "best epoch (0, the linear model)"]
    assert display.ax_.get_ylabel() == "Loss"


def test_pipelines_and_searches_show_their_network():
    pipeline = make_pipeline(EachStep(StandardScaler()), small(**ALONE))
    search = GridSearchCV(pipeline, {"rnnregressor__hidden_size": [2, 3]}, cv=2)
    search.fit(VALUES, NUMBERS)
    display = LossCurveDisplay.from_estimator(search)

    assert_array_equal(
        display.train_lines_[0].get_ydata(), search.best_estimator_[-1].loss_curve_
    )


def test_styles_name_and_axes_may_be_passed():
    model = small(early_stopping=True, ar_order=0).fit(LAGS, NUMBERS)
    _, ax = plt.subplots()
    display = LossCurveDisplay.from_estimator(
        model,
        name="net",
        ax=ax,
        train_kwargs={"c": "red"},
        validation_kwargs={"lw": 3},
        best_epoch_kwargs={"label": "here"},
    )

    assert display.ax_ is ax
    assert display.train_lines_[0].get_color() == "red"
    assert display.validation_lines_[0].get_linewidth() == 3
    assert labels_of(ax) == ["net, training", "net, validation", "here"]
    assert labels_of(display.plot(name="again").ax_)[0] == "again, training"


@pytest.mark.parametrize("cls", [LossCurveDisplay, TimeStepDisplay])
def test_other_estimators_are_refused(cls):
    model = make_pipeline(StandardScaler(), Ridge()).fit(LAGS, NUMBERS)
    arguments = () if cls is LossCurveDisplay else (LAGS, NUMBERS)
    with raises(
        TypeError,
        f"{cls.__name__}.from_estimator needs an estimator of skrnn, or a pipeline or "
        "search that ends with one. Got Ridge.",
    ):
        cls.from_estimator(model, *arguments)


@pytest.mark.parametrize("cls", [LossCurveDisplay, ForecastDisplay, TimeStepDisplay])
def test_an_estimator_must_be_fitted(cls):
    arguments = () if cls is LossCurveDisplay else (LAGS, NUMBERS)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        cls.from_estimator(RNNRegressor(), *arguments)


# -- forecasts


def test_a_recursive_forecast_continues_its_window():
    model = forecaster().fit(WINDOWS, NEXT.ravel())
    X = WAVE[None, 42:50, None]
    display = ForecastDisplay.from_estimator(model, X, WAVE[50:], n_steps=10)

    assert_line(display.history_line_, range(8), WAVE[42:50])
    assert_line(display.truth_line_, range(8, 18), WAVE[50:])
    assert_line(display.forecast_line_, range(8, 18), model.forecast(X, 10)[0])
    assert display.interval_ is None
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("Time", "y")
    assert labels_of(display.ax_) == ["history", "observed", "RNNRegressor"]


def test_the_dates_of_a_forecast_continue_those_of_the_history():
    model = forecaster().fit(WINDOWS, NEXT.ravel())
    display = ForecastDisplay.from_estimator(
        model, WAVE[None, 42:50, None], n_steps=10, history=MONTHS[30:50]
    )

    assert_line(display.history_line_, MONTHS.index[30:50], WAVE[30:50])
    assert_array_equal(display.forecast_line_.get_xdata(), MONTHS.index[50:])
    assert display.truth_line_ is None
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("month", "level")


def test_one_step_forecasts_of_a_pipeline_have_the_dates_of_y():
    frame = MONTHS.to_frame()
    X, y = frame.iloc[:-1], MONTHS.iloc[1:]
    model = make_pipeline(SlidingWindow(8, carry_over=True), forecaster())
    model.fit(X[:40], y[:40])
    display = ForecastDisplay.from_estimator(model, X[40:], y[40:], history=y[:40])

    assert_line(display.forecast_line_, y.index[40:], model.predict(X[40:]))
    assert_line(display.truth_line_, y.index[40:], y[40:])
    assert_line(display.history_line_, y.index[:40], y[:40])


def test_the_dates_may_be_those_of_X():
    frame = pd.DataFrame(LAGS, pd.date_range("2020", periods=N_ROWS))
    frame.columns = [f"lag {i}" for i in range(N_STEPS)]
    model = small(**ALONE).fit(frame, NUMBERS)
    display = ForecastDisplay.from_estimator(model, frame, NUMBERS)

    assert_array_equal(display.forecast_line_.get_xdata(), frame.index)


def test_index_takes_the_place_of_other_dates():
    index = np.arange(100, 100 + N_ROWS)
    model = small(**ALONE).fit(LAGS, NUMBERS)
    display = ForecastDisplay.from_estimator(
        model, LAGS, pd.Series(NUMBERS), index=index, history=[1.0, 2.0]
    )

    assert_array_equal(display.forecast_line_.get_xdata(), index)
    assert_line(display.history_line_, [98, 99], [1.0, 2.0])


def test_periods_are_drawn_as_dates():
    history = MONTHS[:50].to_period("M")
    display = ForecastDisplay.from_predictions(None, WAVE[50:], history=history)

    assert_array_equal(display.history_line_.get_xdata(), MONTHS.index[:50])
    assert_array_equal(display.forecast_line_.get_xdata(), MONTHS.index[50:])


def test_a_direct_forecast_of_one_window_is_a_series():
    X, y = make_windows(WAVE[:50], window_size=8, horizon=range(1, 6))
    model = forecaster().fit(X, y)
    display = ForecastDisplay.from_estimator(model, X[-1:], y[-1:], history=X[-1])

    assert_line(display.forecast_line_, range(8, 13), model.predict(X[-1:])[0])
    assert_line(display.truth_line_, range(8, 13), y[-1])


def test_quantiles_are_the_interval():
    model = small(loss="quantile", quantiles=(0.05, 0.5, 0.95)).fit(LAGS, NUMBERS)
    display = ForecastDisplay.from_estimator(model, LAGS, NUMBERS)

    places, low, high = bounds_of(display.interval_)
    quantiles = model.predict_quantiles(LAGS)
    assert places == list(range(N_ROWS))
    assert_array_equal(low, quantiles[:, 0])
    assert_array_equal(high, quantiles[:, 2])
    assert labels_of(display.ax_)[0] == "quantiles 0.05 to 0.95"


def test_quantiles_of_a_pipeline_and_of_one_of_several_outputs_are_the_interval():
    y = np.c_[NUMBERS, -NUMBERS]
    model = make_pipeline(EachStep(StandardScaler()), small(loss="quantile"))
    model.fit(VALUES, y)
    display = ForecastDisplay.from_estimator(model, VALUES, y, output=1)

    quantiles = model[-1].predict_quantiles(model[:-1].transform(VALUES))
    _, low, high = bounds_of(display.interval_)
    assert_array_equal(low, quantiles[:, 1, 0])
    assert_array_equal(high, quantiles[:, 1, 2])
    assert_array_equal(display.truth_line_.get_ydata(), -NUMBERS)


def test_the_members_of_an_ensemble_make_the_interval():
    model = small(n_members=3, **ALONE).fit(LAGS, NUMBERS)
    display = ForecastDisplay.from_estimator(model, LAGS, NUMBERS, n_std=1.5)

    mean, std = model.predict(LAGS, return_std=True)
    _, low, high = bounds_of(display.interval_)
    assert_allclose(low, mean - 1.5 * std)
    assert_allclose(high, mean + 1.5 * std)
    assert labels_of(display.ax_)[0] == "± 1.5 standard deviations of the members"


def test_the_forecasts_of_members_make_the_interval_of_a_recursive_forecast():
    model = forecaster(n_members=2, **ALONE).fit(WINDOWS, NEXT.ravel())
    X = WAVE[None, 42:50, None]
    display = ForecastDisplay.from_estimator(model, X, n_steps=4)

    mean = model.forecast(X, 4)[0]
    one, other = (member.forecast(X, 4)[0] for member in model.members_)
    _, low, high = bounds_of(display.interval_)
    assert_allclose(low, mean - np.abs(one - other))  # two deviations of two values
    assert_allclose(high, mean + np.abs(one - other))


def test_no_interval_is_drawn_for_none():
    model = small(n_members=2, **ALONE).fit(LAGS, NUMBERS)

    display = ForecastDisplay.from_estimator(model, LAGS, interval=None)
    assert display.interval_ is display.interval is None


def test_targets_per_step_of_one_sequence_are_a_series():
    model = small(return_sequences=True).fit(
        INPUTS["list"], [row[:, 0] for row in INPUTS["list"]]
    )
    X = INPUTS["list"][:1]
    display = ForecastDisplay.from_estimator(model, X, [X[0][:, 0]])

    assert_array_equal(display.forecast_line_.get_ydata(), model.predict(X)[0])
    assert_array_equal(display.truth_line_.get_ydata(), X[0][:, 0])


def test_other_regressors_are_drawn_without_an_interval():
    model = TransformedTargetRegressor(small(**ALONE), transformer=StandardScaler())
    model.fit(LAGS, NUMBERS)
    display = ForecastDisplay.from_estimator(model, LAGS, NUMBERS)

    assert_array_equal(display.forecast_line_.get_ydata(), model.predict(LAGS))
    assert labels_of(display.ax_) == ["observed", "TransformedTargetRegressor"]


def test_predictions_of_anything_are_drawn():
    _, ax = plt.subplots()
    display = ForecastDisplay.from_predictions(
        [1.0],
        [2.0],
        interval=[[1.5, 2.5]],
        name="mine",
        ax=ax,
        forecast_kwargs={"c": "red"},
        truth_kwargs={"ls": ":"},
        interval_kwargs={"fc": "green"},
    )

    assert display.ax_ is ax
    assert display.forecast_line_.get_color() == "red"
    assert display.forecast_line_.get_marker() == "o"  # a single point
    assert display.truth_line_.get_linestyle() == ":"
    assert labels_of(ax) == ["interval", "observed", "mine"]
    assert labels_of(display.plot(name="other").ax_)[-1] == "other"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            dict(y_pred=[[1.0, 2.0]]),
            "y_pred must be 1-D, with at least one value. Got shape (1, 2).",
        ),
        (
            dict(interval=[1.0, 2.0]),
            "interval must have shape (2, 2), a lower and an upper bound for each "
            "prediction. Got shape (2,).",
        ),
        (
            dict(interval=[[1.0, 0.0], [0.0, 1.0]]),
            "interval must hold the lower bounds in the first column. Got 1 rows with "
            "a lower bound above the upper one. Swap the columns.",
        ),
        (
            dict(history=pd.Series([1.0, 2.0], ["a", "b"])),
            "The times must follow from those that are known, which needs dates of a "
            f"regular frequency, or numbers. Got Index of dtype "
            f"{pd.Index(['a']).dtype}. Pass index, and history as a Series.",
        ),
    ],
    ids=["2-D", "shape", "swapped", "names"],
)
def test_wrong_predictions_are_refused(arguments, message):
    arguments = {"y_true": [1.0, 2.0], "y_pred": [1.0, 2.0]} | arguments
    with raises(ValueError, message):
        ForecastDisplay.from_predictions(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            dict(interval="stds"),
            "interval must be 'auto', 'quantiles', 'std' or None. Got 'stds'.",
        ),
        (dict(n_std=-1), "n_std must be a number above 0. Got -1."),
        (
            dict(interval="std"),
            "interval='std' needs an ensemble, an RNNRegressor with n_members above 1. "
            "Got RNNRegressor. Set interval=None, or fit an ensemble.",
        ),
        (
            dict(interval="quantiles"),
            "interval='quantiles' needs a network with loss='quantile' and at least "
            "two quantiles. Got RNNRegressor without. Set interval=None, or fit one.",
        ),
        (
            dict(interval="quantiles", X=WINDOWS[-1:], n_steps=2),
            "interval must not be 'quantiles' with n_steps: each step follows from the "
            "median of the step before, whose errors no quantile knows. Set "
            "interval=None, or draw a direct forecast.",
        ),
        (
            dict(n_steps=2),
            "X must hold one sequence with n_steps. Got 42. Pass the last one, for "
            "example X[-1:].",
        ),
    ],
    ids=["kind", "n_std", "std", "quantiles", "recursive", "sequences"],
)
def test_intervals_that_a_model_does_not_have_are_refused(arguments, message):
    model = forecaster(**ALONE).fit(WINDOWS, NEXT.ravel())
    with raises(ValueError, message):
        ForecastDisplay.from_estimator(model, **{"X": WINDOWS} | arguments)


def test_several_outputs_need_a_choice():
    model = small(**ALONE).fit(LAGS, np.c_[NUMBERS, NUMBERS])
    with raises(
        ValueError,
        "The prediction must be one series: a number for each row of X, or a row of "
        "numbers. Got shape (30, 2). Name the output to draw by output, or pass a "
        "single row of X.",
    ):
        ForecastDisplay.from_estimator(model, LAGS)
    with raises(ValueError, "output must be an int from 0 to 1. Got 2."):
        ForecastDisplay.from_estimator(model, LAGS, output=2)


def test_a_classifier_cannot_forecast():
    model = small(RNNClassifier).fit(LAGS, WORDS)
    with raises(
        TypeError, "ForecastDisplay with n_steps needs a regressor. Got RNNClassifier."
    ):
        ForecastDisplay.from_estimator(model, LAGS[:1], n_steps=3)


# -- the importance of time steps


def reading(step, form):
    """Return a model and targets that depend on one step from the end."""
    rows = INPUTS[form]
    arrays = rows if form == "list" else np.asarray(rows).reshape(N_ROWS, N_STEPS, -1)
    y = np.array([row[-1 - step, 0] for row in arrays])
    model = RNNRegressor(16, window_norm=None, ar_order=5, random_state=0)
    if form in ("3-D", "list"):
        model.set_params(target_feature=0)
    return model.fit(rows, y), rows, y


@pytest.mark.parametrize("form", ["2-D", "3-D", "list", "frame"])
def test_permutation_finds_the_step_that_matters(form):
    model, X, y = reading(2, form)
    display = TimeStepDisplay.from_estimator(model, X, y, random_state=0)

    assert_array_equal(display.steps, np.arange(1 - N_STEPS, 1))
    assert display.steps[np.argmax(display.importances)] == -2
    others = np.delete(display.importances, np.argmax(display.importances))
    assert display.importances.max() > 20 * np.abs(others).max()
    assert display.ax_.get_ylabel() == "Decrease of R squared"
    assert display.ax_.get_xlabel() == "Time step, counted from the last"
    heights = [bar.get_height() for bar in display.bars_]
    assert_array_equal(heights, display.importances)
    centres = [bar.get_x() + bar.get_width() / 2 for bar in display.bars_]
    assert_allclose(centres, display.steps, atol=1e-12)
    assert labels_of(display.ax_) == ["RNNRegressor"]


def test_permutation_is_the_decrease_of_the_score():
    model = small(**ALONE).fit(VALUES, NUMBERS)
    display = TimeStepDisplay.from_estimator(
        model, VALUES, NUMBERS, n_repeats=3, random_state=0
    )

    rng, expected = np.random.RandomState(0), np.empty((N_STEPS, 3))
    baseline = r2_score(NUMBERS, model.predict(VALUES))
    for step in range(N_STEPS):
        for repeat in range(3):
            X = VALUES.copy()
            X[:, -1 - step] = VALUES[rng.permutation(N_ROWS), -1 - step]
            expected[-1 - step, repeat] = baseline - r2_score(NUMBERS, model.predict(X))
    assert_allclose(display.importances, expected.mean(axis=1), atol=1e-12)
    assert_allclose(display.deviations, expected.std(axis=1), atol=1e-12)


def test_sequences_exchange_the_steps_that_they_have():
    model = small(**ALONE).fit(INPUTS["list"], NUMBERS)
    display = TimeStepDisplay.from_estimator(
        model, INPUTS["list"], NUMBERS, n_repeats=1, random_state=0
    )

    rng, expected = np.random.RandomState(0), np.empty(LENGTHS.max())
    baseline = r2_score(NUMBERS, model.predict(INPUTS["list"]))
    for step in range(LENGTHS.max()):
        X = [row.copy() for row in INPUTS["list"]]
        rows = np.flatnonzero(step < LENGTHS)
        for row, other in zip(rows, rows[rng.permutation(len(rows))], strict=True):
            X[row][-1 - step] = INPUTS["list"][other][-1 - step]
        expected[-1 - step] = baseline - r2_score(NUMBERS, model.predict(X))
    assert_allclose(display.importances, expected, atol=1e-12)


def test_steps_are_exchanged_in_groups():
    model, X, y = reading(4, "2-D")
    display = TimeStepDisplay.from_estimator(model, X, y, width=4, random_state=0)

    assert_array_equal(display.steps, [-5.5, -1.5])  # of steps -7 to -4 and -3 to 0
    assert np.argmax(display.importances) == 0


def test_the_width_of_a_patch_is_the_default():
    model = small(patch_size=2, **ALONE).fit(VALUES, NUMBERS)
    display = TimeStepDisplay.from_estimator(model, VALUES, NUMBERS, n_repeats=1)

    assert_array_equal(display.steps, [-4.5, -2.5, -0.5])


@pytest.mark.parametrize("padded", [False, True])
def test_tokens_are_exchanged_but_not_their_padding(padded):
    rng = np.random.default_rng(0)
    X = rng.integers(2, 6, size=(60, 5))
    y = X[:, 2] > 3
    if padded:
        X[:30, 3:] = 0
    model = RNNClassifier(8, embedding_dim=3, cell_type="gru", random_state=0).fit(X, y)
    display = TimeStepDisplay.from_estimator(model, X, y, random_state=0)

    assert display.ax_.get_ylabel() == "Decrease of accuracy"
    assert_array_equal(display.steps, np.arange(-4, 1))
    assert display.importances.max() > 0


def test_targets_per_step_are_scored():
    y = [np.cumsum(row[:, 0]) for row in INPUTS["list"]]
    model = small(return_sequences=True).fit(INPUTS["list"], y)
    display = TimeStepDisplay.from_estimator(
        model, INPUTS["list"], y, n_repeats=1, random_state=0
    )

    assert len(display.importances) == LENGTHS.max()


def test_the_steps_of_a_pipeline_are_those_of_its_network():
    series = np.random.default_rng(0).normal(size=(80, 1))
    y = np.r_[0.0, series[:-1, 0]]  # the step before the last
    model = make_pipeline(SlidingWindow(4), small(max_epochs=20, ar_order=4)).fit(
        series, y
    )
    display = TimeStepDisplay.from_estimator(model, series, y, random_state=0)

    assert_array_equal(display.steps, [-3, -2, -1, 0])
    assert display.steps[np.argmax(display.importances)] == -1


def test_scoring_names_the_axis():
    model = small(**ALONE).fit(LAGS, NUMBERS)
    display = TimeStepDisplay.from_estimator(
        model, LAGS, NUMBERS, scoring="neg_mean_absolute_error", n_repeats=1, name="net"
    )

    assert display.ax_.get_ylabel() == "Decrease of neg mean absolute error"
    assert labels_of(display.ax_) == ["net"]


def test_attention_is_the_mean_weight_of_each_step():
    model = small(RNNClassifier, pooling="attention").fit(VALUES, WORDS)
    display = TimeStepDisplay.from_estimator(model, VALUES)

    weights = model.attention_weights(VALUES)
    assert_allclose(display.importances, weights.mean(axis=0))
    assert_allclose(display.deviations, weights.std(axis=0))
    assert_array_equal(display.steps, np.arange(1 - N_STEPS, 1))
    assert display.ax_.get_ylabel() == "Mean attention weight"


def test_attention_is_aligned_at_the_ends_of_sequences():
    model = small(RNNClassifier, pooling="attention", n_members=2)
    model.fit(INPUTS["list"], WORDS)
    display = TimeStepDisplay.from_estimator(model, INPUTS["list"])

    one, other = (each.attention_weights(INPUTS["list"]) for each in model.members_)
    for step in range(LENGTHS.max()):
        of_step = [
            (a[-1 - step] + b[-1 - step]) / 2
            for a, b in zip(one, other, strict=True)
            if len(a) > step
        ]
        assert_allclose(display.importances[-1 - step], np.mean(of_step))


def test_attention_of_patches_is_drawn_at_their_steps():
    model = small(RNNClassifier, pooling="attention", patch_size=4).fit(VALUES, WORDS)
    display = TimeStepDisplay.from_estimator(model, VALUES)

    assert_array_equal(display.steps, [-5.5, -1.5])
    assert display.width == 4


def test_importances_are_drawn_on_axes_and_in_a_style_that_are_passed():
    _, ax = plt.subplots()
    display = TimeStepDisplay(steps=np.array([-1.0, 0.0]), importances=np.array([1, 2]))
    display.plot(ax, bar_kwargs={"fc": "red", "width": 0.5})

    assert display.ax_ is ax
    assert display.bars_[0].get_facecolor() == (1.0, 0.0, 0.0, 1.0)
    assert display.bars_[0].get_width() == 0.5
    assert ax.get_ylabel() == "Importance"
    assert ax.get_legend() is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            dict(y=None),
            "y must be passed for method='permutation', which computes the decrease of "
            "a score. Got None.",
        ),
        (
            dict(method="attention"),
            "method='attention' needs a network with pooling='attention'. Got "
            "pooling='last'. Use method='permutation'.",
        ),
        (
            dict(method="occlusion"),
            "method must be 'auto', 'attention' or 'permutation'. Got 'occlusion'.",
        ),
        (dict(n_repeats=0), "n_repeats must be an int from 1 upwards. Got 0."),
        (dict(width=1.5), "width must be an int from 1 upwards. Got 1.5."),
    ],
    ids=["y", "attention", "method", "n_repeats", "width"],
)
def test_importances_that_a_model_does_not_have_are_refused(arguments, message):
    model = small(**ALONE).fit(LAGS, NUMBERS)
    with raises(ValueError, message):
        TimeStepDisplay.from_estimator(model, LAGS, **{"y": NUMBERS} | arguments)


# -- matplotlib


@pytest.mark.slow
def test_skrnn_imports_no_matplotlib():
    code = "import sys, skrnn; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


WITHOUT = """
import skrnn
for draw, caller in (
    (skrnn.LossCurveDisplay(train_losses=[[1.0]]).plot, "LossCurveDisplay.plot"),
    (
        lambda: skrnn.ForecastDisplay.from_predictions(None, [1.0]),
        "ForecastDisplay.from_predictions",
    ),
):
    try:
        draw()
    except ImportError as error:
        assert str(error) == (
            f"{caller} needs matplotlib, which is not installed. Install it by "
            'pip install "skrnn[plot]".'
        )
    else:
        raise AssertionError
"""


@pytest.mark.slow
def test_a_missing_matplotlib_is_an_error_that_names_the_extra():
    subprocess.run([sys.executable, "-c", HIDE_OPTIONAL + WITHOUT], check=True)
