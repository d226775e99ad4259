"""Metrics for a target per time step, and adapters for those of scikit-learn."""

from skrnn.metrics._accuracy import sequence_accuracy_score, step_accuracy_score
from skrnn.metrics._scorers import get_scorer, get_scorer_names, per_step

__all__ = [
    "get_scorer",
    "get_scorer_names",
    "per_step",
    "sequence_accuracy_score",
    "step_accuracy_score",
]
