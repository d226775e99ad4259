"""`EachStep`, which applies a transformer of 2-D data to each time step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from sklearn.base import (
    BaseEstimator,
    OneToOneFeatureMixin,
    TransformerMixin,
    clone,
)
from sklearn.utils import get_tags
from sklearn.utils.validation import (
    check_array,
    check_is_fitted,
    has_fit_parameter,
    validate_data,
)

from skrnn._compat import HasMethods
from skrnn._data.sequences import FIXED, FREE, Sequences, split_sequences
from skrnn._data.validation import (
    as_array,
    check_any_length,
    n_dimensions,
    ragged_pieces,
)
from skrnn._documentation import DocumentationLinkMixin
from skrnn._typing import (
    AnyArray,
    ArrayLike,
    Estimator,
    IntArray,
    SequencesLike,
    TargetsLike,
    available_if,
)

# The forms of X; the output of `EachStep` has the form of its input.
TABLE, BLOCK, RAGGED = "2-D", "3-D", "ragged"


def _transformer_has(method: str) -> Callable[[Any], bool]:
    """Return a check for `available_if`: whether the transformer has a method."""

    def has(self: Any) -> bool:
        return hasattr(getattr(self, "transformer_", self.transformer), method)

    return has


# mypy does not see the `__init_subclass__` of scikit-learn, which has no types.
class EachStep(  # type: ignore[call-arg]
    DocumentationLinkMixin, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None
):
    """Apply a transformer of 2-D data to the time steps of sequences.

    The sequences are concatenated into one 2-D array with a row per time step, a clone
    of `transformer` is fitted on it, and the output is split into sequences again. All
    time steps are treated alike: a feature has one mean, one set of categories or one
    median. Use it to impute, encode, scale or select the features of 3-D or ragged X.

    Parameters
    ----------
    transformer : transformer
        Any scikit-learn transformer of 2-D data that keeps the number of rows,
        including a `Pipeline` or `ColumnTransformer`. It is cloned.

    Attributes
    ----------
    transformer_ : object
        The fitted clone of `transformer`.

    n_features_in_ : int
        Number of features of a time step; number of time steps if X is 2-D.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X is a list of DataFrames with string columns; names
        of the time steps, if X is one such DataFrame.

    See Also
    --------
    SlidingWindow : Transforms each row of a time series into a window.
    ToSequences : Transforms tables of lags into sequences.
    sklearn.compose.ColumnTransformer : Applies transformers to selected columns. Inside
        `EachStep` it selects columns of a list of DataFrames, also by name.

    Notes
    -----
    X may be

    - a 3-D array `(n_samples, n_timesteps, n_features)`. The output is 3-D,
      `(n_samples, n_timesteps, k)`, where k is the number of output features of the
      transformer.
    - ragged: a list, tuple or 1-D object array of arrays `(n_timesteps, n_features)`
      or `(n_timesteps,)`, or of DataFrames with the same columns, which are passed to
      the transformer with their names and dtypes. The output is a 1-D object array of
      arrays `(n_timesteps, k)`, whether or not the lengths differ.
    - a 2-D array or DataFrame: one sequence of a single feature in each row. The
      output is 2-D if k is 1, as for a scaler, and 3-D otherwise.

    Missing and infinite values, strings and objects are passed to the transformer
    unchecked. Sparse output, the default of `OneHotEncoder`, is converted to dense.

    y is used by supervised transformers. A y with a value for each time step, of
    shape `(n_samples, n_timesteps)` or `(n_samples, n_timesteps, n_outputs)` or
    ragged, is concatenated like X. Any other y has one entry for each sequence, which
    is repeated for each of its steps.

    In a pipeline with `SlidingWindow`, place the transformer itself before it. Each
    row of the series is then transformed once, while `EachStep` after `SlidingWindow`
    copies every window.

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

    Columns of DataFrames are selected by name:

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

    def __init__(self, transformer: Any) -> None:
        self.transformer = transformer

    def fit(
        self,
        X: SequencesLike,
        y: TargetsLike | None = None,
        sample_weight: TargetsLike | None = None,
    ) -> Self:
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
            If X has none of these forms, if y or `sample_weight` does not match X, or
            if the transformer does not accept `sample_weight`.
        """
        transformer, steps, params = self._prepare_fit(X, y, sample_weight)
        self.transformer_ = transformer.fit(steps.values, **params)
        return self

    def fit_transform(
        self,
        X: SequencesLike,
        y: TargetsLike | None = None,
        sample_weight: TargetsLike | None = None,
    ) -> AnyArray:
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
        transformer, steps, params = self._prepare_fit(X, y, sample_weight)
        if hasattr(transformer, "fit_transform") and sample_weight is None:
            # It may differ from fit followed by transform: see TargetEncoder.
            values = transformer.fit_transform(steps.values, **params)
        else:
            values = transformer.fit(steps.values, **params).transform(steps.values)
        self.transformer_ = transformer
        return steps.split(values)

    @available_if(_transformer_has("partial_fit"))
    def partial_fit(
        self,
        X: SequencesLike,
        y: TargetsLike | None = None,
        sample_weight: TargetsLike | None = None,
    ) -> Self:
        """Update the transformer with further time steps.

        Available only if the transformer has this method.

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
            transformer, steps, params = self._prepare_fit(X, y, sample_weight)
        else:
            transformer = self.transformer_
            steps = read_steps(self, X, reset=False)
            params = fit_params(transformer, steps.lengths, y, sample_weight)
        self.transformer_ = transformer.partial_fit(steps.values, **params)
        return self

    def transform(self, X: SequencesLike) -> AnyArray:
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
            If X has none of these forms or does not match the X of `fit`, or if the
            transformer does not return one row for each step.
        """
        check_is_fitted(self, "transformer_")
        steps = read_steps(self, X, reset=False)
        return steps.split(self.transformer_.transform(steps.values))

    @available_if(_transformer_has("inverse_transform"))
    def inverse_transform(self, X: SequencesLike) -> AnyArray:
        """Apply the inverse transformation to all time steps.

        Available only if the transformer has this method.

        Parameters
        ----------
        X : array-like or list of arrays
            Sequences as `transform` returns them.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_timesteps, n_features) or (n_samples,)
            Of the form of X; 2-D after a fit on 2-D X, unless X is ragged.
        """
        check_is_fitted(self, "transformer_")
        steps = to_steps(X, nested=self._input_kind == FREE)
        if steps is None and self._input_kind == FREE and n_dimensions(X) == 2:
            # The union of what X may be is too wide for numpy's overloads.
            raise ValueError(not_sequences_message(self, np.shape(X), "k"))  # type: ignore[arg-type]
        if steps is None:
            X = check_array(X, dtype=None, ensure_all_finite=False, input_name="X")
            steps = table_to_steps(X)
        elif self._input_kind == FIXED and steps.form == BLOCK:
            steps = steps._replace(form=TABLE)
        return steps.split(self.transformer_.inverse_transform(steps.values))

    @available_if(_transformer_has("get_feature_names_out"))
    def get_feature_names_out(
        self, input_features: ArrayLike | None = None
    ) -> AnyArray:
        """Return the names along the last axis of the output of `transform`.

        These are the output features of the transformer, or the time steps where the
        output is 2-D. Available only if the transformer has this method.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the features of X, if X has none.

        Returns
        -------
        names : ndarray of str
            One name for each feature, or time step.
        """
        check_is_fitted(self, "transformer_")
        if self._input_kind == FREE:
            return self.transformer_.get_feature_names_out(input_features)
        names = self.transformer_.get_feature_names_out()
        if len(names) > 1:
            return names
        return OneToOneFeatureMixin.get_feature_names_out(self, input_features)

    def set_output(self, *, transform: Any = None) -> Self:
        """Do nothing, since 3-D or ragged output cannot be a DataFrame.

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

    def _prepare_fit(
        self, X: SequencesLike, y: TargetsLike, sample_weight: TargetsLike
    ) -> tuple[Any, Steps, dict[str, Any]]:
        """Return a clone, the steps, and the other arguments of its `fit`."""
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

    def __sklearn_tags__(self) -> Any:
        """Return the tags of the transformer, extended by 3-D input."""
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


# Sequences as a 2-D array of steps, and the inverse


class Steps(NamedTuple):
    """The concatenated time steps of all sequences.

    Attributes
    ----------
    values : ndarray or DataFrame of shape (sum(lengths), n_features)
        A row for each step.

    lengths : ndarray of shape (n_samples,)
        The number of steps of each sequence.

    form : {'2-D', '3-D', 'ragged'}
        The form of X.
    """

    values: Any
    lengths: IntArray
    form: str

    def split(self, values: Any) -> AnyArray:
        """Split the output of a transformer into sequences, in the form of X."""
        if hasattr(values, "toarray"):
            values = values.toarray()
        values = np.asarray(values)
        n_steps = len(self.values)
        if values.ndim != 2 or len(values) != n_steps:
            raise ValueError(
                "The 'transformer' parameter of EachStep must return one row for each "
                f"time step. Got shape {values.shape} for {n_steps} steps. Add or drop "
                "steps before EachStep."
            )
        if self.form == RAGGED:
            return split_sequences(values, self.lengths)
        if self.form == TABLE and values.shape[1] == 1:
            return values.reshape(len(self.lengths), -1)
        return values.reshape(len(self.lengths), self.lengths[0], -1)


def read_steps(estimator: Estimator, X: Any, *, reset: bool) -> Steps:
    """Concatenate the steps of X, and set or check the attributes of its features.

    Parameters
    ----------
    estimator : EachStep
        With `reset`, `n_features_in_`, `feature_names_in_` and `_input_kind` are set
        on it; otherwise X is checked against them.

    X : array-like or list of arrays or DataFrames
        The sequences.

    reset : bool
        Whether this is the X of a new fit.

    Returns
    -------
    steps : Steps
        Its values are not validated.
    """
    fitted_free = not reset and estimator._input_kind == FREE
    steps = to_steps(X, nested=fitted_free)
    if steps is None:
        if fitted_free and n_dimensions(X) == 2:
            n_features = estimator.n_features_in_
            raise ValueError(not_sequences_message(estimator, np.shape(X), n_features))
        X = validate_data(
            estimator, X, reset=reset, dtype=None, ensure_all_finite=False
        )
        steps = table_to_steps(X)
    else:
        check_any_length(estimator, broadcast_sequences(steps), reset, "X")
        if reset or fitted_free:  # the names of the features of a step
            validate_data(estimator, steps.values, reset=reset, skip_check_array=True)
    if reset:
        estimator._input_kind = FIXED if steps.form == TABLE else FREE
    return steps


def to_steps(X: Any, *, nested: bool) -> Steps | None:
    """Return the steps of 3-D or ragged X, or None if X is neither."""
    pieces = ragged_pieces(X, nested=nested)
    if pieces is not None:
        values, lengths = concatenate_steps(pieces)
        return Steps(values, lengths, RAGGED)
    ndim = n_dimensions(X)
    if ndim < 3:
        return None
    X = np.asarray(X)
    if ndim > 3:
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


def table_to_steps(X: AnyArray) -> Steps:
    """Return the steps of 2-D X, whose rows are sequences of one feature."""
    return Steps(X.reshape(-1, 1), np.full(len(X), X.shape[1]), TABLE)


def not_sequences_message(estimator: Estimator, shape: Any, n_features: Any) -> str:
    """Return the error message for 2-D X after a fit on 3-D or ragged X."""
    return (
        f"X must be 3-D (n_samples, n_timesteps, {n_features}) or a list of sequences, "
        f"as the X that {type(estimator).__name__} was fitted on. Got a 2-D array of "
        f"shape {shape}. For one feature per step pass X[:, :, None]."
    )


def broadcast_sequences(steps: Steps) -> Sequences:
    """Return Sequences of the shape of `steps`, as views of a single zero."""
    lengths, n_features = steps.lengths, steps.values.shape[1]
    if (lengths == lengths[0]).all():
        return Sequences(np.broadcast_to(0.0, (len(lengths), lengths[0], n_features)))
    return Sequences(np.broadcast_to(0.0, (lengths.sum(), n_features)), lengths)


def concatenate_steps(pieces: list[Any]) -> tuple[Any, IntArray]:
    """Concatenate ragged sequences, arrays or frames; return them and their lengths."""
    frames = [hasattr(piece, "columns") for piece in pieces]
    if not any(frames):
        pieces = [as_array(piece, i, "X") for i, piece in enumerate(pieces)]
        pieces = [a[:, None] if a.ndim == 1 else a for a in pieces]
    elif not all(frames):
        i = frames.index(False)
        raise ValueError(
            "Every sequence of X must be a DataFrame if one is. Got "
            f"{type(pieces[i]).__name__} for sequence {i}. Pass only arrays or only "
            "DataFrames."
        )
    for i, piece in enumerate(pieces):
        check_piece(piece, i)
    check_same_features(pieces, frames=any(frames))
    lengths = np.array([len(piece) for piece in pieces])
    if not any(frames):
        return np.concatenate(pieces), lengths
    if isinstance(pieces[0], pd.DataFrame):
        return pd.concat(pieces, ignore_index=True), lengths
    import polars as pl  # installed, since the frames are of polars

    return pl.concat(pieces), lengths


def check_piece(piece: Any, i: int) -> None:
    """Raise an error unless a sequence is 2-D and has at least one step."""
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


def check_same_features(pieces: list[Any], *, frames: bool) -> None:
    """Raise an error unless all sequences have the features of the first."""
    first = pieces[0]
    for i, piece in enumerate(pieces):
        if frames and list(piece.columns) != list(first.columns):
            raise ValueError(
                "Every DataFrame of X must have the same columns in the same order. "
                f"Got {list(first.columns)} for sequence 0 and {list(piece.columns)} "
                f"for sequence {i}. Select the same columns of every DataFrame."
            )
        if piece.shape[1] != first.shape[1]:
            raise ValueError(
                "Every sequence of X must have the same number of features. Got "
                f"{first.shape[1]} for sequence 0 and {piece.shape[1]} for sequence "
                f"{i}."
            )


def fit_params(
    transformer: Any,
    lengths: IntArray,
    y: TargetsLike | None,
    sample_weight: TargetsLike | None,
) -> dict[str, Any]:
    """Return y and `sample_weight`, where given, with a row for each step."""
    params = {}
    if y is not None:
        params["y"] = step_targets(y, lengths)
    if sample_weight is not None:
        if not has_fit_parameter(transformer, "sample_weight"):
            raise ValueError(
                "sample_weight must be None if fit of the transformer does not accept "
                f"it. Got weights for {type(transformer).__name__}. Omit them."
            )
        params["sample_weight"] = step_weights(sample_weight, lengths)
    return params


def step_targets(y: Any, lengths: IntArray) -> AnyArray:
    """Return y with an entry for each step."""
    pieces = ragged_pieces(y, nested=False)
    if pieces is not None and list(map(len, pieces)) == lengths.tolist():
        return np.concatenate([np.asarray(piece) for piece in pieces])
    n_samples = len(lengths)
    if pieces is not None and len({len(piece) for piece in pieces}) > 1:
        raise ValueError(
            "Ragged y must have an entry for each time step of X. Got sequences of "
            "other lengths than those of X."
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


def step_weights(sample_weight: Any, lengths: IntArray) -> AnyArray:
    """Return a weight for each step."""
    weights = np.asarray(sample_weight)
    if weights.shape != (len(lengths),):
        raise ValueError(
            f"sample_weight must have shape ({len(lengths)},), one weight for each "
            f"sequence of X. Got shape {weights.shape}."
        )
    if not weights.any():
        raise ValueError(
            "sample_weight must have at least one nonzero weight. Got only zeros."
        )
    return np.repeat(weights, lengths)
