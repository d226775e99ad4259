"""Metrics and scorers of scikit-learn, adapted to a target per time step."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import wraps
from typing import Any, Self

import sklearn.metrics
from sklearn.metrics import make_scorer
from sklearn.utils import ClassifierTags

from skrnn._compat import accepts_sample_weight, with_class_labels
from skrnn._typing import AnyArray, Estimator, IntArray, TargetsLike
from skrnn.metrics._accuracy import sequence_accuracy_score
from skrnn.metrics._steps import check_lengths, flatten_steps, step_weights

# Scorers that scikit-learn does not have: functions of sequences, by name.
SEQUENCE_METRICS = {"sequence_accuracy": sequence_accuracy_score}


def get_scorer(scoring: str | Callable[..., Any]) -> Callable[..., Any]:
    """Return a scorer for a target per time step, by its name in scikit-learn.

    It is for the `scoring` of searches and cross-validation. scikit-learn's own
    function of this name returns scorers of single values, which fail for sequences;
    so does a name that is passed as `scoring`.

    Parameters
    ----------
    scoring : str or scorer
        One of `get_scorer_names`, such as 'f1_macro', 'neg_log_loss', 'r2' or
        'sequence_accuracy'; or a scorer of scikit-learn, as `make_scorer` returns it.

    Returns
    -------
    scorer : callable
        `scorer(estimator, X, y, sample_weight=None)`; a greater score is better. The
        weights may be per sequence or per step. It can be pickled.

    Raises
    ------
    TypeError
        If `scoring` is neither a string nor a scorer.

    ValueError
        If no scorer has this name. When called, if sequences, steps or weights do not
        match.

    See Also
    --------
    skrnn.metrics.per_step : Adapts functions of y_true and y_pred, too.
    skrnn.metrics.get_scorer_names : The names.

    Notes
    -----
    A scorer of scikit-learn is passed the concatenated steps of all sequences, and an
    estimator that predicts them, so that it may use classes, labels or probabilities.
    A target of shape `(n_samples, n_timesteps, k)` becomes `(n_steps, k)`. Scorers of
    probabilities receive the classes of the estimator, since a rare label may be
    missing in a fold.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import cross_val_score
    >>> from skrnn import RNNClassifier
    >>> from skrnn.metrics import get_scorer
    >>> X = [np.array(x) for x in ([0, 2, 1], [1, 0], [2, 0, 1, 2])] * 8
    >>> y = [["zero" if step == 0 else "other" for step in x] for x in X]
    >>> model = RNNClassifier(return_sequences=True, random_state=0)
    >>> cross_val_score(model, X, y, scoring=get_scorer("f1_macro"), cv=2)
    array([1., 1.])
    """
    if isinstance(scoring, str):
        if scoring in SEQUENCE_METRICS:
            return make_scorer(SEQUENCE_METRICS[scoring])
        if scoring not in sklearn.metrics.get_scorer_names():
            raise ValueError(
                f"scoring must be the name of a scorer. Got {scoring!r}. For the "
                "names, see skrnn.metrics.get_scorer_names."
            )
        return StepScorer(sklearn.metrics.get_scorer(scoring), repr(scoring))
    if isinstance(scoring, StepScorer):
        return scoring
    if not _is_scorer(scoring):
        raise TypeError(
            f"scoring must be a scorer, or the name of one. Got {scoring!r}. For a "
            "function of y_true and y_pred, apply sklearn.metrics.make_scorer first."
        )
    return StepScorer(copy(scoring), repr(scoring))


def get_scorer_names() -> list[str]:
    """Return the names that `get_scorer` knows.

    Returns
    -------
    names : list of str
        The names of scikit-learn's scorers, and 'sequence_accuracy', in alphabetical
        order.

    See Also
    --------
    skrnn.metrics.get_scorer : The scorer of a name.

    Examples
    --------
    >>> from skrnn.metrics import get_scorer_names
    >>> [name for name in get_scorer_names() if name.endswith("accuracy")]
    ['accuracy', 'balanced_accuracy', 'sequence_accuracy', 'top_k_accuracy']
    """
    return sorted([*sklearn.metrics.get_scorer_names(), *SEQUENCE_METRICS])


def per_step(metric: str | Callable[..., Any]) -> Callable[..., Any]:
    """Adapt a metric or scorer of scikit-learn to a target per time step.

    Parameters
    ----------
    metric : callable or str
        A function `metric(y_true, y_pred, **options)`, a scorer, as `make_scorer`
        returns it, or the name of a scorer, such as 'f1_macro'.

    Returns
    -------
    metric : callable
        For a metric, a function with the same signature that concatenates the steps of
        all sequences; its `sample_weight` may be per sequence or per step. For a
        scorer or a name, what `get_scorer` returns. All can be pickled if `metric` can.

    Raises
    ------
    TypeError
        If `metric` is neither a function, a scorer nor a string.

    ValueError
        If no scorer has this name. When called, if sequences, steps or weights do not
        match.

    See Also
    --------
    skrnn.metrics.get_scorer : For scorers only.
    sklearn.metrics.make_scorer : Makes a scorer from a metric.

    Notes
    -----
    Any function of two arrays will do: `per_step(classification_report)` and
    `per_step(confusion_matrix)` report on all steps.

    Where labels mark entities of several steps, such as names by B, I and O, the
    package seqeval has metrics of whole entities. It takes lists of lists, and a scorer
    is a function::

        def entity_f1(model, X, y):
            tags = [row.tolist() for row in model.predict(X)]
            return seqeval.metrics.f1_score(y, tags)

    Examples
    --------
    >>> from sklearn.metrics import f1_score
    >>> from skrnn.metrics import per_step
    >>> float(per_step(f1_score)([[1, 0], [1, 1, 1]], [[1, 0], [1, 1, 1]]))
    1.0
    >>> per_step("f1_macro")
    per_step('f1_macro')
    """
    if isinstance(metric, str) or _is_scorer(metric):
        return get_scorer(metric)
    if not callable(metric):
        raise TypeError(
            "metric must be a function of y_true and y_pred, a scorer or its name. Got "
            f"{metric!r}. For the names, see skrnn.metrics.get_scorer_names."
        )
    return StepMetric(metric)


def _is_scorer(scoring: object) -> bool:
    is_class = isinstance(scoring, type)  # estimators have the same method
    return callable(scoring) and not is_class and hasattr(scoring, "set_score_request")


class StepMetric:
    """A metric of the concatenated steps of all sequences."""

    def __init__(self, metric: Callable[..., Any]) -> None:
        self.metric = metric

    def __call__(
        self,
        y_true: TargetsLike,
        y_pred: TargetsLike,
        *others: Any,
        sample_weight: TargetsLike | None = None,
        **options: Any,
    ) -> Any:
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

    def __repr__(self) -> str:
        return f"per_step({getattr(self.metric, '__name__', self.metric)})"


class StepScorer:
    """A scorer of the concatenated steps of all sequences.

    Parameters
    ----------
    scorer : scorer
        Of single values. Requests of metadata are passed on to it.

    name : str
        For the representation.
    """

    def __init__(self, scorer: Any, name: str) -> None:
        self.scorer = scorer
        self.name = name

    def __call__(
        self,
        estimator: Estimator,
        X: Any,
        y: TargetsLike,
        sample_weight: TargetsLike | None = None,
    ) -> Any:
        true, lengths = flatten_steps(y, "y")
        options = {}
        if sample_weight is not None:
            options["sample_weight"] = step_weights(sample_weight, lengths)
        scorer = self.scorer
        if true.ndim == 1 and hasattr(estimator, "classes_"):
            scorer = with_class_labels(scorer, estimator.classes_)
        return scorer(FlatEstimator(estimator, lengths), X, true, **options)

    def set_score_request(self, **requests: bool | str | None) -> Self:
        """Request metadata, such as `sample_weight=True`."""
        self.scorer.set_score_request(**requests)
        return self

    def get_metadata_routing(self) -> Any:
        """Return the requested metadata."""
        return self.scorer.get_metadata_routing()

    def _accept_sample_weight(self) -> bool:
        """Tell scikit-learn, from 1.8, whether searches may pass weights."""
        return accepts_sample_weight(self.scorer)

    def __repr__(self) -> str:
        return f"per_step({self.name})"


class FlatEstimator:
    """An estimator whose predictions are the concatenated steps of all sequences."""

    def __init__(self, estimator: Estimator, lengths: IntArray) -> None:
        self._estimator = estimator
        self._lengths = lengths

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
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
        def predict(X: Any) -> AnyArray:
            flat, lengths = flatten_steps(attribute(X), f"The output of {name}")
            check_lengths(self._lengths, lengths)
            return flat

        return predict

    def __sklearn_tags__(self) -> Any:
        tags = self._estimator.__sklearn_tags__()
        if hasattr(self._estimator, "classes_"):  # it classifies single steps
            tags.estimator_type = "classifier"
            tags.classifier_tags = tags.classifier_tags or ClassifierTags()
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return True
