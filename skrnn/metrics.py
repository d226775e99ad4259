"""Metrics for a target per time step, and an adapter for metrics of scikit-learn."""

from functools import wraps

import numpy as np
from sklearn.metrics import get_scorer

__all__ = ["per_step", "sequence_accuracy_score", "step_accuracy_score"]


def step_accuracy_score(y_true, y_pred, *, sample_weight=None, normalize=True):
    """Return the fraction of correct time steps, over all sequences.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_timesteps) or \
(n_samples, n_timesteps, n_labels), or list or object array of arrays
        Labels of each step. A step is correct if all its labels are.

    sample_weight : array-like of shape (n_samples,) or as y_true, default=None
        Weights of sequences or of steps.

    normalize : bool, default=True
        If False, return the number of correct steps, or the sum of their weights.

    Returns
    -------
    score : float
        In [0, 1]; with `normalize=False` at most the number, or weight, of all.

    Raises
    ------
    ValueError
        If the sequences, their steps, the labels of a step or the weights do not
        match.

    See Also
    --------
    skrnn.metrics.sequence_accuracy_score : Fraction of sequences without an error.
    skrnn.metrics.per_step : Adapts other metrics to a target per time step.

    Notes
    -----
    Every step has the same weight, so a long sequence counts more than a short one.
    For equal weights of sequences, set `sample_weight` to 1 over their lengths.

    Examples
    --------
    >>> from skrnn.metrics import step_accuracy_score
    >>> step_accuracy_score([[1, 0], [1, 1, 1]], [[1, 0], [1, 0, 1]])
    0.8
    """
    correct, lengths = _correct_steps(y_true, y_pred)
    weights = _step_weights(sample_weight, lengths)
    return _weighted_sum(correct, weights, normalize)


def sequence_accuracy_score(y_true, y_pred, *, sample_weight=None, normalize=True):
    """Return the fraction of sequences in which every time step is correct.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_timesteps) or \
(n_samples, n_timesteps, n_labels), or list or object array of arrays
        Labels of each step.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of sequences.

    normalize : bool, default=True
        If False, return the number of correct sequences, or the sum of their weights.

    Returns
    -------
    score : float
        In [0, 1]; with `normalize=False` at most the number, or weight, of all.

    Raises
    ------
    ValueError
        If the sequences, their steps, the labels of a step or the weights do not
        match.

    See Also
    --------
    skrnn.metrics.step_accuracy_score : Fraction of correct time steps.

    Examples
    --------
    >>> from skrnn.metrics import sequence_accuracy_score
    >>> sequence_accuracy_score([[1, 0], [1, 1, 1]], [[1, 0], [1, 0, 1]])
    0.5
    """
    correct, lengths = _correct_steps(y_true, y_pred)
    starts = np.cumsum(lengths) - lengths
    weights = None
    if sample_weight is not None:
        if hasattr(sample_weight, "to_numpy"):
            sample_weight = sample_weight.to_numpy()
        weights = _sequence_weights(sample_weight, len(lengths))
        if weights is None:
            raise ValueError(
                f"sample_weight must have one weight for each of the {len(lengths)} "
                f"sequences. Got {_describe(sample_weight)}. For weights of time steps "
                "use step_accuracy_score."
            )
    correct = np.logical_and.reduceat(correct, starts)
    return _weighted_sum(correct, weights, normalize)


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
        _check_lengths(lengths, pred_lengths)
        if sample_weight is not None:
            options["sample_weight"] = _step_weights(sample_weight, lengths)
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
            options["sample_weight"] = _step_weights(sample_weight, lengths)
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
            _check_lengths(self._lengths, lengths)
            return flat

        return predict

    def __sklearn_tags__(self):
        return self._estimator.__sklearn_tags__()

    def __sklearn_is_fitted__(self):
        return True


def flatten_steps(y, name="y"):
    """Return the concatenated steps of all sequences, and the lengths of sequences.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_timesteps) or (n_samples, n_timesteps, k), \
or list or object array of arrays
        Values of each step.

    name : str, default='y'
        Name of y in messages.

    Returns
    -------
    flat : ndarray of shape (S,) or (S, k)

    lengths : ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If y has none of these forms.
    """
    y = y.to_numpy() if hasattr(y, "to_numpy") else y
    dense = isinstance(y, np.ndarray) and y.ndim > 1
    if not dense and (isinstance(y, str) or not np.iterable(y)):
        raise ValueError(_not_sequences_message(name, _describe(y)))
    pieces = y if dense else [np.asarray(piece) for piece in y]
    if len(pieces) == 0:
        raise ValueError(
            f"{name} must have at least one sequence. Got none. Omit empty parts."
        )
    for i, piece in enumerate(pieces[:1] if dense else pieces):
        if piece.ndim == 0:
            raise ValueError(
                _not_sequences_message(name, f"one value for sequence {i}")
            )
        if piece.ndim > 2:
            raise ValueError(
                f"{name} must have one value, or one row of values, for each time "
                f"step. Got shape {piece.shape} for sequence {i}. Flatten each step."
            )
        if len(piece) == 0:
            raise ValueError(
                f"{name} must have at least one time step in every sequence. Got none "
                f"in sequence {i}. Remove it."
            )
        if piece.shape[1:] != pieces[0].shape[1:]:
            raise ValueError(
                f"{name} must have the same number of values for every time step. Got "
                f"shape {pieces[0].shape} for sequence 0 and {piece.shape} for sequence"
                f" {i}."
            )
    if dense:
        return y.reshape(-1, *y.shape[2:]), np.full(len(y), y.shape[1])
    return np.concatenate(pieces), np.array([len(piece) for piece in pieces])


def _not_sequences_message(name, given):
    return (
        f"{name} must have a sequence for each sample: shape (n_samples, n_timesteps), "
        f"or a list of arrays. Got {given}. For one value per sample, use the metrics "
        "of scikit-learn."
    )


def _describe(value):
    """Describe an invalid argument in error messages."""
    try:
        return f"shape {np.shape(value)}" if np.ndim(value) else repr(value)
    except ValueError:  # numpy raises it for rows of different lengths
        return "rows of different lengths"


def _correct_steps(y_true, y_pred):
    true, lengths = flatten_steps(y_true, "y_true")
    pred, pred_lengths = flatten_steps(y_pred, "y_pred")
    _check_lengths(lengths, pred_lengths)
    if true.shape != pred.shape:  # numpy would broadcast (S, 1) and (S,) to (S, S)
        raise ValueError(
            "y_true and y_pred must have the same number of labels for every time "
            f"step. Got shapes {true.shape} and {pred.shape} for the concatenated "
            "steps."
        )
    correct = true == pred
    return (correct.all(axis=1) if correct.ndim > 1 else correct), lengths


def _check_lengths(true, pred):
    if len(true) != len(pred):
        raise ValueError(
            "y_true and y_pred must have the same number of sequences. Got "
            f"{len(true)} and {len(pred)}. Pass one prediction for each sequence."
        )
    if (true != pred).any():
        i = int((true != pred).argmax())
        raise ValueError(
            "y_true and y_pred must have the same number of time steps in every "
            f"sequence. Got {true[i]} and {pred[i]} in sequence {i}. Pass one for each "
            "step."
        )


def _sequence_weights(sample_weight, n_sequences):
    """Return an array of weights if there is one for each sequence, or None."""
    if not np.iterable(sample_weight) or len(sample_weight) != n_sequences:
        return None
    if any(map(np.ndim, sample_weight)):
        return None
    return np.asarray(sample_weight, dtype=float)


def _step_weights(sample_weight, lengths):
    """Return a weight for each step, or None."""
    if sample_weight is None:
        return None
    if hasattr(sample_weight, "to_numpy"):
        sample_weight = sample_weight.to_numpy()
    weights = _sequence_weights(sample_weight, len(lengths))
    if weights is not None:
        return np.repeat(weights, lengths)
    if np.iterable(sample_weight) and any(map(np.ndim, sample_weight)):
        weights, weight_lengths = flatten_steps(sample_weight, "sample_weight")
        if weights.ndim == 1 and np.array_equal(weight_lengths, lengths):
            return weights.astype(float)
    raise ValueError(
        f"sample_weight must have one weight for each of the {len(lengths)} sequences, "
        f"or for each of their time steps. Got {_describe(sample_weight)}."
    )


def _weighted_sum(correct, weights, normalize):
    if normalize:
        return float(np.average(correct, weights=weights))
    return float(correct.sum() if weights is None else correct @ weights)
