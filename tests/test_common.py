"""scikit-learn's own checks, one test each, over estimators and configurations.

`check_estimator` runs the same checks; here each is a test of its own, a check that
skips itself is a failure, and what cannot hold is listed with its reason below.
"""

import unittest

import pytest
from sklearn.base import clone
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import estimator_checks_generator

from skrnn import (
    BiRNNClassifier,
    RNNClassifier,
    RNNRegressor,
    SlidingWindow,
    TokenOneHotEncoder,
)

# What cannot hold: estimator, a value of one of its parameters (None: any), the
# check, and why. Every row must really fail, or the test of it does.
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
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_global_output_transform_pandas",
]

DEFAULTS = [
    RNNRegressor(),
    RNNClassifier(),
    BiRNNClassifier(),
    SlidingWindow(),
    TokenOneHotEncoder(),
]

# Every pair of values of two parameters occurs in one of these at least once, so far
# as both belong to the same estimator. Small networks: what is checked is behaviour.
PAIRWISE = [
    RNNRegressor(16, cell_type="gru", num_layers=2, pooling="mean", loss="huber"),
    RNNRegressor(16, cell_type="lstm", bidirectional=True, pooling="max"),
    RNNRegressor(
        16, cell_type="lstm", num_layers=2, loss="absolute_error", lr_schedule="cosine"
    ),
    RNNRegressor(16, nonlinearity="relu", bidirectional=True, loss="huber"),
    RNNRegressor(
        16, cell_type="gru", bidirectional=True, loss="absolute_error", lr_schedule=None
    ),
    RNNRegressor(16, num_layers=2, pooling="max", optimizer="adamw", weight_decay=0.01),
    RNNClassifier(16, cell_type="gru", pooling="max", bidirectional=True),
    RNNClassifier(16, cell_type="lstm", num_layers=2, pooling="mean"),
    RNNClassifier(16, nonlinearity="relu", pooling="mean", optimizer="rmsprop"),
    RNNClassifier(16, num_layers=2, bidirectional=True, lr_schedule="plateau"),
    BiRNNClassifier(16, cell_type="lstm", num_layers=2, pooling="max"),
    BiRNNClassifier(16, cell_type="gru", pooling="mean", max_grad_norm=None),
]


def reason_it_cannot_hold(estimator, check_name):
    """Return the reason in the table, or None."""
    for cls, parameter, name, reason in CANNOT_HOLD:
        if type(estimator) is cls and name == check_name:
            if parameter is None:
                return reason
            key, value = parameter
            if estimator.get_params()[key] == value:
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


@pytest.mark.parametrize(("estimator", "check"), checks_of(DEFAULTS))
def test_default_passes_check(estimator, check):
    run(check, estimator, check.func.__name__)


@pytest.mark.parametrize(("estimator", "check"), checks_of(PAIRWISE))
def test_configuration_passes_check(estimator, check):
    run(check, estimator, check.func.__name__)


@pytest.mark.parametrize("name", MORE_CHECKS)
@pytest.mark.parametrize("estimator", DEFAULTS, ids=repr)
def test_default_passes_further_check(estimator, name):
    check = getattr(estimator_checks, name)
    check(type(estimator).__name__, clone(estimator))
