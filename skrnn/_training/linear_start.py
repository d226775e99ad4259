"""The closed-form linear model a network starts from."""

import numpy as np
from sklearn.linear_model import Ridge, RidgeCV

# Of the linear start, for each row, in standardised units: next to none serves where
# rows are many, much where there are hardly more rows than lags.
RIDGE_PENALTIES = np.logspace(-4, 0, 9)


# Of the way from the linear start to what was trained, tried on rows held out.
SHARES = np.linspace(0, 1, 101)


def ridge_by_leaving_out(inputs, targets, weights):
    """Return the coefficients `(K, n_inputs)` and the intercept `(K,)` of a Ridge.

    Its penalty has the least error on rows left out one by one. Equal rows are one
    row with their weights together, so that leaving one out leaves none of them and a
    repeated row is the same as a row of weight 2. The penalty grows with the number
    of rows, as the loss does, and is measured in the mean spread of the inputs.
    """
    rows = np.ascontiguousarray(np.column_stack([inputs, targets]))
    as_bytes = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    _, first, which = np.unique(as_bytes, return_index=True, return_inverse=True)
    weights = np.bincount(which, weights)
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


def share_worth_going(losses, weights):
    r"""Return how far to go from the linear start to what was trained.

    The share of least loss on rows that were not trained on, shrunk by how sure its
    gain is: with the gain :math:`g` over the start, a mean over rows, and its standard
    error :math:`s`, by the factor :math:`1 - s^2 / g^2`, or to zero if that is
    negative. A sure gain is kept, one that may be chance is not.

    Parameters
    ----------
    losses : ndarray of shape (len(SHARES), n)
        Of each row at each share.

    weights : ndarray of shape (n,)
        Of the rows.

    Returns
    -------
    share : float
        In [0, 1].

    References
    ----------
    James, Stein: Estimation with quadratic loss. Fourth Berkeley Symposium, 1961.
    The factor is that of its positive part, for one number with an estimated error.
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
    return float(SHARES[best] * max(0.0, 1 - variance / gain**2))
