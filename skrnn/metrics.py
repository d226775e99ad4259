"""Metrics for a target per time step, and those of scikit-learn made to take it."""

from functools import wraps

import numpy as np
from sklearn.metrics import get_scorer

__all__ = ["per_step", "sequence_accuracy_score", "step_accuracy_score"]


def step_accuracy_score(y_true, y_pred, *, sample_weight=None, normalize=True):
    """Return the share of time steps that are right, of all sequences together.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_timesteps) or \
(n_samples, n_timesteps, n_labels), or list or object array of arrays
        Labels of each step. A step of several labels is right if all of them are.

    sample_weight : array-like of shape (n_samples,) or as y_true, default=None
        Weights of sequences or of steps.

    normalize : bool, default=True
        False: the number of right steps, or their weight.

    Returns
    -------
    score : float
        In [0, 1]; with `normalize=False` at most the number, or weight, of all.

    Raises
    ------
    ValueError
        If the steps of a sequence do not match.

    Examples
    --------
    >>> from skrnn.metrics import step_accuracy_score
    >>> step_accuracy_score([[1, 0], [1, 1, 1]], [[1, 0], [1, 0, 1]])
    0.8
    """
    right, lengths = _right_steps(y_true, y_pred)
    weights = _flat_weights(sample_weight, lengths)
    return _total(right, weights, normalize)


def sequence_accuracy_score(y_true, y_pred, *, sample_weight=None, normalize=True):
    """Return the share of sequences of which every time step is right.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples, n_timesteps) or \
(n_samples, n_timesteps, n_labels), or list or object array of arrays
        Labels of each step.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of sequences.

    normalize : bool, default=True
        False: the number of right sequences, or their weight.

    Returns
    -------
    score : float
        In [0, 1]; with `normalize=False` at most the number, or weight, of all.

    Raises
    ------
    ValueError
        If the steps of a sequence do not match.

    Examples
    --------
    >>> from skrnn.metrics import sequence_accuracy_score
    >>> sequence_accuracy_score([[1, 0], [1, 1, 1]], [[1, 0], [1, 0, 1]])
    0.5
    """
    right, lengths = _right_steps(y_true, y_pred)
    starts = np.cumsum(lengths) - lengths
    weights = None if sample_weight is None else np.asarray(sample_weight, float)
    if weights is not None and weights.shape != (len(lengths),):
        raise ValueError(
            f"sample_weight must have shape ({len(lengths)},), one weight for each "
            f"sequence. Got shape {weights.shape}."
        )
    return _total(np.logical_and.reduceat(right, starts), weights, normalize)


def per_step(metric):
    """Make a metric or scorer of scikit-learn take a target per time step.

    Parameters
    ----------
    metric : callable or str
        A function `metric(y_true, y_pred, **options)`, or a scorer: its name, such as
        'f1_macro', or what `make_scorer` returns.

    Returns
    -------
    metric : callable
        Of a function: one that lays the steps of all sequences end to end, and
        `sample_weight` with them, which may be given by sequences or by steps. Of a
        scorer: one for `scoring` of searches and cross-validation.

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
    if hasattr(metric, "_score_func"):
        return _StepScorer(metric, repr(metric))
    return _StepMetric(metric)


class _StepMetric:
    """A metric over the steps of all sequences, laid end to end."""

    def __init__(self, metric):
        self.metric = metric

    def __call__(self, y_true, y_pred, *, sample_weight=None, **options):
        true, lengths = flatten_steps(y_true, "y_true")
        pred, found = flatten_steps(y_pred, "y_pred")
        _check_lengths(lengths, found)
        if sample_weight is not None:
            options["sample_weight"] = _flat_weights(sample_weight, lengths)
        return self.metric(true, pred, **options)

    def __repr__(self):
        return f"per_step({getattr(self.metric, '__name__', self.metric)})"


class _StepScorer:
    """A scorer over the steps of all sequences, laid end to end."""

    def __init__(self, scorer, name):
        self.scorer = scorer
        self.name = name

    def __call__(self, estimator, X, y, sample_weight=None):
        true, lengths = flatten_steps(y, "y")
        options = {}
        if sample_weight is not None:
            options["sample_weight"] = _flat_weights(sample_weight, lengths)
        return self.scorer(_FlatEstimator(estimator, lengths), X, true, **options)

    def __repr__(self):
        return f"per_step({self.name})"


class _FlatEstimator:
    """An estimator whose answers are those of all steps, laid end to end."""

    def __init__(self, estimator, lengths):
        self._estimator = estimator
        self._lengths = lengths

    def __getattr__(self, name):
        if name.startswith("__") and name != "__sklearn_tags__":
            raise AttributeError(name)
        found = getattr(self._estimator, name)
        if name not in (
            "predict",
            "predict_proba",
            "predict_log_proba",
            "decision_function",
        ):
            return found

        @wraps(found)  # scikit-learn asks for the name of what it calls
        def answer(X):
            flat, lengths = flatten_steps(found(X), "The answer")
            _check_lengths(self._lengths, lengths)
            return flat

        return answer

    def __sklearn_tags__(self):
        return self._estimator.__sklearn_tags__()

    def __sklearn_is_fitted__(self):
        return True


def flatten_steps(y, name="y"):
    """Return all steps end to end, `(S,)` or `(S, k)`, and the length of each sequence.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_timesteps) or (n_samples, n_timesteps, k), \
or list or object array of arrays
        Something of each step.

    name : str, default='y'
        What messages call it.

    Returns
    -------
    flat : ndarray of shape (S,) or (S, k)

    lengths : ndarray of shape (n_samples,)
    """
    y = y.to_numpy() if hasattr(y, "to_numpy") else y
    if isinstance(y, np.ndarray) and y.ndim > 1:
        return y.reshape(-1, *y.shape[2:]), np.full(len(y), y.shape[1])
    pieces = [np.asarray(piece) for piece in y]
    if not pieces or any(piece.ndim == 0 for piece in pieces):
        raise ValueError(
            f"{name} must hold a sequence for each sample: shape (n_samples, "
            "n_timesteps), or a list of arrays. Got one value for a sample. Use "
            "scikit-learn's metric itself."
        )
    return np.concatenate(pieces), np.array([len(piece) for piece in pieces])


def _right_steps(y_true, y_pred):
    true, lengths = flatten_steps(y_true, "y_true")
    pred, found = flatten_steps(y_pred, "y_pred")
    _check_lengths(lengths, found)
    right = true == pred
    return (right.all(axis=1) if right.ndim > 1 else right), lengths


def _check_lengths(true, pred):
    if len(true) != len(pred):
        raise ValueError(
            "y_true and y_pred must have as many sequences. Got "
            f"{len(true)} and {len(pred)}."
        )
    if (true != pred).any():
        i = int((true != pred).argmax())
        raise ValueError(
            "y_true and y_pred must have as many time steps in every sequence. Got "
            f"{true[i]} and {pred[i]} in sequence {i}."
        )


def _flat_weights(sample_weight, lengths):
    if sample_weight is None:
        return None
    if all(np.ndim(weight) == 0 for weight in sample_weight):
        if len(sample_weight) == len(lengths):
            return np.repeat(np.asarray(sample_weight, float), lengths)
    else:
        weights, found = flatten_steps(sample_weight, "sample_weight")
        if np.array_equal(found, lengths):
            return weights.astype(float)
    raise ValueError(
        f"sample_weight must hold one weight for each of the {len(lengths)} sequences, "
        "or for each of their time steps. Got other lengths."
    )


def _total(right, weights, normalize):
    if normalize:
        return float(np.average(right, weights=weights))
    return float(right.sum() if weights is None else right @ weights)
