"""`ToSequences`, which transforms tables of lags into sequences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import (
    BaseEstimator,
    TransformerMixin,
)
from sklearn.utils.validation import (
    check_is_fitted,
    validate_data,
)

from skrnn._compat import Interval
from skrnn._documentation import DocumentationLinkMixin
from skrnn._typing import AnyArray, ArrayLike, IntArray


class ToSequences(DocumentationLinkMixin, TransformerMixin, BaseEstimator):
    """Transform the rows of a table of lags into sequences.

    skforecast, mlforecast and sktime's reduction pass an estimator a table with one
    column for each lag of a series, and further columns of exogenous variables. To use
    an estimator of sequences with them, make this the first step of a `Pipeline`.

    Parameters
    ----------
    n_features : int, default=1
        Number of variables whose lags are in the table.

    newest_first : bool, default=False
        Whether the columns of a variable are ordered from its newest value to its
        oldest, as in skforecast, and in mlforecast with increasing `lags`. sktime
        orders them from oldest to newest.

    static_columns : None, str, int, list, slice, bool mask or callable, default=None
        The columns that are not lags. Their values are repeated at every step, as
        features after the variables. Columns are selected by name (of a DataFrame) or
        index as in `ColumnTransformer`, including a callable that is passed X, such as
        `make_column_selector`. `slice(-3, None)` selects the last three columns.

    Attributes
    ----------
    n_timesteps_ : int
        Number of lags of each variable.

    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names, if X was a DataFrame with string columns.

    See Also
    --------
    make_windows : Splits a time series into windows and targets.
    SlidingWindow : Transforms each row of a time series into a window.

    Notes
    -----
    The columns of lags are grouped by variable, as in skforecast's multivariate
    forecasters and sktime's reduction. With two variables a and b, three lags and a
    static column s:

    ============================  =============================================
    order of the columns          setting
    ============================  =============================================
    a-3 a-2 a-1 b-3 b-2 b-1 s     `n_features=2, static_columns=[-1]`
    a-1 a-2 a-3 b-1 b-2 b-3 s     the same and `newest_first=True`
    s a-1 a-2 a-3 b-1 b-2 b-3     `static_columns=[0]` and both
    ============================  =============================================

    Each row becomes the three steps `(a-3, b-3, s)`, `(a-2, b-2, s)`, `(a-1, b-1, s)`.
    Static columns may have any index; the other columns are the lags, in their order.
    For tables where the variables alternate, use `X.reshape(len(X), -1, n_features)`.

    Without static columns the output is a read-only view of X. Missing values are
    accepted, so that `EachStep(SimpleImputer())` may follow.

    Examples
    --------
    The lags 1, 2 and 3, and the temperature:

    >>> import pandas as pd
    >>> from skrnn import ToSequences
    >>> table = pd.DataFrame(
    ...     [[3.0, 2.0, 1.0, 20.0], [4.0, 3.0, 2.0, 25.0]],
    ...     columns=["lag_1", "lag_2", "lag_3", "temperature"],
    ... )
    >>> to_sequences = ToSequences(newest_first=True, static_columns="temperature")
    >>> to_sequences.fit_transform(table)
    array([[[ 1., 20.],
            [ 2., 20.],
            [ 3., 20.]],
    <BLANKLINE>
           [[ 2., 25.],
            [ 3., 25.],
            [ 4., 25.]]])
    """

    _parameter_constraints: dict = {
        "n_features": [Interval(Integral, 1, None, closed="left")],
        "newest_first": ["boolean"],
        "static_columns": [str, Integral, "array-like", slice, callable, None],
    }

    def __init__(
        self,
        n_features: int = 1,
        *,
        newest_first: bool = False,
        static_columns: str
        | int
        | Sequence[str | int | bool]
        | slice
        | AnyArray
        | Callable[[Any], Any]
        | None = None,
    ) -> None:
        self.n_features = n_features
        self.newest_first = newest_first
        self.static_columns = static_columns

    def fit(self, X: ArrayLike | pd.DataFrame, y: Any = None) -> Self:
        """Learn which columns are lags.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            The table.

        y : ignored
            Present for `Pipeline`.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError
            If `static_columns` contains a column that X does not have, or if the
            number of the other columns is not a multiple of `n_features`.
        """
        self._fit(X)
        return self

    def fit_transform(self, X: ArrayLike | pd.DataFrame, y: Any = None) -> AnyArray:
        """Learn which columns are lags and return the sequences of X.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            The table.

        y : ignored
            Present for `Pipeline`.

        Returns
        -------
        sequences : ndarray of shape (n_samples, `n_timesteps_`, n_features + n_static)
            Oldest step first.
        """
        return self._sequences(self._fit(X))

    def transform(self, X: ArrayLike | pd.DataFrame) -> AnyArray:
        """Return the sequences of X.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            The table.

        Returns
        -------
        sequences : ndarray of shape (n_samples, `n_timesteps_`, n_features + n_static)
            Oldest step first.
        """
        check_is_fitted(self)
        return self._sequences(self._validate(X, reset=False))

    def set_output(self, *, transform: Any = None) -> Self:
        """Do nothing, since 3-D output cannot be a DataFrame.

        Parameters
        ----------
        transform : ignored
            Present for `Pipeline.set_output`.

        Returns
        -------
        self : object
            The transformer.
        """
        return self

    def _validate(self, X: ArrayLike | pd.DataFrame, reset: bool) -> AnyArray:
        return validate_data(
            self, X, reset=reset, dtype="numeric", ensure_all_finite="allow-nan"
        )

    def _fit(self, X: ArrayLike | pd.DataFrame) -> AnyArray:
        self._validate_params()
        values = self._validate(X, reset=True)
        selection = self.static_columns
        if callable(selection):
            selection = selection(X)
        names = getattr(self, "feature_names_in_", None)
        static = column_indices(selection, values.shape[1], names)
        lags = np.delete(np.arange(values.shape[1]), static)
        if len(lags) == 0 or len(lags) % self.n_features:
            raise ValueError(
                "X must have the same number of lags, at least one, for each variable. "
                f"Got {len(lags)} columns of lags for n_features={self.n_features}. "
                "Change n_features, or list the columns that are not lags in "
                "static_columns."
            )
        self._static, self._lags = static, slice_if_contiguous(lags)
        self.n_timesteps_ = len(lags) // self.n_features
        return values

    def _sequences(self, X: AnyArray) -> AnyArray:
        lags = X[:, self._lags].reshape(len(X), self.n_features, -1)
        lags = lags[:, :, ::-1] if self.newest_first else lags
        lags = lags.transpose(0, 2, 1)
        if len(self._static) == 0:
            lags.flags.writeable = False  # it may share memory with the X of the user
            return lags
        static = X[:, None, self._static]
        shape = (len(X), self.n_timesteps_, len(self._static))
        return np.concatenate([lags, np.broadcast_to(static, shape)], axis=2)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def column_indices(
    selection: Any, n_columns: int, names: AnyArray | None = None
) -> IntArray:
    """Return the indices of the selected columns.

    Parameters
    ----------
    selection : None, str, int, list, slice or bool mask
        As in `ColumnTransformer`: a slice of names includes its end.

    n_columns : int
        Number of columns.

    names : ndarray of str or None, default=None
        Names of the columns.

    Returns
    -------
    indices : ndarray of int
        In the order of the selection.
    """
    if selection is None:
        return np.arange(0)
    if isinstance(selection, slice):
        start, stop = (
            column_index(bound, n_columns, names) if isinstance(bound, str) else bound
            for bound in (selection.start, selection.stop)
        )
        stop = stop + 1 if isinstance(selection.stop, str) else stop
        return np.arange(n_columns)[slice(start, stop, selection.step)]
    if np.ndim(selection) == 0:
        selection = [selection]
    items = np.asarray(selection, dtype=object)
    if len(items) and all(isinstance(item, (bool, np.bool_)) for item in items):
        if len(items) != n_columns:
            raise ValueError(
                "A mask in the 'static_columns' parameter must have an entry for each "
                f"of the {n_columns} columns of X. Got {len(items)} entries."
            )
        return np.flatnonzero(items)
    indices = [column_index(item, n_columns, names) for item in items]
    if len(set(indices)) < len(indices):
        raise ValueError(
            "The 'static_columns' parameter must contain each column once. Got "
            f"{items.tolist()!r}."
        )
    return np.array(indices, dtype=np.intp)


def column_index(column: Any, n_columns: int, names: Any) -> int:
    """Return the index of a column, given by its name or a possibly negative index."""
    if isinstance(column, str) and names is None:
        raise ValueError(
            "X must be a DataFrame with string columns if 'static_columns' contains "
            f"names. Got {column!r} for X without names. Pass column indices."
        )
    if isinstance(column, str) and column in names:
        return int(np.flatnonzero(names == column)[0])
    # mypy does not know that numbers compare.
    if isinstance(column, Integral) and -n_columns <= column < n_columns:  # type: ignore[operator]
        return int(column) % n_columns
    raise ValueError(
        "The 'static_columns' parameter must contain columns of X. Got "
        f"{column!r} for X with {n_columns} columns."
    )


def slice_if_contiguous(indices: IntArray) -> slice | IntArray:
    """Return increasing indices as a slice if they have no gap, to index by a view."""
    if indices[-1] - indices[0] + 1 == len(indices):
        return slice(int(indices[0]), int(indices[-1]) + 1)
    return indices
