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
        If the sequences, their steps, the labels of a step or the weights do not
        match.

    See Also
    --------
    skrnn.metrics.sequence_accuracy_score : The share of sequences with no step wrong.
    skrnn.metrics.per_step : Any other metric, over all steps.

    Notes
    -----
    Every step counts the same, so a long sequence counts more than a short one. Give
    each sequence the weight of 1 over its length for sequences that count the same.

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
        If the sequences, their steps, the labels of a step or the weights do not
        match.

    See Also
    --------
    skrnn.metrics.step_accuracy_score : The share of steps that are right.

    Examples
    --------
    >>> from skrnn.metrics import sequence_accuracy_score
    >>> sequence_accuracy_score([[1, 0], [1, 1, 1]], [[1, 0], [1, 0, 1]])
    0.5
    """
    right, lengths = _right_steps(y_true, y_pred)
    starts = np.cumsum(lengths) - lengths
    weights = None
    if sample_weight is not None:
        if hasattr(sample_weight, "to_numpy"):
            sample_weight = sample_weight.to_numpy()
        weights = _weights_of_sequences(sample_weight, len(lengths))
        if weights is None:
            raise ValueError(
                f"sample_weight must hold one weight for each of the {len(lengths)} "
                f"sequences. Got {_form(sample_weight)}. Use step_accuracy_score for "
                "weights of time steps."
            )
    return _total(np.logical_and.reduceat(right, starts), weights, normalize)


def per_step(metric):
    """Make a metric or scorer of scikit-learn take a target per time step.

    Parameters
    ----------
    metric : callable or str
        A function `metric(y_true, y_pred, **options)`, or a scorer: its name, such as
        'f1_macro', or what `make_scorer` or `get_scorer` returns.

    Returns
    -------
    metric : callable
        Of a function: one that lays the steps of all sequences end to end, and
        `sample_weight` with them, which may be given by sequences or by steps. Of a
        scorer: one for `scoring` of searches and cross-validation. Both can be
        pickled, as far as what they are made of can be.

    Raises
    ------
    TypeError
        If `metric` is neither.

    ValueError
        If no scorer has this name. On use, also if sequences, steps or weights do not
        match; the first sequence that differs is named.

    See Also
    --------
    sklearn.metrics.make_scorer : Make a scorer of a metric.

    Notes
    -----
    A scorer sees an estimator whose answers, like y, are those of all steps end to
    end, so it may ask for classes, probabilities or decisions alike. A target of
    several outputs or labels, `(n_samples, n_timesteps, k)`, becomes `(n_steps, k)`.

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
            "metric must be a function of y_true and y_pred, a scorer or the name of "
            f"one. Got {metric!r}. Names are those of sklearn.metrics.get_scorer_names."
        )
    return _StepMetric(metric)


class _StepMetric:
    """A metric over the steps of all sequences, laid end to end."""

    def __init__(self, metric):
        self.metric = metric

    def __call__(self, y_true, y_pred, *others, sample_weight=None, **options):
        if others:  # as when it is given as `scoring`
            raise TypeError(
                f"{self!r} must be called with y_true and y_pred, as it was made of a "
                f"function. Got {2 + len(others)} arguments. For scoring, pass the "
                "function through sklearn.metrics.make_scorer before per_step."
            )
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

    Raises
    ------
    ValueError
        If y is of no such form.
    """
    y = y.to_numpy() if hasattr(y, "to_numpy") else y
    dense = isinstance(y, np.ndarray) and y.ndim > 1
    if not dense and (isinstance(y, str) or not np.iterable(y)):
        raise ValueError(_wrong_form(name, _form(y)))
    pieces = y if dense else [np.asarray(piece) for piece in y]
    if len(pieces) == 0:
        raise ValueError(
            f"{name} must hold at least one sequence. Got none. Leave empty parts out."
        )
    for i, piece in enumerate(pieces[:1] if dense else pieces):
        if piece.ndim == 0:
            raise ValueError(_wrong_form(name, f"one value for sequence {i}"))
        if piece.ndim > 2:
            raise ValueError(
                f"{name} must hold one value, or one row of values, for each time "
                f"step. Got shape {piece.shape} for sequence {i}. Flatten what a step "
                "holds."
            )
        if len(piece) == 0:
            raise ValueError(
                f"{name} must hold at least one time step for every sequence. Got none "
                f"for sequence {i}. Leave it out."
            )
        if piece.shape[1:] != pieces[0].shape[1:]:
            raise ValueError(
                f"{name} must hold as many values for every time step. Got shape "
                f"{pieces[0].shape} for sequence 0 and {piece.shape} for sequence {i}. "
                "Bring them to one form."
            )
    if dense:
        return y.reshape(-1, *y.shape[2:]), np.full(len(y), y.shape[1])
    return np.concatenate(pieces), np.array([len(piece) for piece in pieces])


def _wrong_form(name, came):
    return (
        f"{name} must hold a sequence for each sample: shape (n_samples, n_timesteps), "
        f"or a list of arrays. Got {came}. Use scikit-learn's metric itself for one "
        "value per sample."
    )


def _form(value):
    """Say what came in the place of an array, shortly."""
    try:
        return f"shape {np.shape(value)}" if np.ndim(value) else repr(value)
    except ValueError:  # numpy makes no array of rows of different lengths
        return "rows of different lengths"


def _right_steps(y_true, y_pred):
    true, lengths = flatten_steps(y_true, "y_true")
    pred, found = flatten_steps(y_pred, "y_pred")
    _check_lengths(lengths, found)
    if true.shape != pred.shape:  # numpy would broadcast (S, 1) and (S,) to (S, S)
        raise ValueError(
            "y_true and y_pred must have as many labels for every time step. Got "
            f"shapes {true.shape} and {pred.shape} for all steps end to end. Reshape "
            "one like the other."
        )
    right = true == pred
    return (right.all(axis=1) if right.ndim > 1 else right), lengths


def _check_lengths(true, pred):
    if len(true) != len(pred):
        raise ValueError(
            "y_true and y_pred must have as many sequences. Got "
            f"{len(true)} and {len(pred)}. Give one prediction for each sequence."
        )
    if (true != pred).any():
        i = int((true != pred).argmax())
        raise ValueError(
            "y_true and y_pred must have as many time steps in every sequence. Got "
            f"{true[i]} and {pred[i]} in sequence {i}. Give one value for each step."
        )


def _weights_of_sequences(sample_weight, n_sequences):
    """Return weights as an array if there is one number for each sequence, or None."""
    if not np.iterable(sample_weight) or len(sample_weight) != n_sequences:
        return None
    if any(map(np.ndim, sample_weight)):
        return None
    return np.asarray(sample_weight, dtype=float)


def _flat_weights(sample_weight, lengths):
    if sample_weight is None:
        return None
    if hasattr(sample_weight, "to_numpy"):
        sample_weight = sample_weight.to_numpy()
    weights = _weights_of_sequences(sample_weight, len(lengths))
    if weights is not None:
        return np.repeat(weights, lengths)
    if np.iterable(sample_weight) and any(map(np.ndim, sample_weight)):
        weights, found = flatten_steps(sample_weight, "sample_weight")
        if weights.ndim == 1 and np.array_equal(found, lengths):
            return weights.astype(float)
    raise ValueError(
        f"sample_weight must hold one weight for each of the {len(lengths)} sequences, "
        f"or for each of their time steps. Got {_form(sample_weight)}. Shape it so."
    )


def _total(right, weights, normalize):
    if normalize:
        return float(np.average(right, weights=weights))
    return float(right.sum() if weights is None else right @ weights)
