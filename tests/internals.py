"""What tests need of a fitted estimator that its public attributes do not show."""

import numpy as np

from skrnn._data.samples import EncodedSamples
from skrnn._inference.prediction import predict_outputs


def raw_outputs(model, X):
    """Return the outputs of the network, before they are decoded."""
    sequences = model._encoder.normalizer.normalize(model._check_X(X))
    return predict_outputs(model.module_, sequences)


def make_dataset(model, X, targets):
    """Return X and encoded targets as the net of `model` trains on them."""
    samples = EncodedSamples(model._check_X(X), targets)
    return model.net_.make_dataset(samples, np.arange(len(samples.sequences)))
