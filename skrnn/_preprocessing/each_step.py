"""From what others hand over to sequences, and per-step transformers for sequences.

`EachStep` carries any 2-D transformer over to sequences, `ToSequences` reads tables of
lags, `sequences_from_frame` reads long frames with a row for each time step.
"""

from itertools import pairwise
from numbers import Integral
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import (
    BaseEstimator,
    OneToOneFeatureMixin,
    TransformerMixin,
    clone,
)
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import (
    check_array,
    check_is_fitted,
    has_fit_parameter,
    validate_data,
)

from skrnn._compat import HasMethods, Interval
from skrnn._data.sequences import (
    FIXED,
    FREE,
    Sequences,
    _as_array,
    _check_free,
    _n_dimensions,
    _ragged_pieces,
)

# The forms of X that `EachStep` gives back as they came.
TABLE, BLOCK, RAGGED = "2-D", "3-D", "ragged"


def _transformer_has(method):
    """Whether the transformer of `EachStep` has a method, for `available_if`."""

    def has(self):
        return hasattr(getattr(self, "transformer_", self.transformer), method)

    return has


class EachStep(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):
    """Apply a transformer for tables to the time steps of sequences.

    The time steps of all sequences are laid end to end in one table with a row for
    each step, a clone of `transformer` is fitted on it, and its answer is cut into
    sequences again. So every step is treated alike and a feature has one mean, one
    set of categories or one median for all time. Use it to impute, encode, scale or
    select the features of 3-D or ragged X.

    Parameters
    ----------
    transformer : transformer
        Any scikit-learn transformer of 2-D data that keeps the number of rows, a
        `Pipeline` or `ColumnTransformer` of them included. It is cloned.

    Attributes
    ----------
    transformer_ : object
        The fitted clone of `transformer`.

    n_features_in_ : int
        Number of features of a time step; number of time steps if X is 2-D.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X is a list of DataFrames with string columns; names
        of the time steps, if it is one such DataFrame.

    See Also
    --------
    SlidingWindow : Makes a window of each row of a series.
    ToSequences : Makes sequences of tables of lags.
    sklearn.compose.ColumnTransformer : Applies transformers to some columns only; on
        a list of DataFrames it works inside `EachStep`, by name too.

    Notes
    -----
    X may be

    - a 3-D array `(n_samples, n_timesteps, n_features)`. The answer is one too,
      `(n_samples, n_timesteps, k)`, where the transformer makes k features of a step.
    - ragged: a list, tuple or 1-D object array of arrays `(n_timesteps, n_features)`
      or `(n_timesteps,)`, or of DataFrames with the same columns, which reach the
      transformer with their names and dtypes. The answer is a 1-D object array of
      arrays `(n_timesteps, k)`, whether or not the lengths differ.
    - a 2-D array or DataFrame: one sequence of a single feature in each row. The
      answer is 2-D as well if k is 1, as for a scaler, and 3-D otherwise.

    Missing and infinite values, strings and objects are left for the transformer to
    judge. If its answer is sparse, as that of `OneHotEncoder` is by default, it is
    made dense, because sequences are dense.

    y is meant for supervised transformers. One with a value for each time step, of
    shape `(n_samples, n_timesteps)` or `(n_samples, n_timesteps, n_outputs)` or
    ragged, is laid out as the steps are. Any other y has one entry for each sequence,
    which is repeated for each of its steps.

    In a pipeline with `SlidingWindow` put the transformer itself before the windows:
    that treats each row of the series once, whereas `EachStep` behind them copies out
    a window for each.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skrnn import EachStep
    >>> X = [np.array([[1.0, 10.0], [3.0, 30.0]]), np.array([[5.0, 20.0]])]
    >>> scale = EachStep(StandardScaler())
    >>> first, second = scale.fit_transform(X)
    >>> first.shape, second.shape
    ((2, 2), (1, 2))
    >>> scale.transformer_.mean_
    array([ 3., 20.])

    Columns of DataFrames are found by name:

    >>> import pandas as pd
    >>> from sklearn.compose import make_column_transformer
    >>> from sklearn.preprocessing import OneHotEncoder
    >>> frames = [
    ...     pd.DataFrame({"speed": [1.0, 2.0], "gear": ["low", "high"]}),
    ...     pd.DataFrame({"speed": [3.0], "gear": ["low"]}),
    ... ]
    >>> encode = EachStep(
    ...     make_column_transformer(
    ...         (OneHotEncoder(), ["gear"]), remainder="passthrough"
    ...     )
    ... )
    >>> encode.fit_transform(frames)[0]
    array([[0., 1., 1.],
           [1., 0., 2.]])
    >>> encode.get_feature_names_out()
    array(['onehotencoder__gear_high', 'onehotencoder__gear_low',
           'remainder__speed'], dtype=object)
    """

    _parameter_constraints: dict = {"transformer": [HasMethods(["fit", "transform"])]}

    def __init__(self, transformer):
        self.transformer = transformer

    def fit(self, X, y=None, sample_weight=None):
        """Fit the transformer on all time steps.

        Parameters
        ----------
        X : array-like or list of arrays or DataFrames
            Sequences, see Notes.

        y : array-like of shape (n_samples,) or as X, default=None
            Targets for a supervised transformer, see Notes.

        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sequence, and so of each of its steps. Only for a
            transformer whose `fit` takes it.

        Returns
        -------
        self : object
            The fitted transformer.

        Raises
        ------
        ValueError
            If X is not of these forms, if y or `sample_weight` does not fit X, or if
            the transformer takes no `sample_weight`.
        """
        transformer, steps, params = self._begin(X, y, sample_weight)
        self.transformer_ = transformer.fit(steps.values, **params)
        return self

    def fit_transform(self, X, y=None, sample_weight=None):
        """Fit the transformer on all time steps and transform them.

        Parameters
        ----------
        X : array-like or list of arrays or DataFrames
            Sequences, see Notes.

        y : array-like of shape (n_samples,) or as X, default=None
            Targets for a supervised transformer, see Notes.

        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sequence, and so of each of its steps. Only for a
            transformer whose `fit` takes it.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_timesteps, k), (n_samples,) or that of X
            3-D, ragged or 2-D, see Notes.
        """
        transformer, steps, params = self._begin(X, y, sample_weight)
        if hasattr(transformer, "fit_transform") and sample_weight is None:
            # Not always the same as one after the other: see TargetEncoder.
            values = transformer.fit_transform(steps.values, **params)
        else:
            values = transformer.fit(steps.values, **params).transform(steps.values)
        self.transformer_ = transformer
        return steps.cut(values)

    @available_if(_transformer_has("partial_fit"))
    def partial_fit(self, X, y=None, sample_weight=None):
        """Go on fitting the transformer on more time steps.

        Only if the transformer has this method.

        Parameters
        ----------
        X : array-like or list of arrays or DataFrames
            Sequences, see Notes.

        y : array-like of shape (n_samples,) or as X, default=None
            Targets for a supervised transformer, see Notes.

        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sequence, and so of each of its steps. Only for a
            transformer whose `fit` takes it.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        if not hasattr(self, "transformer_"):
            transformer, steps, params = self._begin(X, y, sample_weight)
        else:
            transformer = self.transformer_
            steps = read_steps(self, X, reset=False)
            params = fit_params(transformer, steps.lengths, y, sample_weight)
        self.transformer_ = transformer.partial_fit(steps.values, **params)
        return self

    def transform(self, X):
        """Transform all time steps.

        Parameters
        ----------
        X : array-like or list of arrays or DataFrames
            Sequences, see Notes.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_timesteps, k), (n_samples,) or that of X
            3-D, ragged or 2-D, see Notes.

        Raises
        ------
        ValueError
            If X is not of these forms, does not match the X of `fit`, or if the
            transformer does not return one row for each step.
        """
        check_is_fitted(self, "transformer_")
        steps = read_steps(self, X, reset=False)
        return steps.cut(self.transformer_.transform(steps.values))

    @available_if(_transformer_has("inverse_transform"))
    def inverse_transform(self, X):
        """Turn time steps back into what they were before `transform`.

        Only if the transformer has this method.

        Parameters
        ----------
        X : array-like or list of arrays
            Sequences as `transform` returns them.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_timesteps, n_features) or (n_samples,)
            In the form of X; 2-D after a fit on 2-D X, unless X is ragged.
        """
        check_is_fitted(self, "transformer_")
        steps = lay_out(X, nested=self._input_kind == FREE)
        if steps is None and self._input_kind == FREE and _n_dimensions(X) == 2:
            raise ValueError(not_sequences(self, np.shape(X), "k"))
        if steps is None:
            X = check_array(X, dtype=None, ensure_all_finite=False, input_name="X")
            steps = lay_out_table(X)
        elif self._input_kind == FIXED and steps.form == BLOCK:
            steps = steps._replace(form=TABLE)
        return steps.cut(self.transformer_.inverse_transform(steps.values))

    @available_if(_transformer_has("get_feature_names_out"))
    def get_feature_names_out(self, input_features=None):
        """Return the names along the last axis of what `transform` returns.

        These are the features of a time step as the transformer calls them, or the
        time steps where the answer is 2-D. Only if the transformer has this method.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the features of X, if it came without names.

        Returns
        -------
        names : ndarray of str
            One for each feature, or time step.
        """
        check_is_fitted(self, "transformer_")
        if self._input_kind == FREE:
            return self.transformer_.get_feature_names_out(input_features)
        names = self.transformer_.get_feature_names_out()
        if len(names) > 1:
            return names
        return OneToOneFeatureMixin.get_feature_names_out(self, input_features)

    def set_output(self, *, transform=None):
        """Do nothing: sequences are 3-D or ragged and cannot be a frame.

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

    def _begin(self, X, y, sample_weight):
        """Return a clone, the steps and what else its `fit` gets."""
        self._validate_params()
        if y is None and get_tags(self).target_tags.required:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but "
                "the target y is None."
            )
        steps = read_steps(self, X, reset=True)
        transformer = clone(self.transformer)
        params = fit_params(transformer, steps.lengths, y, sample_weight)
        return transformer, steps, params

    def __sklearn_tags__(self):
        """Say of X and y what the transformer says of them."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        inner = self.transformer
        if hasattr(inner, "__sklearn_tags__") and not isinstance(inner, type):
            inner = get_tags(inner)
            tags.input_tags.allow_nan = inner.input_tags.allow_nan
            tags.input_tags.positive_only = inner.input_tags.positive_only
            tags.target_tags.required = inner.target_tags.required
            if inner.transformer_tags is not None:
                tags.transformer_tags = inner.transformer_tags
        return tags


# Sequences as a table of steps, and back


class Steps(NamedTuple):
    """The time steps of all sequences end to end.

    Attributes
    ----------
    values : ndarray or DataFrame of shape (sum(lengths), n_features)
        A row for each step.

    lengths : ndarray of shape (n_samples,)
        The number of steps of each sequence.

    form : {'2-D', '3-D', 'ragged'}
        What X was.
    """

    values: object
    lengths: np.ndarray
    form: str

    def cut(self, values):
        """Cut a transformer's answer into sequences, in the form that X had."""
        if hasattr(values, "toarray"):
            values = values.toarray()
        values = np.asarray(values)
        n_steps = len(self.values)
        if values.ndim != 2 or len(values) != n_steps:
            raise ValueError(
                "The 'transformer' parameter of EachStep must return one row for each "
                f"time step. Got shape {values.shape} for {n_steps} steps. Add or drop "
                "steps before, outside of EachStep."
            )
        if self.form == RAGGED:
            return split(values, self.lengths)
        if self.form == TABLE and values.shape[1] == 1:
            return values.reshape(len(self.lengths), -1)
        return values.reshape(len(self.lengths), self.lengths[0], -1)


def read_steps(estimator, X, *, reset):
    """Lay the steps of X end to end, and set or check what `estimator` knows of them.

    Parameters
    ----------
    estimator : EachStep
        Gets `n_features_in_`, `feature_names_in_` and `_input_kind` when `reset`, is
        held against them otherwise.

    X : array-like or list of arrays or DataFrames
        The sequences.

    reset : bool
        Whether this is the X of a new fit.

    Returns
    -------
    steps : Steps
        Its values are not looked at.
    """
    fitted_free = not reset and estimator._input_kind == FREE
    steps = lay_out(X, nested=fitted_free)
    if steps is None:
        if fitted_free and _n_dimensions(X) == 2:
            n_features = estimator.n_features_in_
            raise ValueError(not_sequences(estimator, np.shape(X), n_features))
        X = validate_data(
            estimator, X, reset=reset, dtype=None, ensure_all_finite=False
        )
        steps = lay_out_table(X)
    else:
        _check_free(estimator, shape_only(steps), reset, "X")
        if reset or fitted_free:  # the names of the features of a step
            validate_data(estimator, steps.values, reset=reset, skip_check_array=True)
    if reset:
        estimator._input_kind = FIXED if steps.form == TABLE else FREE
    return steps


def lay_out(X, *, nested):
    """Lay the steps of 3-D or ragged X end to end; None if X is neither."""
    pieces = _ragged_pieces(X, nested=nested)
    if pieces is not None:
        values, lengths = concatenate(pieces)
        return Steps(values, lengths, RAGGED)
    n_dimensions = _n_dimensions(X)
    if n_dimensions < 3:
        return None
    X = np.asarray(X)
    if n_dimensions > 3:
        raise ValueError(
            "X must be 2-D (n_samples, n_timesteps), 3-D (n_samples, n_timesteps, "
            f"n_features) or a list of sequences. Got an array of shape {X.shape}."
        )
    if 0 in X.shape:
        raise ValueError(
            "X must have at least one sample, one time step and one feature. Got an "
            f"array of shape {X.shape}."
        )
    return Steps(X.reshape(-1, X.shape[2]), np.full(len(X), X.shape[1]), BLOCK)


def lay_out_table(X):
    """Lay the steps of sequences of one feature, a row each, end to end."""
    return Steps(X.reshape(-1, 1), np.full(len(X), X.shape[1]), TABLE)


def not_sequences(estimator, shape, n_features):
    """Build the message for 2-D X after a fit on 3-D or ragged X."""
    return (
        f"X must be 3-D (n_samples, n_timesteps, {n_features}) or a list of sequences, "
        f"as the X that {type(estimator).__name__} was fitted on. Got a 2-D array of "
        f"shape {shape}. For one feature per step pass X[:, :, None]."
    )


def shape_only(steps):
    """Return Sequences of the shape of `steps`, with no memory behind them."""
    lengths, n_features = steps.lengths, steps.values.shape[1]
    if (lengths == lengths[0]).all():
        return Sequences(np.broadcast_to(0.0, (len(lengths), lengths[0], n_features)))
    return Sequences(np.broadcast_to(0.0, (lengths.sum(), n_features)), lengths)


def concatenate(pieces):
    """Lay ragged sequences, arrays or frames, end to end; return them and lengths."""
    frames = [hasattr(piece, "columns") for piece in pieces]
    if not any(frames):
        pieces = [_as_array(piece, i, "X") for i, piece in enumerate(pieces)]
        pieces = [a[:, None] if a.ndim == 1 else a for a in pieces]
    elif not all(frames):
        i = frames.index(False)
        raise ValueError(
            "Every sequence of X must be a DataFrame if one is. Got "
            f"{type(pieces[i]).__name__} for sequence {i}. Pass arrays only, or name "
            "the columns of all."
        )
    for i, piece in enumerate(pieces):
        check_piece(piece, i)
    check_alike(pieces, frames=any(frames))
    lengths = np.array([len(piece) for piece in pieces])
    if not any(frames):
        return np.concatenate(pieces), lengths
    if isinstance(pieces[0], pd.DataFrame):
        return pd.concat(pieces, ignore_index=True), lengths
    import polars as pl  # the frames are its own, so that it is there

    return pl.concat(pieces), lengths


def check_piece(piece, i):
    """Refuse a sequence that is not a table of steps, or that has none."""
    if len(piece.shape) != 2:
        raise ValueError(
            "Every sequence of X must have shape (n_timesteps, n_features) or "
            f"(n_timesteps,). Got shape {piece.shape} for sequence {i}."
        )
    if 0 in piece.shape:
        raise ValueError(
            "Every sequence of X must have at least one time step. Got shape "
            f"{piece.shape} for sequence {i}. Remove it."
        )


def check_alike(pieces, *, frames):
    """Refuse sequences whose features are not those of the first."""
    first = pieces[0]
    for i, piece in enumerate(pieces):
        if frames and list(piece.columns) != list(first.columns):
            raise ValueError(
                "Every DataFrame of X must have the same columns in the same order. "
                f"Got {list(first.columns)} for sequence 0 and {list(piece.columns)} "
                f"for sequence {i}. Select the columns by a list of names."
            )
        if piece.shape[1] != first.shape[1]:
            raise ValueError(
                "Every sequence of X must have the same number of features. Got "
                f"{first.shape[1]} for sequence 0 and {piece.shape[1]} for sequence "
                f"{i}."
            )


def split(values, lengths):
    """Cut values into a 1-D object array with a piece of each length."""
    # Filled one by one: numpy would stack pieces of one length into one array.
    pieces = np.empty(len(lengths), dtype=object)
    bounds = [0, *np.cumsum(lengths).tolist()]
    for i, (start, stop) in enumerate(pairwise(bounds)):
        pieces[i] = values[start:stop]
    return pieces


def fit_params(transformer, lengths, y, sample_weight):
    """Return y and `sample_weight` with a row for each step, where they are given."""
    params = {}
    if y is not None:
        params["y"] = targets_of_steps(y, lengths)
    if sample_weight is not None:
        if not has_fit_parameter(transformer, "sample_weight"):
            raise ValueError(
                "sample_weight must be None for a transformer whose fit does not take "
                f"it. Got weights for {type(transformer).__name__}. Leave them out."
            )
        params["sample_weight"] = weights_of_steps(sample_weight, lengths)
    return params


def targets_of_steps(y, lengths):
    """Return y with an entry for each step."""
    pieces = _ragged_pieces(y, nested=False)
    if pieces is not None and list(map(len, pieces)) == lengths.tolist():
        return np.concatenate([np.asarray(piece) for piece in pieces])
    n_samples = len(lengths)
    if pieces is not None and len({len(piece) for piece in pieces}) > 1:
        raise ValueError(
            "Ragged y must have an entry for each time step of X. Got other lengths "
            "than those of the sequences of X."
        )
    y = np.asarray(y)
    if y.ndim == 0 or len(y) != n_samples:
        raise ValueError(
            f"y must have an entry for each sequence of X. Got shape {y.shape} for "
            f"{n_samples} sequences."
        )
    if y.ndim > 1 and (lengths == y.shape[1]).all():
        return y.reshape(-1, *y.shape[2:])
    return np.repeat(y, lengths, axis=0)


def weights_of_steps(sample_weight, lengths):
    """Return a weight for each step."""
    weights = np.asarray(sample_weight)
    if weights.shape != (len(lengths),):
        raise ValueError(
            f"sample_weight must have shape ({len(lengths)},), one weight for each "
            f"sequence of X. Got shape {weights.shape}."
        )
    if not weights.any():
        raise ValueError(
            "sample_weight must have at least one weight other than zero. Got zeros "
            "only."
        )
    return np.repeat(weights, lengths)


class ToSequences(TransformerMixin, BaseEstimator):
    """Turn the rows of a table of lags into sequences.

    For estimators of sequences inside tools that make tables: skforecast, mlforecast
    and sktime's reduction lay the past of a series into columns, one for each lag,
    and exogenous columns next to them. Put this first in a `Pipeline`.

    Parameters
    ----------
    n_features : int, default=1
        Number of variables whose lags are in the table.

    newest_first : bool, default=False
        Whether the columns of a variable run from its newest value to its oldest, as
        in skforecast, and in mlforecast with rising `lags`. sktime puts the oldest
        first.

    static_columns : None, str, int, list, slice, bool mask or callable, default=None
        The columns that are no lags. Their values are repeated on every step, as
        features behind the variables. Columns are chosen by name (of a DataFrame) or
        position with the words of `ColumnTransformer`, a callable that gets X such as
        `make_column_selector` included. The last three columns are `slice(-3, None)`.

    Attributes
    ----------
    n_timesteps_ : int
        Number of lags of each variable.

    n_features_in_ : int
        Columns of X.

    feature_names_in_ : ndarray of shape (n_features_in_,)
        Column names, if X was a DataFrame with string columns.

    See Also
    --------
    make_windows : Cuts a series into sequences and targets.
    SlidingWindow : Makes a sequence of each row of a series.

    Notes
    -----
    The columns of lags stand in blocks, variable by variable, as skforecast's
    multivariate forecasters and sktime's reduction lay them out. With two variables a
    and b, three lags and a static column s:

    ============================  =============================================
    order of the columns          setting
    ============================  =============================================
    a-3 a-2 a-1 b-3 b-2 b-1 s     `n_features=2, static_columns=[-1]`
    a-1 a-2 a-3 b-1 b-2 b-3 s     the same and `newest_first=True`
    s a-1 a-2 a-3 b-1 b-2 b-3     `static_columns=[0]` and both
    ============================  =============================================

    Each row becomes the three steps `(a-3, b-3, s)`, `(a-2, b-2, s)`, `(a-1, b-1, s)`.
    Static columns may stand anywhere; without them the columns of lags are taken in
    their order. For tables where the variables alternate, `X.reshape(len(X), -1,
    n_features)` is all that is needed.

    Without static columns the answer is a read-only view of X. Missing values are let
    through, so that `EachStep(SimpleImputer())` may follow.

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

    def __init__(self, n_features=1, *, newest_first=False, static_columns=None):
        self.n_features = n_features
        self.newest_first = newest_first
        self.static_columns = static_columns

    def fit(self, X, y=None):
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
            If `static_columns` names a column that X does not have, or leaves a
            number of columns that `n_features` does not divide.
        """
        self._fit(X)
        return self

    def fit_transform(self, X, y=None):
        """Learn which columns are lags, and return the sequences of X.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            The table.

        y : ignored
            Present for `Pipeline`.

        Returns
        -------
        sequences : ndarray of shape (n_samples, n_timesteps_, n_features + n_static)
            Oldest step first.
        """
        return self._sequences(self._fit(X))

    def transform(self, X):
        """Return the sequences of X.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_columns)
            The table.

        Returns
        -------
        sequences : ndarray of shape (n_samples, n_timesteps_, n_features + n_static)
            Oldest step first.
        """
        check_is_fitted(self)
        return self._sequences(self._validate(X, reset=False))

    def set_output(self, *, transform=None):
        """Do nothing: sequences are 3-D and cannot be a frame.

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

    def _validate(self, X, reset):
        return validate_data(
            self, X, reset=reset, dtype="numeric", ensure_all_finite="allow-nan"
        )

    def _fit(self, X):
        self._validate_params()
        values = self._validate(X, reset=True)
        selection = self.static_columns
        if callable(selection):
            selection = selection(X)
        names = getattr(self, "feature_names_in_", None)
        static = positions(selection, values.shape[1], names)
        lags = np.delete(np.arange(values.shape[1]), static)
        if len(lags) == 0 or len(lags) % self.n_features:
            raise ValueError(
                "X must have the same number of lags, one at least, for each variable. "
                f"Got {len(lags)} columns of lags for n_features={self.n_features}. "
                "Change n_features, or name the columns that are no lags in "
                "static_columns."
            )
        self._static, self._lags = static, as_slice(lags)
        self.n_timesteps_ = len(lags) // self.n_features
        return values

    def _sequences(self, X):
        lags = X[:, self._lags].reshape(len(X), self.n_features, -1)
        lags = lags[:, :, ::-1] if self.newest_first else lags
        lags = lags.transpose(0, 2, 1)
        if len(self._static) == 0:
            lags.flags.writeable = False  # it may show the memory of the user's X
            return lags
        static = X[:, None, self._static]
        shape = (len(X), self.n_timesteps_, len(self._static))
        return np.concatenate([lags, np.broadcast_to(static, shape)], axis=2)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def positions(selection, n_columns, names=None):
    """Return the positions of the columns that a selection means.

    Parameters
    ----------
    selection : None, str, int, list, slice or bool mask
        As in `ColumnTransformer`: a slice of names includes its end.

    n_columns : int
        How many there are.

    names : ndarray of str or None, default=None
        Their names.

    Returns
    -------
    positions : ndarray of int
        In the order of the selection.
    """
    if selection is None:
        return np.arange(0)
    if isinstance(selection, slice):
        start, stop = (
            position(bound, n_columns, names) if isinstance(bound, str) else bound
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
    found = [position(item, n_columns, names) for item in items]
    if len(set(found)) < len(found):
        raise ValueError(
            "The 'static_columns' parameter must name each column once. Got "
            f"{items.tolist()!r}."
        )
    return np.array(found, dtype=np.intp)


def position(column, n_columns, names):
    """Return the position of one column, by its name or a position that may be < 0."""
    if isinstance(column, str) and names is None:
        raise ValueError(
            "X must be a DataFrame with string columns if 'static_columns' holds "
            f"names. Got {column!r} for X without names. Pass positions."
        )
    if isinstance(column, str) and column in names:
        return int(np.flatnonzero(names == column)[0])
    if isinstance(column, Integral) and -n_columns <= column < n_columns:
        return int(column) % n_columns
    raise ValueError(
        "The 'static_columns' parameter must hold columns of X. Got "
        f"{column!r} for X with {n_columns} columns."
    )


def as_slice(positions):
    """Return rising positions as a slice where they have no gap: it makes a view."""
    if positions[-1] - positions[0] + 1 == len(positions):
        return slice(int(positions[0]), int(positions[-1]) + 1)
    return positions


class FrameSequences(NamedTuple):
    """What `sequences_from_frame` returns.

    Attributes
    ----------
    X : ndarray of shape (n_samples,)
        The sequences, of dtype object: arrays `(n_timesteps, n_features)`.

    y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or None
        A target for each sequence, or of dtype object with an array for each.

    groups : ndarray of shape (n_samples,)
        The group that each sequence came from.
    """

    X: np.ndarray
    y: np.ndarray | None
    groups: np.ndarray


def sequences_from_frame(
    frame, *, group, time=None, features=None, target=None, target_per="sequence"
):
    """Cut a long frame, with a row for each time step, into sequences.

    Parameters
    ----------
    frame : pandas or polars DataFrame
        The rows of a group need not stand together.

    group : column name or list of them
        What tells the sequences apart, such as a patient or a machine.

    time : column name or None, default=None
        What orders the rows of a group, oldest first. None keeps the order they have.

    features : column name, list of them or None, default=None
        Numeric columns. None means all that are not named otherwise. Missing values
        become NaN.

    target : column name, list of them or None, default=None
        What is to be predicted; None where it is not known.

    target_per : {'sequence', 'step'}, default='sequence'
        Whether there is one target for each sequence, then it must be the same in all
        rows of a group, or one for each time step.

    Returns
    -------
    X : ndarray of shape (n_samples,)
        The sequences, groups in the order of their first appearance: a 1-D object
        array of arrays `(n_timesteps, n_features)` of one dtype.

    y : ndarray of shape (n_samples,) or (n_samples, n_outputs), or None
        The targets. With `target_per='step'` a 1-D object array of arrays
        `(n_timesteps,)`, or `(n_timesteps, n_outputs)` for a list of targets. None
        without a target.

    groups : ndarray of shape (n_samples,)
        The group of each sequence, for `GroupKFold` or to tell which is which. Tuples
        if `group` is a list.

    Raises
    ------
    ValueError
        If a column is missing or not numeric, if a group, time or target is missing,
        if a group has a time twice, or if a target is not the same in a whole group.
    TypeError
        If `frame` is not a DataFrame.

    See Also
    --------
    EachStep : Imputes, encodes and scales the steps. It takes a list of DataFrames,
        `[rows for _, rows in frame.groupby("patient")]` say, where columns are not
        numeric yet.
    make_windows : Cuts windows of one length, and their targets, from a series.

    Notes
    -----
    The three are fields of a named tuple too: `sequences_from_frame(...).X`.

    Examples
    --------
    >>> import pandas as pd
    >>> from skrnn import sequences_from_frame
    >>> visits = pd.DataFrame(
    ...     {
    ...         "patient": ["bo", "al", "bo", "bo"],
    ...         "day": [3, 1, 1, 2],
    ...         "pulse": [64.0, 80.0, 60.0, 62.0],
    ...         "ill": [0, 1, 0, 0],
    ...     }
    ... )
    >>> X, y, groups = sequences_from_frame(
    ...     visits, group="patient", time="day", target="ill"
    ... )
    >>> X[0]
    array([[60.],
           [62.],
           [64.]])
    >>> y
    array([0, 1])
    >>> groups
    array(['bo', 'al'], dtype=object)
    """
    if target_per not in ("sequence", "step"):
        raise ValueError(
            f"target_per must be 'sequence' or 'step'. Got {target_per!r}."
        )
    table = read_frame(frame)
    by, targets = listed(group), listed(target)
    moments = [] if time is None else [time]
    if features is None:
        named = [*by, *moments, *targets]
        features = [name for name in table.columns if name not in named]
    roles = {"group": by, "time": moments, "target": targets}
    check_columns(table, {**roles, "features": listed(features)})
    check_present(table, roles)
    values = np.column_stack([numbers(table, name) for name in listed(features)])
    codes = table.groupby(by, sort=False, observed=True).ngroup().to_numpy()
    groups = group_keys(table, group, codes)
    order = order_of_rows(table, time, codes, groups)
    lengths = np.bincount(codes)
    y = None
    if target is not None:
        check_target(table, targets, target_per, codes, groups)
        y = table[target].to_numpy()
        y = (
            y[first_rows(codes)]
            if target_per == "sequence"
            else split(y[order], lengths)
        )
    return FrameSequences(split(values[order], lengths), y, groups)


def listed(columns):
    """Return a list of columns for a list, one column or None."""
    if columns is None:
        return []
    return columns if isinstance(columns, list) else [columns]


def read_frame(frame):
    """Return a pandas or polars frame as a pandas one."""
    if hasattr(frame, "get_column"):  # of polars, whose own conversion needs pyarrow
        frame = pd.DataFrame({name: frame[name].to_numpy() for name in frame.columns})
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(
            "frame must be a pandas or polars DataFrame. Got "
            f"{type(frame).__name__}. Convert it before."
        )
    if len(frame) == 0:
        raise ValueError(f"frame must have at least one row. Got shape {frame.shape}.")
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()].tolist()
        raise ValueError(
            f"frame must have each column once. Got {twice} more than once. Rename "
            "them."
        )
    return frame


def check_columns(frame, roles):
    """Refuse columns that a frame does not have, and roles that need one."""
    columns = list(frame.columns)
    for role, names in roles.items():
        for name in names:
            if name not in columns:
                raise ValueError(
                    f"{role} must name columns of frame. Got {name!r}, but frame has "
                    f"{columns}. If it is in the index, call reset_index() before."
                )
    for role in ("group", "features"):
        if not roles[role]:
            raise ValueError(
                f"{role} must name at least one column of frame. Got none of {columns}."
            )


def check_present(frame, roles):
    """Refuse missing groups, times and targets."""
    for role, names in roles.items():
        for name in names:
            missing = frame[name].isna().to_numpy()
            if missing.any():
                raise ValueError(
                    f"{role} must not be missing in any row of frame. Got a missing "
                    f"value of {name!r} in row {missing.argmax()}. Drop the row, or "
                    "fill it in."
                )


def numbers(frame, name):
    """Return a column as numbers, with NaN for what is missing."""
    column = frame[name]
    dtype = column.dtype
    is_number = pd.api.types.is_numeric_dtype(dtype)
    if not is_number or pd.api.types.is_complex_dtype(dtype):
        raise ValueError(
            f"features must be numeric columns of frame. Got {name!r} of dtype "
            f"{dtype}. Encode it before, or name the features without it."
        )
    if isinstance(dtype, np.dtype):
        return column.to_numpy()
    if column.isna().any():
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return column.to_numpy(dtype=getattr(dtype, "numpy_dtype", np.float64))


def first_rows(codes):
    """Return the row in which each group appears first."""
    return np.unique(codes, return_index=True)[1]


def group_keys(frame, group, codes):
    """Return what each group is called, in the order of their codes."""
    firsts = first_rows(codes)
    if not isinstance(group, list):
        return frame[group].to_numpy()[firsts]
    keys = np.empty(len(firsts), dtype=object)
    keys[:] = list(frame[group].iloc[firsts].itertuples(index=False, name=None))
    return keys


def order_of_rows(frame, time, codes, groups):
    """Return the rows by group, then by time; otherwise as they stand."""
    if time is None:
        return np.argsort(codes, kind="stable")
    ranks, _ = pd.factorize(frame[time], sort=True)
    order = np.lexsort((ranks, codes))
    twice = (np.diff(codes[order]) == 0) & (np.diff(ranks[order]) == 0)
    if twice.any():
        row = order[twice.argmax()]
        raise ValueError(
            "time must differ between the rows of a group. Got "
            f"{frame[time].iloc[row]} twice in group {groups[codes[row]]}. Drop or "
            "merge such rows, or leave time out to keep them in their order."
        )
    return order


def check_target(frame, targets, target_per, codes, groups):
    """Refuse a target per sequence that is not the same in all rows of a group."""
    if target_per == "step":
        return
    for name in targets:
        values, _ = pd.factorize(frame[name])
        differs = values != values[first_rows(codes)][codes]
        if differs.any():
            group = groups[codes[differs.argmax()]]
            raise ValueError(
                "target must be the same in all rows of a group if target_per="
                f"'sequence'. Got several values of {name!r} in group {group}. Set "
                "target_per='step' for a target per time step."
            )
