"""Metrics and scorers of scikit-learn, adapted to a target per time step."""

from functools import wraps

from sklearn.metrics import get_scorer

from skrnn.metrics._steps import check_lengths, flatten_steps, step_weights


def per_step(metric):
    """Adapt a metric or scorer of scikit-learn to a target per time step.

    Parameters
    ----------
    metric : callable or str
        A function `metric(y_true, y_pred, **options)`, a scorer, as returned by
        `make_scorer` or `get_scorer`, or the name of a scorer, such as 'f1_macro'.

    Returns
    -------
    metric : callable
        For a metric, a function with the same signature that concatenates the steps of
        all sequences; its `sample_weight` may be per sequence or per step. For a
        scorer, a scorer for the `scoring` of searches and cross-validation. Both can
        be pickled if `metric` can.

    Raises
    ------
    TypeError
        If `metric` is neither a function, a scorer nor a string.

    ValueError
        If no scorer has this name. When called, if sequences, steps or weights do not
        match.

    See Also
    --------
    sklearn.metrics.make_scorer : Makes a scorer from a metric.

    Notes
    -----
    A scorer is passed an estimator whose predictions, like y, are the concatenated
    steps of all sequences, so that it may use classes, probabilities or decision
    values. A target of shape `(n_samples, n_timesteps, k)` becomes `(n_steps, k)`.

    Examples
    --------
    >>> from sklearn.metrics import f1_score
    >>> from skrnn.metrics import per_step
    >>> float(per_step(f1_score)([[1, 0], [1, 1, 1]], [[1, 0], [1, 1, 1]]))
    1.0
    >>> per_step("f1_macro")
    per_step('f1_macro')
    """
    if isinstance(metric, str):
        return _StepScorer(get_scorer(metric), repr(metric))
    if hasattr(metric, "set_score_request"):  # scorers have it, functions do not
        return _StepScorer(metric, repr(metric))
    if not callable(metric):
        raise TypeError(
            "metric must be a function of y_true and y_pred, a scorer or its name. Got "
            f"{metric!r}. For the names, see sklearn.metrics.get_scorer_names."
        )
    return _StepMetric(metric)


class _StepMetric:
    """A metric of the concatenated steps of all sequences."""

    def __init__(self, metric):
        self.metric = metric

    def __call__(self, y_true, y_pred, *others, sample_weight=None, **options):
        if others:  # it was passed as `scoring`
            raise TypeError(
                f"{self!r} must be called with y_true and y_pred, since it adapts a "
                f"function. Got {2 + len(others)} arguments. For scoring, apply "
                "sklearn.metrics.make_scorer before per_step."
            )
        true, lengths = flatten_steps(y_true, "y_true")
        pred, pred_lengths = flatten_steps(y_pred, "y_pred")
        check_lengths(lengths, pred_lengths)
        if sample_weight is not None:
            options["sample_weight"] = step_weights(sample_weight, lengths)
        return self.metric(true, pred, **options)

    def __repr__(self):
        return f"per_step({getattr(self.metric, '__name__', self.metric)})"


class _StepScorer:
    """A scorer of the concatenated steps of all sequences."""

    def __init__(self, scorer, name):
        self.scorer = scorer
        self.name = name

    def __call__(self, estimator, X, y, sample_weight=None):
        true, lengths = flatten_steps(y, "y")
        options = {}
        if sample_weight is not None:
            options["sample_weight"] = step_weights(sample_weight, lengths)
        return self.scorer(_FlatEstimator(estimator, lengths), X, true, **options)

    def __repr__(self):
        return f"per_step({self.name})"


class _FlatEstimator:
    """An estimator whose predictions are the concatenated steps of all sequences."""

    def __init__(self, estimator, lengths):
        self._estimator = estimator
        self._lengths = lengths

    def __getattr__(self, name):
        if name.startswith("__") and name != "__sklearn_tags__":
            raise AttributeError(name)
        attribute = getattr(self._estimator, name)
        if name not in (
            "predict",
            "predict_proba",
            "predict_log_proba",
            "decision_function",
        ):
            return attribute

        @wraps(attribute)  # scikit-learn reads the name of the method
        def predict(X):
            flat, lengths = flatten_steps(attribute(X), f"The output of {name}")
            check_lengths(self._lengths, lengths)
            return flat

        return predict

    def __sklearn_tags__(self):
        return self._estimator.__sklearn_tags__()

    def __sklearn_is_fitted__(self):
        return True
