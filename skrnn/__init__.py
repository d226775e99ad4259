"""Recurrent networks as ordinary scikit-learn estimators."""

from skrnn import datasets, metrics
from skrnn._classifier import BiRNNClassifier, RNNClassifier
from skrnn._regressor import RNNRegressor
from skrnn._steps import EachStep, ToSequences, sequences_from_frame
from skrnn._tokens import TokenEncoder, TokenOneHotEncoder
from skrnn._windowing import SlidingWindow, make_windows

__version__ = "0.1.0"

__all__ = [
    "BiRNNClassifier",
    "EachStep",
    "RNNClassifier",
    "RNNRegressor",
    "SlidingWindow",
    "ToSequences",
    "TokenEncoder",
    "TokenOneHotEncoder",
    "datasets",
    "make_windows",
    "metrics",
    "sequences_from_frame",
]
