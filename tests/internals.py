"""What tests need of a fitted estimator that its public attributes do not show."""

import numpy as np
import torch

from skrnn._data.samples import EncodedSamples
from skrnn._inference.prediction import predict_outputs


def raw_outputs(model, X):
    """Return the outputs of the network, before they are decoded."""
    sequences = model._encoder.normalizer.normalize(model._check_X(X))
    return predict_outputs(model.module_, sequences)


def without_network(model):
    """Return a fitted regressor of which only its linear model is left."""
    with torch.no_grad():
        for parameter in model.module_.head.parameters():
            parameter.zero_()
    return model


def make_dataset(model, X, targets):
    """Return X and encoded targets as the net of `model` trains on them."""
    samples = EncodedSamples(model._check_X(X), targets)
    return model.net_.make_dataset(samples, np.arange(len(samples.sequences)))


def assert_equal_up_to_rounding(actual, expected, n_terms):
    """Compare outputs of the same row in different batches.

    torch and BLAS may sum in another order where the batch has another size. Each of
    the `n_terms` additions of a gate, and a few operations after them, rounds by eps
    / 2 at most; a state contracts, so that the errors of all steps add up to five
    times that, see `test_states_do_not_depend_on_the_place_in_the_batch`.
    """
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype
    scale = max(1.0, np.abs(expected).max(initial=0))
    atol = 5 * (n_terms + 4) * np.finfo(expected.dtype).eps * scale
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)
