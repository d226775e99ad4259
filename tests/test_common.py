"""scikit-learn's own checks, one test each, over estimators and configurations.

`check_estimator` runs the same checks; here each is a test of its own, a check that
skips itself is a failure, and what cannot hold is listed with its reason below.
"""

import unittest
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import estimator_checks_generator

from skrnn import (
    BiRNNClassifier,
    EachStep,
    RNNClassifier,
    RNNRegressor,
    SlidingWindow,
    TokenEncoder,
    TokenOneHotEncoder,
    ToSequences,
)

# What cannot hold: the estimator, a parameter with the value that is to blame (None:
# any; a dict: several), the check, and why. Every row must really fail, or the test of
# it does; those with a dict are of the full grid, see `check_grid.py`.
EQUIVALENCE = "check_sample_weight_equivalence_on_dense_data"
CANNOT_HOLD = [
    (
        SlidingWindow,
        None,
        "check_methods_sample_order_invariance",
        "a window depends on the rows before it",
    ),
    (
        SlidingWindow,
        None,
        "check_methods_subset_invariance",
        "a window depends on the rows before it",
    ),
    (
        RNNClassifier,
        ("dropout", 0.2),
        EQUIVALENCE,
        "a repeated row gets other masks each time, a weighted row one",
    ),
    (
        RNNClassifier,
        ("initial_state", "normal"),
        EQUIVALENCE,
        "a repeated row starts from other noise each time, a weighted row from one",
    ),
    (
        RNNRegressor,
        ("batch_size", 8),
        EQUIVALENCE,
        "repeated rows make more batches, and so more steps, than weighted rows",
    ),
    (
        RNNRegressor,
        ("early_stopping", True),
        EQUIVALENCE,
        "the validation part is a share of the rows, not of their weight",
    ),
    (
        RNNClassifier,
        ("early_stopping", True),
        EQUIVALENCE,
        "the validation part is a share of the rows, not of their weight",
    ),
    (
        RNNRegressor,
        ("warm_start", True),
        "check_supervised_y_2d",
        "it compares two fits of one object, and the second goes on from the first",
    ),
    *(
        (
            RNNClassifier,
            ("class_weight", "balanced"),
            name,
            "it calls partial_fit, which refuses to balance each part by itself",
        )
        for name in (
            "check_fit_score_takes_y",
            "check_n_features_in_after_fitting",
            "check_estimators_partial_fit_n_features",
        )
    ),
    *(
        (
            RNNRegressor,
            {"num_layers": 2, "bidirectional": True, "pooling": "max"} | cell,
            EQUIVALENCE,
            "the largest step jumps from one to another, and differences of the last "
            "digit grow a thousandfold in the last epochs (1e-14 after 30 of 60)",
        )
        for cell in ({"nonlinearity": "relu"}, {"cell_type": "lstm"})
    ),
    (
        RNNRegressor,
        {
            "cell_type": "lstm",
            "num_layers": 2,
            "pooling": "mean",
            "loss": "absolute_error",
        },
        "check_regressors_train",
        "it wants an R squared of .5 on 200 rows; 16 units reach .48, 64 reach .85",
    ),
    (
        RNNRegressor,
        ("window_norm", "difference"),
        "check_fit2d_1feature",
        "a sequence of one step has no difference",
    ),
]

# Checks that skip themselves for want of a method which is not part of the interface.
NOT_APPLICABLE = {
    "check_classifiers_multilabel_output_format_decision_function": "decision_function",
}

# Checks that scikit-learn has but does not run on other people's estimators.
MORE_CHECKS = [
    "check_dataframe_column_names_consistency",
    "check_inplace_ensure_writeable",
    "check_param_validation",
]

DEFAULTS = [
    RNNRegressor(),
    RNNClassifier(),
    BiRNNClassifier(),
    SlidingWindow(),
    TokenOneHotEncoder(),
    TokenEncoder(),
    EachStep(StandardScaler()),
    ToSequences(),
]

# Every pair of values of two of these parameters stands in one row at least.
PAIRWISE = pd.DataFrame(
    [
        ("rnn", "relu", 1, True, "last", "squared_error"),
        ("rnn", "tanh", 2, False, "max", "huber"),
        ("gru", "tanh", 2, True, "mean", "absolute_error"),
        ("lstm", "tanh", 1, False, "mean", "absolute_error"),
        ("gru", "tanh", 1, False, "last", "huber"),
        ("lstm", "tanh", 1, True, "max", "squared_error"),
        ("rnn", "relu", 2, False, "max", "absolute_error"),
        ("rnn", "tanh", 1, False, "mean", "squared_error"),
        ("lstm", "tanh", 2, True, "last", "huber"),
        ("rnn", "tanh", 1, True, "last", "absolute_error"),
        ("gru", "tanh", 2, True, "max", "squared_error"),
        ("rnn", "relu", 2, False, "mean", "huber"),
    ],
    columns=[
        "cell_type",
        "nonlinearity",
        "num_layers",
        "bidirectional",
        "pooling",
        "loss",
    ],
)

# A configuration takes ten seconds to two minutes, so most are marked slow. Small
# networks and large batches are quick: what is checked is behaviour. The classifiers
# share all but the target with the regressor, so that a few of them suffice.
QUICK = {"hidden_size": 16, "batch_size": 64, "lr": 0.03}
# The gradient of an absolute error jumps where the error changes its sign. At a high
# rate differences of the last digit then grow, to 3e-7 on some processors.
CALM = {"hidden_size": 16}
QUICK_CONFIGURATIONS = [
    RNNRegressor(8, ar_order=0, early_stopping=True, warm_start=True),
    RNNRegressor(8, n_members=3, ar_order=4),
    RNNRegressor(8, patch_size=4, pooling="concat"),
]
SLOW_CONFIGURATIONS = [
    *(
        RNNRegressor(**CALM if row["loss"] == "absolute_error" else QUICK, **row)
        for row in PAIRWISE.to_dict("records")
    ),
    RNNClassifier(8, early_stopping=True, validation_strategy="last"),
    BiRNNClassifier(8, n_members=3, patch_size=4, pooling="concat"),
    RNNRegressor(8, optimizer="adam", lr_schedule="cosine", max_grad_norm=None),
    RNNClassifier(8, cell_type="gru", lr_schedule=None, pooling="max"),
    RNNClassifier(8, num_layers=2, lr_schedule="plateau"),
    RNNClassifier(8, optimizer="rmsprop"),
    BiRNNClassifier(8, cell_type="lstm", pooling="mean"),
    RNNClassifier(8, dropout=0.2, class_weight="balanced"),
    RNNRegressor(8, batch_size=8, standardize=False, max_epochs=20),
    *(RNNRegressor(**QUICK, ar_order=order) for order in (1, 3, 10)),
    *(RNNRegressor(cell_type=cell) for cell in ("gru", "lstm")),
    RNNClassifier(8, n_members=3),
    RNNRegressor(**QUICK, window_norm="last", cell_type="gru"),
    RNNRegressor(**QUICK, window_norm="standard", loss="huber"),
    RNNRegressor(**QUICK, window_norm="difference", ar_order=2, pooling="mean"),
    RNNRegressor(**CALM, loss="quantile"),
    RNNClassifier(**QUICK, pooling="attention"),
    RNNRegressor(8, initial_state="learned"),
    RNNClassifier(8, initial_state="normal"),
    RNNRegressor(8, initial_state="carry"),
    RNNRegressor(**CALM, tbptt_steps=8),  # of ten
]

# The checks fit one target for each row of real numbers. What wants other data is
# tested elsewhere, by its own tests of the same promises.
OTHER_DATA = [
    (
        RNNRegressor(8, return_sequences=True),
        "y must hold one target for each time step with return_sequences=True",
    ),
    (
        BiRNNClassifier(8, return_sequences=True),
        "y must hold one target for each time step with return_sequences=True",
    ),
    (
        RNNClassifier(8, embedding_dim=4),
        "X must hold token ids with embedding_dim, whole numbers from 0",
    ),
]


def reason_it_cannot_hold(estimator, check_name):
    """Return the reason in the table, or None."""
    for cls, parameter, name, reason in CANNOT_HOLD:
        if type(estimator) is cls and name == check_name:
            if parameter is None:
                return reason
            wanted = parameter if isinstance(parameter, dict) else dict([parameter])
            params = estimator.get_params()
            if all(params[key] == value for key, value in wanted.items()):
                return reason
    return None


def checks_of(estimators):
    """Yield a test for each estimator and check."""
    for estimator in estimators:
        for instance, check in estimator_checks_generator(estimator):
            name = check.func.__name__
            reason = reason_it_cannot_hold(estimator, name)
            marks = [pytest.mark.xfail(strict=True, reason=reason)] if reason else []
            arguments = ",".join(f"{k}={v}" for k, v in check.keywords.items())
            yield pytest.param(
                instance, check, id=f"{estimator!r}-{name}({arguments})", marks=marks
            )


def run(check, estimator, name):
    """Run a check; one that skips itself has not been passed."""
    try:
        check(estimator)
    except unittest.SkipTest as skip:
        missing = NOT_APPLICABLE.get(name)
        if missing is None or hasattr(estimator, missing):
            pytest.fail(f"{name} skipped itself: {skip}")


def test_configurations_hold_every_pair_of_values():
    for first, second in combinations(PAIRWISE.columns, 2):
        present = set(zip(PAIRWISE[first], PAIRWISE[second], strict=True))
        possible = set(product(PAIRWISE[first], PAIRWISE[second]))
        if {first, second} == {"cell_type", "nonlinearity"}:
            possible -= {("gru", "relu"), ("lstm", "relu")}  # refused
        assert present == possible


@pytest.mark.parametrize(("estimator", "check"), checks_of(DEFAULTS))
def test_default_passes_check(estimator, check):
    run(check, estimator, check.func.__name__)


@pytest.mark.parametrize(("estimator", "check"), checks_of(QUICK_CONFIGURATIONS))
def test_quick_configuration_passes_check(estimator, check):
    run(check, estimator, check.func.__name__)


@pytest.mark.slow
# In the data of the checks y does not continue X, of which window_norm warns.
@pytest.mark.filterwarnings("ignore:window_norm=:UserWarning")
@pytest.mark.parametrize(("estimator", "check"), checks_of(SLOW_CONFIGURATIONS))
def test_configuration_passes_check(estimator, check):
    run(check, estimator, check.func.__name__)


@pytest.mark.parametrize("name", MORE_CHECKS)
@pytest.mark.parametrize("estimator", DEFAULTS, ids=repr)
def test_default_passes_further_check(estimator, name):
    check = getattr(estimator_checks, name)
    check(type(estimator).__name__, clone(estimator))


@pytest.mark.parametrize(("estimator", "message"), OTHER_DATA, ids=repr)
def test_checks_have_no_data_for(estimator, message):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=f"^{message}"):
        estimator.fit(rng.normal(size=(20, 3)), rng.integers(0, 2, size=20))


@pytest.mark.parametrize(
    "estimator", [SlidingWindow(), TokenOneHotEncoder(), TokenEncoder()], ids=repr
)
def test_transformer_passes_set_output_check(estimator):
    # Those that ask for frames do not apply: the answers are 3-D or ragged.
    estimator_checks.check_set_output_transform(
        type(estimator).__name__, clone(estimator)
    )
