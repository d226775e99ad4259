"""EachStep."""

import pickle
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from messages import raises
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import NMF, PCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
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

from skrnn import EachStep, RNNClassifier

# scikit-learn 1.6 reads names by a protocol that the newest polars has dropped.
KNOWS_POLARS = hasattr(
    StandardScaler().fit(pl.DataFrame({"a": [1.0]})), "feature_names_in_"
)
if_names_of_polars = pytest.mark.skipif(
    not KNOWS_POLARS, reason="this scikit-learn does not find names in polars"
)


def to_object_array(pieces):
    array = np.empty(len(pieces), dtype=object)
    array[:] = pieces
    return array


def make_3d(n_samples=4, n_timesteps=3, n_features=2):
    return np.random.default_rng(0).normal(size=(n_samples, n_timesteps, n_features))


def make_2d():
    return make_3d()[:, :, 0]


def make_ragged(lengths=(3, 1, 4), n_features=2):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(length, n_features)) for length in lengths]


def make_frames(lengths=(3, 1, 4)):
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


class Recorder(TransformerMixin, BaseEstimator):
    """Stores the arguments of fit, and returns X."""

    def fit(self, X, y=None, sample_weight=None):
        self.X_, self.y_, self.sample_weight_ = X, y, sample_weight
        return self

    def transform(self, X):
        return np.asarray(X)


# Input and output forms


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_3d_x_is_transformed_step_by_step(dtype):
    X = make_3d().astype(dtype)
    before = X.copy()
    scaler = StandardScaler().fit(X.reshape(-1, 2))
    expected = np.stack([scaler.transform(sequence) for sequence in X])

    scale = EachStep(StandardScaler()).fit(X)

    assert_array_equal(scale.transform(X), expected, strict=True)
    fit_transformed = EachStep(StandardScaler()).fit_transform(X)
    assert_array_equal(fit_transformed, expected, strict=True)
    assert_array_equal(X, before)


RAGGED_FORMS = {
    "arrays": make_ragged(),
    "arrays of one length": make_ragged([2, 2]),
    "Series": pd.Series(to_object_array(make_ragged())),
    "nested lists": [sequence.tolist() for sequence in make_ragged()],
}


@pytest.mark.parametrize("X", RAGGED_FORMS.values(), ids=RAGGED_FORMS)
def test_ragged_x_is_transformed_step_by_step(X):
    scaler = StandardScaler().fit(np.concatenate(list(X)))
    expected = [scaler.transform(sequence) for sequence in X]

    scale = EachStep(StandardScaler()).fit(X)

    assert_ragged_equal(scale.transform(X), expected)
    assert_ragged_equal(EachStep(StandardScaler()).fit_transform(X), expected)


def test_1d_sequences_have_one_feature():
    X = [np.array([1.0, 2.0]), np.array([3.0])]

    output = EachStep(MinMaxScaler()).fit_transform(X)

    assert_ragged_equal(output, [np.array([[0.0], [0.5]]), np.array([[1.0]])])


def test_output_for_2d_x_is_2d_with_one_output_feature():
    X = make_2d()
    scale = EachStep(StandardScaler()).fit(X)

    assert_allclose(scale.transform(X), (X - X.mean()) / X.std())
    assert_array_equal(scale.transform(X[:, :, None])[:, :, 0], scale.transform(X))


def test_output_for_2d_x_is_3d_with_several_output_features():
    X = np.array([["a", "b"], ["b", "c"]], dtype=object)
    encode = EachStep(OneHotEncoder())  # its output is sparse

    output = encode.fit_transform(X)

    expected = [[[1, 0, 0], [0, 1, 0]], [[0, 1, 0], [0, 0, 1]]]
    assert_array_equal(output, np.array(expected, dtype=float), strict=True)
    assert_array_equal(encode.inverse_transform(output), X, strict=True)
    assert encode.get_feature_names_out().tolist() == ["x0_a", "x0_b", "x0_c"]


def test_other_lengths_are_valid_after_a_fit_on_3d_x():
    scale = EachStep(StandardScaler()).fit(make_3d(n_timesteps=3))

    assert scale.transform(make_3d(n_timesteps=7)).shape == (4, 7, 2)
    assert len(scale.transform(make_ragged())) == 3


def test_lists_of_one_length_are_ragged_after_a_ragged_fit():
    scale = EachStep(MinMaxScaler()).fit([[0.0, 4.0, 2.0], [4.0]])
    scaled = [[0.25, 0.5], [0.75, 1.0]]

    output = scale.transform([[1.0, 2.0], [3.0, 4.0]])

    assert_ragged_equal(output, [np.array(row)[:, None] for row in scaled])
    inverse = [np.array([[1.0], [2.0]]), np.array([[3.0], [4.0]])]
    assert_ragged_equal(scale.inverse_transform(scaled), inverse)


def test_the_number_of_features_may_change():
    X = make_3d(n_features=4)
    expected = PCA(2).fit_transform(X.reshape(-1, 4)).reshape(4, 3, 2)

    assert_allclose(EachStep(PCA(2)).fit_transform(X), expected)


def test_missing_values_are_passed_to_the_transformer():
    X = [np.array([[1.0, np.nan]]), np.array([[np.nan, 4.0], [3.0, 6.0]])]

    output = EachStep(SimpleImputer()).fit_transform(X)

    expected = [np.array([[1.0, 5.0]]), np.array([[2.0, 4.0], [3.0, 6.0]])]
    assert_ragged_equal(output, expected)


def test_infinite_values_are_passed_to_the_transformer():
    with pytest.raises(ValueError, match=r"^Input X contains infinity"):
        EachStep(StandardScaler()).fit(np.full((2, 2, 1), np.inf))


def test_strings_are_passed_to_the_transformer():
    X = np.array([[["a", "x"], ["b", "x"]]], dtype=object)

    assert_array_equal(EachStep(OrdinalEncoder()).fit_transform(X), [[[0, 0], [1, 0]]])


# DataFrames, one for each sequence

ENCODE = make_column_transformer(
    (OneHotEncoder(), ["gear"]), (StandardScaler(), ["speed", "load"])
)


def test_columns_of_frames_are_selected_by_name():
    X = make_frames()
    concatenated = clone(ENCODE).fit_transform(pd.concat(X))
    encode = EachStep(ENCODE)

    assert_ragged_equal(encode.fit_transform(X), np.split(concatenated, [3, 4]))
    assert_array_equal(encode.feature_names_in_, ["speed", "gear", "load"])
    assert encode.n_features_in_ == 3
    assert encode.get_feature_names_out().tolist() == [
        "onehotencoder__gear_high",
        "onehotencoder__gear_low",
        "standardscaler__speed",
        "standardscaler__load",
    ]
    copy = pickle.loads(pickle.dumps(encode))
    assert_ragged_equal(copy.transform(X), np.split(concatenated, [3, 4]))


def test_frames_keep_names_and_dtypes():
    X = make_frames()

    record = EachStep(Recorder()).fit(X).transformer_

    pd.testing.assert_frame_equal(record.X_, pd.concat(X, ignore_index=True))


@if_names_of_polars
def test_columns_of_polars_frames_are_selected_by_name():
    X = [pl.from_dict(frame.to_dict("list")) for frame in make_frames()]

    output = EachStep(ENCODE).fit_transform(X)

    assert_ragged_equal(output, EachStep(ENCODE).fit_transform(make_frames()))


def test_a_fit_without_names_deletes_those_of_an_earlier_fit():
    scale = EachStep(StandardScaler()).fit([frame[["load"]] for frame in make_frames()])

    scale.fit(make_3d())

    assert not hasattr(scale, "feature_names_in_")
    assert scale.n_features_in_ == 2


def test_columns_of_2d_x_name_the_time_steps():
    table = pd.DataFrame(make_2d(), columns=["t1", "t2", "t3"])
    columns = ColumnTransformer(
        [("steps", EachStep(StandardScaler()), ["t1", "t2", "t3"])],
        remainder="passthrough",
        verbose_feature_names_out=False,
    )

    columns.fit(table.assign(s=1.0))

    assert_array_equal(columns.transformers_[0][1].feature_names_in_, table.columns)
    assert columns.get_feature_names_out().tolist() == ["t1", "t2", "t3", "s"]


def test_frames_with_other_names_than_in_fit_raise():
    encode = EachStep(ENCODE).fit(make_frames())
    others = [frame.rename(columns={"load": "weight"}) for frame in make_frames()]

    with pytest.raises(ValueError, match=r"^The feature names should match"):
        encode.transform(others)


def test_arrays_after_a_fit_on_frames_warn():
    scale = EachStep(Recorder()).fit(make_frames())

    message = (
        "X does not have valid feature names, but EachStep was fitted with feature "
        "names"
    )
    with pytest.warns(UserWarning, match=f"^{message}$"):
        scale.transform([frame.to_numpy() for frame in make_frames()])


# y and sample_weight


@pytest.mark.parametrize("y", [[0.0, 1.0, 2.0], np.arange(6.0).reshape(3, 2)])
def test_y_of_sequences_is_repeated_for_their_steps(y):
    record = EachStep(Recorder()).fit(make_ragged([3, 1, 4]), y).transformer_

    assert_array_equal(record.y_, [y[i] for i in (0, 0, 0, 1, 2, 2, 2, 2)])


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 2)])
def test_y_of_the_steps_of_3d_x_is_concatenated(shape):
    y = np.arange(np.prod(shape)).reshape(shape)

    record = EachStep(Recorder()).fit(make_3d(4, 3), y).transformer_

    assert_array_equal(record.y_, np.concatenate(list(y)))


def test_y_of_the_steps_of_ragged_x_is_concatenated():
    y = [np.array([0, 1, 2]), np.array([3]), np.array([4, 5, 6, 7])]

    record = EachStep(Recorder()).fit(make_ragged([3, 1, 4]), y).transformer_

    assert_array_equal(record.y_, np.arange(8))


def test_without_y_fit_of_the_transformer_is_called_without_y():
    class WithoutY(TransformerMixin, BaseEstimator):
        def fit(self, X):
            self.fitted_ = True
            return self

        def transform(self, X):
            return X

    assert EachStep(WithoutY()).fit(make_3d()).transformer_.fitted_


def test_fit_transform_calls_that_of_the_transformer():
    class CrossFitted(Recorder):
        def fit_transform(self, X, y=None):
            return -self.fit(X, y).transform(X)

    X = make_ragged()
    cross = EachStep(CrossFitted())

    assert_ragged_equal(cross.fit_transform(X), [-sequence for sequence in X])
    assert_ragged_equal(cross.transform(X), X)


def test_a_supervised_transformer_is_passed_y():
    y = np.array([0.0, 1.0, 5.0, 2.0])
    X = make_3d(4, 3, 3)
    X[:, :, 1] += 10 * y[:, None]

    select = EachStep(SelectKBest(f_regression, k=1))

    assert_array_equal(select.fit_transform(X, y), X[:, :, 1:2])


def test_a_weight_applies_to_each_step_of_its_sequence():
    class WithoutWeightsInFitTransform(StandardScaler):
        def fit_transform(self, X, y=None):
            raise AssertionError

    X, weights = make_ragged(), [1.0, 0.0, 2.0]
    scaler = StandardScaler().fit(
        np.concatenate(X), sample_weight=[1] * 3 + [0] + [2] * 4
    )
    expected = [scaler.transform(sequence) for sequence in X]

    scale = EachStep(StandardScaler()).fit(X, sample_weight=weights)

    assert_ragged_equal(scale.transform(X), expected)
    scale = EachStep(WithoutWeightsInFitTransform())
    assert_ragged_equal(scale.fit_transform(X, sample_weight=weights), expected)


WRONG_TARGETS_OR_WEIGHTS = {
    "no y": (
        TargetEncoder(),
        {},
        "This EachStep estimator requires y to be passed, but the target y is None.",
    ),
    "too few y": (
        Recorder(),
        {"y": [0, 1]},
        "y must have an entry for each sequence of X. Got shape (2,) for 3 sequences.",
    ),
    "scalar y": (
        Recorder(),
        {"y": 0},
        "y must have an entry for each sequence of X. Got shape () for 3 sequences.",
    ),
    "ragged y": (
        Recorder(),
        {"y": [[0, 1], [1], [0]]},
        "Ragged y must have an entry for each time step of X. Got sequences of other "
        "lengths than those of X.",
    ),
    "weights for a transformer without": (
        MinMaxScaler(),
        {"sample_weight": np.ones(3)},
        "sample_weight must be None if fit of the transformer does not accept it. Got "
        "weights for MinMaxScaler. Omit them.",
    ),
    "weights of another shape": (
        StandardScaler(),
        {"sample_weight": np.ones(8)},
        "sample_weight must have shape (3,), one weight for each sequence of X. Got "
        "shape (8,).",
    ),
    "zero weights": (
        StandardScaler(),
        {"sample_weight": np.zeros(3)},
        "sample_weight must have at least one nonzero weight. Got only zeros.",
    ),
}


@pytest.mark.parametrize(
    ("transformer", "params", "message"),
    WRONG_TARGETS_OR_WEIGHTS.values(),
    ids=WRONG_TARGETS_OR_WEIGHTS,
)
def test_wrong_targets_or_weights_raise(transformer, params, message):
    with raises(ValueError, message):
        EachStep(transformer).fit(make_ragged([3, 1, 4]), **params)


# Methods and tags of the transformer

FORMS = {
    "3-D": make_3d(),
    "ragged": to_object_array(make_ragged()),
    "2-D": make_2d(),
    "one feature": make_3d(n_features=1),
}


@pytest.mark.parametrize("X", FORMS.values(), ids=FORMS)
def test_inverse_transform_returns_x(X):
    scale = EachStep(StandardScaler()).fit(X)

    inverse = scale.inverse_transform(scale.transform(X))

    assert inverse.shape == X.shape
    for one, other in zip(inverse, X, strict=True):
        assert_allclose(one, other)


@pytest.mark.parametrize(
    "method", ["partial_fit", "inverse_transform", "get_feature_names_out"]
)
def test_a_method_exists_only_if_the_transformer_has_it(method):
    fitted = EachStep(StandardScaler()).fit(make_3d())

    assert hasattr(EachStep(StandardScaler()), method)
    assert not hasattr(EachStep(Recorder()), method)
    # What counts after fit is the fitted transformer.
    assert hasattr(fitted.set_params(transformer=Recorder()), method)


@pytest.mark.parametrize("weights", [None, [1.0, 3.0, 2.0]])
def test_partial_fit_updates_the_transformer(weights):
    X = make_ragged()
    expected = EachStep(StandardScaler()).fit(X, sample_weight=weights).transformer_

    scale = EachStep(StandardScaler())
    for i in range(3):
        weight = None if weights is None else weights[i : i + 1]
        scale.partial_fit(X[i : i + 1], sample_weight=weight)

    assert_allclose(scale.transformer_.mean_, expected.mean_)
    assert_allclose(scale.transformer_.var_, expected.var_)
    with pytest.raises(ValueError, match=r"^X has 3 features per time step"):
        scale.partial_fit(make_3d(n_features=3))


def test_feature_names_can_be_passed():
    scale = EachStep(StandardScaler()).fit(make_3d())

    assert scale.get_feature_names_out(["a", "b"]).tolist() == ["a", "b"]


@pytest.mark.parametrize("transformer", [StandardScaler(), NMF(), TargetEncoder()])
def test_tags_are_those_of_the_transformer(transformer):
    inner, tags = get_tags(transformer), get_tags(EachStep(transformer))

    assert tags.input_tags.allow_nan == inner.input_tags.allow_nan
    assert tags.input_tags.positive_only == inner.input_tags.positive_only
    assert tags.transformer_tags == inner.transformer_tags
    assert tags.target_tags.required == inner.target_tags.required


def test_tags_of_a_class_are_the_defaults():
    assert not get_tags(EachStep(StandardScaler)).input_tags.allow_nan


@pytest.mark.parametrize(
    "method", ["transform", "inverse_transform", "get_feature_names_out"]
)
def test_a_method_before_fit_raises(method):
    with pytest.raises(NotFittedError, match=r"^This EachStep instance is not"):
        getattr(EachStep(StandardScaler()), method)(make_3d())


def test_set_output_does_nothing():
    X = make_3d()
    pipeline = make_pipeline(EachStep(StandardScaler()), EachStep(PCA(1)))
    expected = pipeline.fit_transform(X)

    output = pipeline.set_output(transform="pandas").fit_transform(X)

    assert_array_equal(output, expected, strict=True)
    with sklearn.config_context(transform_output="pandas"):
        assert_array_equal(clone(pipeline).fit_transform(X), expected, strict=True)


def test_the_given_transformer_is_cloned():
    scaler = StandardScaler()
    scale = EachStep(scaler).fit(make_3d())

    assert not hasattr(scaler, "mean_")
    assert not hasattr(clone(scale), "transformer_")
    assert "StandardScaler" in scale._repr_html_()


def test_parameters_of_the_transformer_can_be_searched_in_a_pipeline():
    X, y = make_frames([3, 2, 4, 2]), [0, 1, 0, 1]
    pipeline = make_pipeline(
        EachStep(ENCODE), RNNClassifier(2, max_epochs=1, random_state=0)
    )
    grid = {"eachstep__transformer__standardscaler__with_mean": [True]}

    search = GridSearchCV(pipeline, grid, cv=2).fit(to_object_array(X), y)

    assert np.isfinite(search.best_score_)
    assert search.predict(to_object_array(X)).shape == (4,)


# Errors


@pytest.mark.parametrize(
    ("function", "shape"),
    [(lambda X: X[::2], (6, 2)), (partial(np.sum, axis=1), (12,))],
)
def test_output_without_one_row_per_step_raises(function, shape):
    message = (
        "The 'transformer' parameter of EachStep must return one row for each time "
        f"step. Got shape {shape} for 12 steps. Add or drop steps before EachStep."
    )
    with raises(ValueError, message):
        EachStep(FunctionTransformer(function)).fit_transform(make_3d(4, 3))


@pytest.mark.parametrize("transformer", [LogisticRegression(), "passthrough"])
def test_an_object_that_is_not_a_transformer_raises(transformer):
    message = (
        "The 'transformer' parameter of EachStep must be an object implementing 'fit' "
        f"and 'transform'. Got {transformer!r} instead."
    )
    with raises(InvalidParameterError, message):
        EachStep(transformer).fit(make_3d())


MALFORMED_X = {
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
    "3-D sequence": (
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
    "columns in another order": (
        [make_frames()[0], make_frames()[1][["load", "speed", "gear"]]],
        "Every DataFrame of X must have the same columns in the same order. Got "
        "['speed', 'gear', 'load'] for sequence 0 and ['load', 'speed', 'gear'] for "
        "sequence 1. Select the same columns of every DataFrame.",
    ),
    "array beside a frame": (
        [make_frames()[0], make_frames()[1].to_numpy()],
        "Every sequence of X must be a DataFrame if one is. Got ndarray for sequence "
        "1. Pass only arrays or only DataFrames.",
    ),
}


@pytest.mark.parametrize(("X", "message"), MALFORMED_X.values(), ids=MALFORMED_X)
def test_malformed_x_raises(X, message):
    with raises(ValueError, message):
        EachStep(StandardScaler()).fit(X)


def test_sparse_sequences_raise():
    message = (
        "Sparse data was passed for sequence 0 of X, but dense data is required. Use "
        "'.toarray()' to convert to a dense numpy array."
    )
    with raises(TypeError, message):
        EachStep(StandardScaler()).fit([sparse.csr_array(np.eye(2))])


@pytest.mark.parametrize(
    ("method", "k"), [("transform", "2"), ("inverse_transform", "k")]
)
def test_2d_x_raises_after_a_fit_on_3d_x(method, k):
    scale = EachStep(StandardScaler()).fit(make_3d())

    message = (
        f"X must be 3-D (n_samples, n_timesteps, {k}) or a list of sequences, as the X "
        "that EachStep was fitted on. Got a 2-D array of shape (4, 2). For one feature "
        "per step pass X[:, :, None]."
    )
    with raises(ValueError, message):
        getattr(scale, method)(np.zeros((4, 2)))


@pytest.mark.parametrize(
    ("X", "given"),
    [(make_3d(4, 3, 2), "(4, 3, 2)"), (make_ragged(), "ragged sequences")],
)
def test_other_forms_raise_after_a_fit_on_2d_x(X, given):
    scale = EachStep(StandardScaler()).fit(np.zeros((4, 3)))

    message = (
        "X must be 2-D (n_samples, 3), as the X that EachStep was fitted on. Got "
        f"{given}. To use sequences of other lengths, fit on X[:, :, None]."
    )
    with raises(ValueError, message):
        scale.transform(X)


def test_another_number_of_features_raises():
    scale = EachStep(StandardScaler()).fit(make_3d(n_features=2))

    message = (
        "X has 3 features per time step, but EachStep is expecting 2. The last axis of "
        "X holds the features; data with channels before time needs X.transpose(0, 2, "
        "1)."
    )
    with raises(ValueError, message):
        scale.transform(make_3d(n_features=3))
