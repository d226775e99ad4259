"""EachStep."""

import pickle
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import (
    ColumnTransformer,
    make_column_transformer,
)
from sklearn.decomposition import NMF, PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectFromModel, SelectKBest, f_regression
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)
from sklearn.utils import get_tags
from sklearn.utils._param_validation import InvalidParameterError

from skrnn import (
    EachStep,
    RNNClassifier,
    RNNRegressor,
)

# scikit-learn 1.6 reads names by a protocol that the newest polars has dropped.
KNOWS_POLARS = hasattr(
    StandardScaler().fit(pl.DataFrame({"a": [1.0]})), "feature_names_in_"
)
if_names_of_polars = pytest.mark.skipif(
    not KNOWS_POLARS, reason="this scikit-learn does not find names in polars"
)


def objects(pieces):
    """Return pieces as a 1-D object array."""
    array = np.empty(len(pieces), dtype=object)
    array[:] = pieces
    return array


def block_of(n_samples=4, n_timesteps=3, n_features=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n_samples, n_timesteps, n_features))


def ragged_of(lengths=(3, 1, 4), n_features=2, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, n_features)) for length in lengths]


def frames_of(lengths=(3, 1, 4)):
    rng = np.random.default_rng(0)
    return [
        pd.DataFrame(
            {
                "speed": rng.normal(size=length),
                "gear": rng.choice(["low", "high"], size=length),
                "load": rng.integers(5, size=length),
            }
        )
        for length in lengths
    ]


def assert_ragged_equal(actual, expected):
    assert isinstance(actual, np.ndarray)
    assert (actual.ndim, actual.dtype) == (1, object)
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        assert_array_equal(one, other, strict=True)


class Thinned(TransformerMixin, BaseEstimator):
    """Returns every second row."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return np.asarray(X)[::2]


class Recorder(TransformerMixin, BaseEstimator):
    """Keeps what it was given."""

    def fit(self, X, y=None, sample_weight=None):
        self.X_, self.y_, self.sample_weight_ = X, y, sample_weight
        return self

    def transform(self, X):
        return np.asarray(X)


# EachStep against the transformer on stacked steps


@given(
    n_samples=st.integers(1, 5),
    n_timesteps=st.integers(1, 5),
    n_features=st.integers(1, 3),
    dtype=st.sampled_from([np.float64, np.float32]),
)
def test_a_block_is_scaled_as_its_steps_are(n_samples, n_timesteps, n_features, dtype):
    X = block_of(n_samples, n_timesteps, n_features).astype(dtype)
    scaler = StandardScaler().fit(X.reshape(-1, n_features))
    expected = np.stack([scaler.transform(sequence) for sequence in X])

    scale = EachStep(StandardScaler()).fit(X)

    assert_array_equal(scale.transform(X), expected, strict=True)
    together = EachStep(StandardScaler()).fit_transform(X)
    assert_array_equal(together, expected, strict=True)


@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_ragged_sequences_are_scaled_as_their_steps_are(lengths):
    X = ragged_of(lengths)
    scaler = StandardScaler().fit(np.concatenate(X))
    expected = [scaler.transform(sequence) for sequence in X]

    scale = EachStep(StandardScaler()).fit(X)

    assert_ragged_equal(scale.transform(X), expected)
    assert_ragged_equal(EachStep(StandardScaler()).fit_transform(X), expected)


RAGGED_FORMS = {
    "list": list,
    "tuple": tuple,
    "object array": objects,
    "Series": lambda X: pd.Series(objects(X)),
    "lists": lambda X: [sequence.tolist() for sequence in X],
}


@pytest.mark.parametrize("form", RAGGED_FORMS.values(), ids=RAGGED_FORMS)
def test_every_ragged_form_gives_the_same(form):
    X = ragged_of()
    expected = EachStep(StandardScaler()).fit_transform(X)

    assert_ragged_equal(EachStep(StandardScaler()).fit_transform(form(X)), expected)


def test_sequences_of_equal_length_in_a_list_stay_ragged():
    X = list(block_of())

    answer = EachStep(StandardScaler()).fit_transform(X)

    assert (answer.ndim, answer.dtype) == (1, object)
    assert_array_equal(
        np.stack(list(answer)), EachStep(StandardScaler()).fit(X).transform(block_of())
    )


def test_ragged_sequences_of_one_feature_get_an_axis_for_it():
    X = [np.array([1.0, 2.0]), np.array([3.0])]

    answer = EachStep(MinMaxScaler()).fit_transform(X)

    assert_ragged_equal(answer, [np.array([[0.0], [0.5]]), np.array([[1.0]])])


def test_the_answer_for_a_table_is_a_table_if_a_step_has_one_feature():
    X = block_of()[:, :, 0]
    expected = (X - X.mean()) / X.std()

    assert_allclose(EachStep(StandardScaler()).fit_transform(X), expected)


def test_the_answer_for_a_table_is_a_block_if_a_step_has_several_features():
    X = np.array([["a", "b"], ["b", "c"]], dtype=object)

    answer = EachStep(OneHotEncoder()).fit_transform(X)

    expected = [[[1, 0, 0], [0, 1, 0]], [[0, 1, 0], [0, 0, 1]]]
    assert_array_equal(answer, np.array(expected, dtype=float), strict=True)


def test_a_block_of_one_feature_is_taken_after_a_fit_on_a_table():
    X = block_of()[:, :, 0]
    scale = EachStep(StandardScaler()).fit(X)

    answer = scale.transform(X[:, :, None])

    assert_array_equal(answer, scale.transform(X)[:, :, None], strict=True)


def test_other_lengths_are_taken_after_a_fit_on_a_block():
    scale = EachStep(StandardScaler()).fit(block_of(n_timesteps=3))

    assert scale.transform(block_of(n_timesteps=7)).shape == (4, 7, 2)
    assert len(scale.transform(ragged_of())) == 3


def test_lists_of_equal_length_are_sequences_after_a_fit_on_ragged_x():
    scale = EachStep(MinMaxScaler()).fit([[0.0, 4.0, 2.0], [4.0]])

    answer = scale.transform([[1.0, 2.0], [3.0, 4.0]])

    expected = [np.array([[0.25], [0.5]]), np.array([[0.75], [1.0]])]
    assert_ragged_equal(answer, expected)


def test_a_transformer_may_make_other_features_of_a_step():
    X = block_of(n_features=4)
    expected = PCA(2).fit_transform(X.reshape(-1, 4)).reshape(4, 3, 2)

    assert_allclose(EachStep(PCA(2)).fit_transform(X), expected)


def test_missing_values_reach_an_imputer():
    X = [np.array([[1.0, np.nan]]), np.array([[np.nan, 4.0], [3.0, 6.0]])]

    answer = EachStep(SimpleImputer()).fit_transform(X)

    expected = [np.array([[1.0, 5.0]]), np.array([[2.0, 4.0], [3.0, 6.0]])]
    assert_ragged_equal(answer, expected)


@pytest.mark.parametrize("transformer", [StandardScaler(), PCA(), NMF()], ids=repr)
def test_the_transformer_decides_which_values_are_taken(transformer):
    inner, tags = get_tags(transformer), get_tags(EachStep(transformer))

    assert tags.input_tags.allow_nan == inner.input_tags.allow_nan
    assert tags.input_tags.positive_only == inner.input_tags.positive_only
    assert tags.transformer_tags == inner.transformer_tags


def test_the_transformer_decides_whether_y_is_required():
    assert get_tags(EachStep(TargetEncoder())).target_tags.required
    assert not get_tags(EachStep(StandardScaler())).target_tags.required


def test_tags_of_what_has_none_are_the_usual_ones():
    assert not get_tags(EachStep(StandardScaler)).input_tags.allow_nan


def test_infinite_values_are_refused_by_the_transformer():
    X = block_of()
    X[0, 0, 0] = np.inf

    with pytest.raises(ValueError, match=r"^Input X contains infinity"):
        EachStep(StandardScaler()).fit(X)


def test_strings_reach_an_encoder():
    X = np.array([[["a", "x"], ["b", "x"]]], dtype=object)

    answer = EachStep(OrdinalEncoder()).fit_transform(X)

    assert_array_equal(answer, [[[0, 0], [1, 0]]])


def test_a_sparse_answer_is_made_dense():
    X = [np.array([["a"], ["b"]], dtype=object), np.array([["b"]], dtype=object)]
    stacked = OneHotEncoder().fit_transform(np.concatenate(X))
    assert sparse.issparse(stacked)

    answer = EachStep(OneHotEncoder()).fit_transform(X)

    assert_ragged_equal(answer, [stacked.toarray()[:2], stacked.toarray()[2:]])


def test_x_is_left_as_it_was():
    X = block_of()
    before = X.copy()

    EachStep(StandardScaler()).fit_transform(X)

    assert_array_equal(X, before)


# DataFrames, one for each sequence

ENCODE = make_column_transformer(
    (OneHotEncoder(), ["gear"]), (StandardScaler(), ["speed", "load"])
)


def test_columns_of_frames_are_found_by_name():
    X = frames_of()
    stacked = clone(ENCODE).fit_transform(pd.concat(X))

    answer = EachStep(ENCODE).fit_transform(X)

    assert_ragged_equal(answer, np.split(stacked, [3, 4]))


def test_frames_keep_names_and_dtypes():
    X = frames_of()
    record = EachStep(Recorder()).fit(X)

    pd.testing.assert_frame_equal(
        record.transformer_.X_, pd.concat(X, ignore_index=True)
    )


@if_names_of_polars
def test_polars_frames_keep_their_names():
    X = [pl.from_dict(frame.to_dict("list")) for frame in frames_of()]

    answer = EachStep(ENCODE).fit_transform(X)

    assert_ragged_equal(answer, EachStep(ENCODE).fit_transform(frames_of()))


def test_names_of_features_are_those_of_frames():
    encode = EachStep(ENCODE).fit(frames_of())

    assert_array_equal(encode.feature_names_in_, ["speed", "gear", "load"])
    assert encode.n_features_in_ == 3


def test_names_of_features_are_forgotten_by_a_fit_without():
    scale = EachStep(StandardScaler()).fit([frame[["load"]] for frame in frames_of()])

    scale.fit(block_of())

    assert not hasattr(scale, "feature_names_in_")
    assert scale.n_features_in_ == 2


def test_names_of_the_columns_of_a_table_are_those_of_its_steps():
    table = pd.DataFrame(block_of()[:, :, 0], columns=["t1", "t2", "t3"])

    scale = EachStep(StandardScaler()).fit(table)

    assert_array_equal(scale.feature_names_in_, table.columns)


def test_frames_with_other_names_are_refused():
    encode = EachStep(ENCODE).fit(frames_of())
    others = [frame.rename(columns={"load": "weight"}) for frame in frames_of()]

    with pytest.raises(ValueError, match=r"^The feature names should match"):
        encode.transform(others)


def test_frames_with_different_columns_are_refused():
    first, second, _ = frames_of()

    message = (
        "Every DataFrame of X must have the same columns in the same order. Got "
        "['speed', 'gear', 'load'] for sequence 0 and ['load', 'speed', 'gear'] for "
        "sequence 1. Select the same columns of every DataFrame."
    )
    with raises(ValueError, message):
        EachStep(ENCODE).fit([first, second[["load", "speed", "gear"]]])


def test_frames_among_arrays_are_refused():
    frame = frames_of()[0]

    message = (
        "Every sequence of X must be a DataFrame if one is. Got ndarray for sequence "
        "1. Pass only arrays or only DataFrames."
    )
    with raises(ValueError, message):
        EachStep(ENCODE).fit([frame, frame.to_numpy()])


# y and weights for each step


@pytest.mark.parametrize("y", [[0.0, 1.0, 2.0], np.arange(6.0).reshape(3, 2)])
def test_y_of_a_sequence_is_repeated_for_its_steps(y):
    X = ragged_of([3, 1, 4])

    given = EachStep(Recorder()).fit(X, y).transformer_.y_

    assert_array_equal(given, [y[i] for i in (0, 0, 0, 1, 2, 2, 2, 2)])


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 2)])
def test_y_of_the_steps_of_a_block_is_laid_out_as_they_are(shape):
    y = np.arange(np.prod(shape)).reshape(shape)

    given = EachStep(Recorder()).fit(block_of(4, 3), y).transformer_.y_

    assert_array_equal(given, np.concatenate(list(y)))


def test_y_of_ragged_steps_is_laid_out_as_they_are():
    y = [np.array([0, 1, 2]), np.array([3]), np.array([4, 5, 6, 7])]

    given = EachStep(Recorder()).fit(ragged_of([3, 1, 4]), y).transformer_.y_

    assert_array_equal(given, np.arange(8))


def test_without_y_the_transformer_gets_none():
    class NeedsNoY(TransformerMixin, BaseEstimator):
        def fit(self, X):
            self.fitted_ = True
            return self

        def transform(self, X):
            return X

    assert EachStep(NeedsNoY()).fit(block_of()).transformer_.fitted_


def test_features_are_selected_with_the_target_of_their_sequence():
    y = np.array([0.0, 1.0, 5.0, 2.0])
    X = block_of(4, 3, 3)
    X[:, :, 1] += 10 * y[:, None]

    select = EachStep(SelectKBest(f_regression, k=1))

    assert_array_equal(select.fit_transform(X, y), X[:, :, 1:2])


def test_fit_transform_is_that_of_the_transformer():
    class CrossFitted(Recorder):
        def fit_transform(self, X, y=None):
            return -self.fit(X, y).transform(X)

    X = ragged_of()
    cross = EachStep(CrossFitted())

    assert_ragged_equal(cross.fit_transform(X), [-sequence for sequence in X])
    assert_ragged_equal(cross.transform(X), X)


def test_a_supervised_transformer_with_an_estimator_gets_y():
    select = SelectFromModel(RandomForestRegressor(5, random_state=0), max_features=1)

    answer = EachStep(select).fit_transform(block_of(20, 3, 3), np.arange(20.0))

    assert answer.shape[:2] == (20, 3)


def test_a_missing_y_that_is_required_is_refused_in_the_words_of_scikit_learn():
    message = (
        "This EachStep estimator requires y to be passed, but the target y is None."
    )
    with raises(ValueError, message):
        EachStep(TargetEncoder()).fit(block_of())


def test_y_of_another_length_is_refused():
    message = (
        "y must have an entry for each sequence of X. Got shape (3,) for 4 sequences."
    )
    with raises(ValueError, message):
        EachStep(Recorder()).fit(block_of(4), [0, 1, 2])


def test_ragged_y_of_other_lengths_is_refused():
    message = (
        "Ragged y must have an entry for each time step of X. Got sequences of other "
        "lengths than those of X."
    )
    with raises(ValueError, message):
        EachStep(Recorder()).fit(ragged_of([1, 2]), [[0, 1], [1]])


def test_a_weight_counts_for_each_step_of_its_sequence():
    X, weights = ragged_of(), [1.0, 0.0, 2.0]
    scaler = StandardScaler().fit(
        np.concatenate(X), sample_weight=[1] * 3 + [0] + [2] * 4
    )

    scale = EachStep(StandardScaler()).fit(X, sample_weight=weights)

    assert_array_equal(scale.transformer_.mean_, scaler.mean_)


def test_weights_count_in_fit_transform_too():
    X, weights = ragged_of(), [1.0, 0.0, 2.0]
    expected = EachStep(StandardScaler()).fit(X, sample_weight=weights).transform(X)

    answer = EachStep(StandardScaler()).fit_transform(X, sample_weight=weights)

    assert_ragged_equal(answer, expected)


def test_weights_need_only_be_taken_by_fit():
    class Scaler(StandardScaler):
        def fit_transform(self, X, y=None):
            return self.fit(X).transform(X)

    X, weights = ragged_of(), [1.0, 0.0, 2.0]

    answer = EachStep(Scaler()).fit_transform(X, sample_weight=weights)

    expected = EachStep(StandardScaler()).fit_transform(X, sample_weight=weights)
    assert_ragged_equal(answer, expected)


def test_weights_for_a_transformer_without_are_refused():
    message = (
        "sample_weight must be None if fit of the transformer does not accept it. Got "
        "weights for MinMaxScaler. Omit them."
    )
    with raises(ValueError, message):
        EachStep(MinMaxScaler()).fit(block_of(4), sample_weight=np.ones(4))


def test_weights_of_another_shape_are_refused():
    message = (
        "sample_weight must have shape (4,), one weight for each sequence of X. Got "
        "shape (12,)."
    )
    with raises(ValueError, message):
        EachStep(StandardScaler()).fit(block_of(4, 3), sample_weight=np.ones(12))


def test_weights_of_zero_only_are_refused():
    message = "sample_weight must have at least one nonzero weight. Got only zeros."
    with raises(ValueError, message):
        EachStep(StandardScaler()).fit(block_of(4), sample_weight=np.zeros(4))


# What depends on the transformer

FORMS = {
    "block": block_of(),
    "ragged": objects(ragged_of()),
    "table": block_of()[:, :, 0],
    "one feature": block_of(n_features=1),
}


@pytest.mark.parametrize("X", FORMS.values(), ids=FORMS)
def test_inverse_transform_gives_x_back(X):
    scale = EachStep(StandardScaler()).fit(X)

    again = scale.inverse_transform(scale.transform(X))

    assert again.shape == X.shape
    for one, other in zip(again, X, strict=True):
        assert_allclose(one, other)


def test_inverse_transform_gives_a_table_back_that_became_a_block():
    X = np.array([["a", "b"], ["b", "c"]], dtype=object)
    encode = EachStep(OneHotEncoder()).fit(X)

    assert_array_equal(encode.inverse_transform(encode.transform(X)), X, strict=True)


def test_inverse_transform_takes_lists_of_equal_length():
    scale = EachStep(MinMaxScaler()).fit([[0.0, 4.0, 2.0], [4.0]])

    answer = scale.inverse_transform([[0.25, 0.5], [0.75, 1.0]])

    assert_ragged_equal(answer, [np.array([[1.0], [2.0]]), np.array([[3.0], [4.0]])])


def test_methods_are_those_of_the_transformer_that_was_fitted():
    scale = EachStep(StandardScaler()).fit(block_of())

    scale.set_params(transformer=Recorder())

    assert hasattr(scale, "inverse_transform")


@pytest.mark.parametrize(
    "method", ["partial_fit", "inverse_transform", "get_feature_names_out"]
)
def test_a_method_exists_only_if_the_transformer_has_it(method):
    assert hasattr(EachStep(StandardScaler()), method)
    assert not hasattr(EachStep(Recorder()), method)


@pytest.mark.parametrize("weights", [None, [1.0, 3.0, 2.0]])
def test_partial_fit_goes_on(weights):
    X = ragged_of()
    whole = EachStep(StandardScaler()).fit(X, sample_weight=weights)

    scale = EachStep(StandardScaler())
    for i in range(3):
        weight = None if weights is None else weights[i : i + 1]
        scale.partial_fit(X[i : i + 1], sample_weight=weight)

    assert_allclose(scale.transformer_.mean_, whole.transformer_.mean_)
    assert_allclose(scale.transformer_.var_, whole.transformer_.var_)


def test_partial_fit_refuses_other_features():
    scale = EachStep(StandardScaler()).partial_fit(block_of(n_features=2))

    with pytest.raises(ValueError, match=r"^X has 3 features per time step"):
        scale.partial_fit(block_of(n_features=3))


def test_names_out_are_those_of_the_features_of_a_step():
    encode = EachStep(ENCODE).fit(frames_of())

    assert encode.get_feature_names_out().tolist() == [
        "onehotencoder__gear_high",
        "onehotencoder__gear_low",
        "standardscaler__speed",
        "standardscaler__load",
    ]


def test_names_out_can_be_given():
    scale = EachStep(StandardScaler()).fit(block_of())

    assert scale.get_feature_names_out(["a", "b"]).tolist() == ["a", "b"]


def test_names_out_of_a_table_are_those_of_its_columns():
    table = pd.DataFrame(block_of()[:, :, 0], columns=["t1", "t2", "t3"])

    names = EachStep(StandardScaler()).fit(table).get_feature_names_out()

    assert names.tolist() == ["t1", "t2", "t3"]


def test_names_out_of_a_table_that_becomes_a_block_are_those_of_features():
    encode = EachStep(OneHotEncoder()).fit([["a", "b"], ["b", "a"]])

    assert encode.get_feature_names_out().tolist() == ["x0_a", "x0_b"]


@pytest.mark.parametrize(
    "method", ["transform", "inverse_transform", "get_feature_names_out"]
)
def test_what_is_not_fitted_says_so(method):
    with pytest.raises(NotFittedError, match=r"^This EachStep instance is not"):
        getattr(EachStep(StandardScaler()), method)(block_of())


def test_frames_as_output_change_nothing_outside():
    X = ragged_of()
    expected = EachStep(StandardScaler()).fit_transform(X)

    with sklearn.config_context(transform_output="pandas"):
        answer = EachStep(StandardScaler()).fit_transform(X)

    assert_ragged_equal(answer, expected)


def test_a_pipeline_may_ask_for_frames():
    X = block_of()
    pipeline = make_pipeline(EachStep(StandardScaler()), EachStep(PCA(1)))
    expected = pipeline.fit_transform(X)

    answer = pipeline.set_output(transform="pandas").fit_transform(X)

    assert_array_equal(answer, expected, strict=True)


def test_a_column_transformer_takes_the_table():
    table = pd.DataFrame(block_of()[:, :, 0], columns=["t1", "t2", "t3"]).assign(s=1.0)
    parts = ColumnTransformer(
        [("steps", EachStep(StandardScaler()), ["t1", "t2", "t3"])],
        remainder="passthrough",
        verbose_feature_names_out=False,
    )

    parts.fit(table)

    assert parts.get_feature_names_out().tolist() == ["t1", "t2", "t3", "s"]
    assert parts.transform(table).shape == (4, 4)


# EachStep and what wraps it


def test_settings_of_the_transformer_are_searched():
    X, y = block_of(12), np.arange(12) % 2
    pipeline = make_pipeline(
        EachStep(StandardScaler()), RNNClassifier(2, max_epochs=1, random_state=0)
    )
    grid = {"eachstep__transformer__with_mean": [True, False]}

    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)

    assert set(search.best_params_) == set(grid)


def test_a_pipeline_with_frames_is_cross_validated():
    X, y = frames_of([3, 2, 4, 2, 3, 3]), [0, 1, 0, 1, 0, 1]
    pipeline = make_pipeline(
        EachStep(ENCODE), RNNClassifier(2, max_epochs=1, random_state=0)
    )

    assert cross_val_predict(pipeline, objects(X), y, cv=2).shape == (6,)


@pytest.mark.parametrize("X", [block_of(3), ragged_of()], ids=["block", "ragged"])
def test_an_estimator_of_sequences_takes_the_answer(X):
    model = RNNRegressor(2, max_epochs=1, random_state=0)
    pipeline = make_pipeline(EachStep(StandardScaler()), model)

    assert pipeline.fit(X, [0.0, 1.0, 2.0]).predict(X).shape == (3,)


def test_arrays_after_a_fit_on_frames_are_warned_of():
    scale = EachStep(Recorder()).fit(frames_of())

    message = (
        "X does not have valid feature names, but EachStep was fitted with feature "
        "names"
    )
    with pytest.warns(UserWarning, match=f"^{message}$"):
        scale.transform([frame.to_numpy() for frame in frames_of()])


def test_a_clone_has_a_transformer_of_its_own():
    scale = EachStep(StandardScaler()).fit(block_of())

    again = clone(scale)

    assert again.transformer is not scale.transformer
    assert not hasattr(again, "transformer_")


def test_the_given_transformer_is_not_fitted():
    scaler = StandardScaler()

    EachStep(scaler).fit(block_of())

    assert not hasattr(scaler, "mean_")


def test_a_pickle_transforms_alike():
    X = frames_of()
    encode = EachStep(ENCODE).fit(X)

    again = pickle.loads(pickle.dumps(encode))

    assert_ragged_equal(again.transform(X), encode.transform(X))


def test_the_picture_shows_the_transformer():
    assert "StandardScaler" in EachStep(StandardScaler())._repr_html_()


# What EachStep refuses


def test_a_transformer_that_drops_rows_is_refused():
    message = (
        "The 'transformer' parameter of EachStep must return one row for each time "
        "step. Got shape (6, 2) for 12 steps. Add or drop steps before EachStep."
    )
    with raises(ValueError, message):
        EachStep(Thinned()).fit_transform(block_of(4, 3))


def test_a_transformer_that_drops_the_axis_of_features_is_refused():
    drop = FunctionTransformer(partial(np.sum, axis=1))

    message = (
        "The 'transformer' parameter of EachStep must return one row for each time "
        "step. Got shape (12,) for 12 steps. Add or drop steps before EachStep."
    )
    with raises(ValueError, message):
        EachStep(drop).fit_transform(block_of(4, 3))


@pytest.mark.parametrize("transformer", [LogisticRegression(), "passthrough", None])
def test_what_does_not_transform_is_refused(transformer):
    message = (
        "The 'transformer' parameter of EachStep must be an object implementing 'fit' "
        f"and 'transform'. Got {transformer!r} instead."
    )
    with raises(InvalidParameterError, message):
        EachStep(transformer).fit(block_of())


BAD_X = {
    "empty": (
        np.zeros((0, 2, 3)),
        "X must have at least one sample, one time step and one feature. Got an array "
        "of shape (0, 2, 3).",
    ),
    "4-D": (
        np.zeros((1, 2, 3, 4)),
        "X must be 2-D (n_samples, n_timesteps), 3-D (n_samples, n_timesteps, "
        "n_features) or a list of sequences. Got an array of shape (1, 2, 3, 4).",
    ),
    "empty sequence": (
        [np.zeros((2, 3)), np.zeros((0, 3))],
        "Every sequence of X must have at least one time step. Got shape (0, 3) for "
        "sequence 1. Remove it.",
    ),
    "deep sequence": (
        [np.zeros((2, 3)), np.zeros((1, 2, 3))],
        "Every sequence of X must have shape (n_timesteps, n_features) or "
        "(n_timesteps,). Got shape (1, 2, 3) for sequence 1.",
    ),
    "features differ": (
        [np.zeros((2, 3)), np.zeros((2, 4))],
        "Every sequence of X must have the same number of features. Got 3 for "
        "sequence 0 and 4 for sequence 1.",
    ),
    "steps differ": (
        [[[1, 2], [3]], [[1, 2]]],
        "Every step of a sequence of X must have the same number of features. Got "
        "different numbers in sequence 0.",
    ),
}


@pytest.mark.parametrize(("X", "message"), BAD_X.values(), ids=BAD_X)
def test_x_of_another_shape_is_refused(X, message):
    with raises(ValueError, message):
        EachStep(StandardScaler()).fit(X)


def test_a_sparse_sequence_is_refused():
    X = [sparse.csr_array(np.eye(2)), sparse.csr_array(np.eye(2))]

    message = (
        "Sparse data was passed for sequence 0 of X, but dense data is required. Use "
        "'.toarray()' to convert to a dense numpy array."
    )
    with raises(TypeError, message):
        EachStep(StandardScaler()).fit(X)


@pytest.mark.parametrize(
    ("method", "k"), [("transform", "2"), ("inverse_transform", "k")]
)
def test_a_table_is_refused_after_a_fit_on_a_block(method, k):
    scale = EachStep(StandardScaler()).fit(block_of())

    message = (
        f"X must be 3-D (n_samples, n_timesteps, {k}) or a list of sequences, as the X "
        "that EachStep was fitted on. Got a 2-D array of shape (4, 2). For one feature "
        "per step pass X[:, :, None]."
    )
    with raises(ValueError, message):
        getattr(scale, method)(np.zeros((4, 2)))


def test_a_block_is_refused_after_a_fit_on_a_table():
    scale = EachStep(StandardScaler()).fit(np.zeros((4, 3)))

    message = (
        "X must be 2-D (n_samples, 3), as the X that EachStep was fitted on. Got (4, "
        "3, 2). To use sequences of other lengths, fit on X[:, :, None]."
    )
    with raises(ValueError, message):
        scale.transform(block_of(4, 3, 2))


def test_ragged_x_is_refused_after_a_fit_on_a_table():
    scale = EachStep(StandardScaler()).fit(np.zeros((4, 3)))

    message = (
        "X must be 2-D (n_samples, 3), as the X that EachStep was fitted on. Got "
        "ragged sequences. To use sequences of other lengths, fit on X[:, :, None]."
    )
    with raises(ValueError, message):
        scale.transform(ragged_of())


def test_other_features_are_refused():
    scale = EachStep(StandardScaler()).fit(block_of(n_features=2))

    message = (
        "X has 3 features per time step, but EachStep is expecting 2. The last axis of "
        "X holds the features; data with channels before time needs X.transpose(0, 2, "
        "1)."
    )
    with raises(ValueError, message):
        scale.transform(block_of(n_features=3))
