"""Recurrent networks as ordinary scikit-learn estimators."""

from skrnn import datasets, metrics
from skrnn._classifier import BiRNNClassifier, RNNClassifier
from skrnn._displays import ForecastDisplay, LossCurveDisplay, TimeStepDisplay
from skrnn._model_selection import PanelSplit
from skrnn._persistence import TRUSTED_TYPES, load_model
from skrnn._preprocessing.each_step import EachStep
from skrnn._preprocessing.frames import sequences_from_frame
from skrnn._preprocessing.to_sequences import ToSequences
from skrnn._preprocessing.tokens import TokenEncoder, TokenOneHotEncoder
from skrnn._preprocessing.windows import SlidingWindow, make_windows
from skrnn._regressor import RNNRegressor
from skrnn._training.checkpoint import Checkpoint
from skrnn._version import __version__ as __version__

__all__ = [
    "TRUSTED_TYPES",
    "BiRNNClassifier",
    "Checkpoint",
    "EachStep",
    "ForecastDisplay",
    "LossCurveDisplay",
    "PanelSplit",
    "RNNClassifier",
    "RNNRegressor",
    "SlidingWindow",
    "TimeStepDisplay",
    "ToSequences",
    "TokenEncoder",
    "TokenOneHotEncoder",
    "datasets",
    "load_model",
    "make_windows",
    "metrics",
    "sequences_from_frame",
]
