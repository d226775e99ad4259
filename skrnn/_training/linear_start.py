"""The linear start: a closed-form linear model of the lags, and shrinkage towards it.

With `ar_order` a linear layer, the highway, connects the last values of a window to the
output. Training starts with the highway at a Ridge regression and the head at zero, so
that the network learns a correction of the linear model. Cross-validation then decides
how much of this correction to keep.
"""

import numpy as np
import torch
from sklearn.linear_model import Ridge, RidgeCV
from torch.nn import functional as F

from skrnn._data.step_targets import unwrap_target
from skrnn._training.batches import CHUNK_ROWS, valid_steps

# Penalties of the Ridge regression for each row, in standardised units: hardly any for
# many rows, a strong one where there are hardly more rows than lags.
RIDGE_PENALTIES = np.logspace(-4, 0, 9)

# Candidates of the shrinkage factor: 0 is the linear model, 1 the trained network.
SHRINKAGE_FACTORS = np.linspace(0, 1, 101)


class LinearStart:
    """The linear model that the training of a net starts from.

    Parameters
    ----------
    net : RecurrentNet
        Whose module has a highway.
    """

    def __init__(self, net):
        self.net = net
        self.module = net.module_

    def fit(self, dataset):
        """Fit the linear model and set the highway to it.

        Parameters
        ----------
        dataset : SequenceDataset
            The training rows.

        Returns
        -------
        self : object
        """
        inputs = self._highway_inputs(dataset)
        weights = dataset.flat_weights
        positive = weights > 0
        inputs, weights = inputs[positive], weights[positive]
        targets = dataset.y.astype(np.float64)[positive]
        coefficients, intercept = fit_ridge(inputs, targets, weights)
        residuals = targets - inputs @ coefficients.T - intercept
        self.module.start_at_linear_model(
            *unwrap_target(self.net.target).from_linear_model(
                coefficients, intercept, residuals, weights
            )
        )
        highway = self.module.highway
        self.weight, self.bias = highway.weight.clone(), highway.bias.clone()
        return self

    @torch.no_grad()
    def _highway_inputs(self, dataset):
        """Return what the highway gets for each row or time step, in float64."""
        result = np.empty((len(dataset.y), self.module.highway.in_features))
        first = 0
        for part in torch.arange(len(dataset)).split(CHUNK_ROWS):
            batch, _ = dataset.batch(part)
            x, lengths = (
                self.module.encode_inputs(batch["values"]),
                batch.get("lengths"),
            )
            inputs = self.module.highway_inputs(x, lengths)
            if dataset.per_step:
                inputs = valid_steps(inputs, lengths)
            result[first : first + len(inputs)] = inputs.cpu()
            first += len(inputs)
        return result

    @torch.no_grad()
    def losses(self, dataset):
        """Return the loss of each row for each shrinkage factor.

        Parameters
        ----------
        dataset : SequenceDataset
            Rows that the net was not trained on.

        Returns
        -------
        losses : ndarray of shape (len(SHRINKAGE_FACTORS), len(dataset))
        """
        net, module = self.net, self.module
        module.eval()
        losses = np.empty((len(SHRINKAGE_FACTORS), len(dataset)))
        for part in torch.arange(len(dataset)).split(CHUNK_ROWS):
            batch, targets = dataset.batch(part)
            x = module.encode_inputs(batch["values"])
            lags = module.highway_inputs(x, batch.get("lengths"))
            linear = F.linear(lags, self.weight, self.bias)
            correction = net.infer(batch) - linear
            for i, factor in enumerate(SHRINKAGE_FACTORS):
                loss = net.criterion_(linear + factor * correction, targets)
                losses[i, part] = loss.cpu().numpy()
        return losses

    @torch.no_grad()
    def shrink(self, factor):
        """Multiply the network's correction of the linear model by a factor."""
        module = self.module
        module.head.weight.mul_(factor)
        module.head.bias.mul_(factor)
        highway = module.highway
        highway.weight.copy_(torch.lerp(self.weight, highway.weight, factor))
        highway.bias.copy_(torch.lerp(self.bias, highway.bias, factor))


def fit_ridge(inputs, targets, weights):
    """Return the coefficients `(K, n_inputs)` and the intercept `(K,)` of a Ridge.

    The penalty has the lowest leave-one-out error. Equal rows count as one row with the
    sum of their weights, so that leaving one out leaves all of them out, and a repeated
    row is the same as a row of weight 2. The penalty is proportional to the number of
    rows, as the loss is, and to the mean variance of the inputs.
    """
    rows = np.ascontiguousarray(np.column_stack([inputs, targets]))
    as_bytes = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    _, first, group = np.unique(as_bytes, return_index=True, return_inverse=True)
    weights = np.bincount(group, weights)
    inputs, targets = inputs[first], targets[first]
    mean = np.average(inputs, axis=0, weights=weights)
    variance = np.average((inputs - mean) ** 2, axis=0, weights=weights)
    unit = np.sqrt(variance.mean()) or 1.0
    total = weights.sum()
    if len(inputs) < 3:
        ridge = Ridge(alpha=total * RIDGE_PENALTIES[-1])
    else:
        ridge = RidgeCV(alphas=total * RIDGE_PENALTIES)
    ridge.fit(inputs / unit, targets, weights)
    return np.atleast_2d(ridge.coef_) / unit, np.ravel(ridge.intercept_)


def shrinkage_factor(losses, weights):
    r"""Return how much of the network's correction of the linear model to keep.

    The factor with the lowest loss on rows that were not trained on, shrunk by the
    uncertainty of its gain: with the mean gain :math:`g` over the linear model and its
    standard error :math:`s`, multiplied by :math:`\max(0, 1 - s^2 / g^2)`.

    Parameters
    ----------
    losses : ndarray of shape (len(SHRINKAGE_FACTORS), n)
        Of each row for each factor, see `LinearStart.losses`.

    weights : ndarray of shape (n,)
        Of the rows.

    Returns
    -------
    factor : float
        In [0, 1].

    References
    ----------
    James, Stein: Estimation with quadratic loss. Fourth Berkeley Symposium, 1961.
    This is the factor of the positive-part estimator, for one mean with an estimated
    standard error.
    """
    losses = losses[:, weights > 0]
    weights = weights[weights > 0] / weights.sum()
    with np.errstate(invalid="ignore"):
        mean = losses @ weights
    if np.isnan(mean).all():
        return 0.0
    best = np.nanargmin(mean)
    gains = losses[0] - losses[best]
    gain = weights @ gains
    if not gain > 0:
        return 0.0
    variance = weights**2 @ (gains - gain) ** 2
    return float(SHRINKAGE_FACTORS[best] * max(0.0, 1 - variance / gain**2))
