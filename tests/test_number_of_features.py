import pytest
from estimators import (
    over_estimators,
    sequences,
    targets,
    tiny,
)
from messages import raises


@over_estimators
def test_another_number_of_features_is_refused_where_training_goes_on(cls):
    estimator = tiny(cls, warm_start=True).fit(sequences(), targets())
    message = (
        f"X has 2 features per time step, but {cls.__name__} is expecting 3. The last "
        "axis of X holds the features; data with channels before time needs "
        "X.transpose(0, 2, 1)."
    )
    for method in (estimator.fit, estimator.partial_fit):
        with raises(ValueError, message):
            method(sequences()[:, :, :2], targets())


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba"])
@over_estimators
def test_another_number_of_features_is_refused_by_every_method(cls, method):
    estimator = tiny(cls).fit(sequences(), targets())
    if not hasattr(estimator, method):
        return
    message = (
        f"X has 1 features per time step, but {cls.__name__} is expecting 3. The last "
        "axis of X holds the features; data with channels before time needs "
        "X.transpose(0, 2, 1)."
    )
    with raises(ValueError, message):
        getattr(estimator, method)(sequences()[:, :, :1])
