"""The HTML representation of estimators, as a notebook shows it."""

import html
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from clients import INPUTS, NUMBERS, WORDS, small
from estimators import X, tiny, y
from sklearn.base import BaseEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr

import skrnn
from skrnn import (
    BiRNNClassifier,
    EachStep,
    RNNClassifier,
    RNNRegressor,
    SlidingWindow,
    _documentation,
)

PAGE = "https://address.local/generated/skrnn.{name}.html"
ESTIMATORS = sorted(
    name
    for name in skrnn.__all__
    if isinstance(getattr(skrnn, name), type)
    and issubclass(getattr(skrnn, name), BaseEstimator)
    and name != "Checkpoint"  # a callback, which has no representation
)


class Captions(HTMLParser):
    """Keeps the texts of the captions, and the addresses of the links."""

    def __init__(self):
        super().__init__()
        self.captions, self.links, self.is_caption = [], set(), False

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.is_caption = "caption" in (attrs.get("class") or "").split()
        if tag == "a" and attrs.get("href"):
            self.links.add(attrs["href"].partition("#")[0])

    def handle_data(self, data):
        if self.is_caption and data.strip():
            self.captions.append(data.strip())
            self.is_caption = False


def read(estimator):
    parser = Captions()
    parser.feed(estimator_html_repr(estimator))
    return parser


# -- the network


def test_a_fitted_network_is_described_with_its_parameters():
    model = small(cell_type="gru", hidden_size=(4, 3), ar_order=0).fit(X, y)

    n = sum(parameter.numel() for parameter in model.module_.parameters())
    expected = f"GRU(2, 4) → GRU(4, 3) → Linear(3, 1): {n:,} parameters"
    assert read(model).captions == [expected]


@pytest.mark.parametrize(
    ("model", "form", "target", "expected"),
    [
        (
            small(RNNClassifier, pooling="attention", nonlinearity="relu"),
            "list",
            WORDS,
            "RNN(2, 4, relu) → attention pooling → Linear(4, 3)",
        ),
        (
            small(BiRNNClassifier, cell_type="lstm", patch_size=2, pooling="concat"),
            "3-D",
            WORDS,
            "patches of 2 steps → LSTM(4, 4, bidirectional) → concat pooling → "
            "Linear(24, 3)",
        ),
        (
            small(window_norm=None, ar_order=3, early_stopping=False),
            "2-D",
            NUMBERS,
            "RNN(1, 4) → Linear(4, 1), plus Linear(3, 1) of the last values",
        ),
    ],
    ids=["attention", "patches", "linear model"],
)
def test_all_layers_are_described(model, form, target, expected):
    model.fit(INPUTS[form], target)

    n = sum(parameter.numel() for parameter in model.module_.parameters())
    assert read(model).captions == [f"{expected}: {n:,} parameters"]


def test_token_ids_and_outputs_per_step_are_described():
    ids = np.random.default_rng(0).integers(2, 7, size=(20, 5))
    model = small(RNNClassifier, embedding_dim=2, return_sequences=True)
    model.fit(ids, ids > 4)

    assert (
        read(model)
        .captions[0]
        .startswith("Embedding(7, 2) → RNN(2, 4) → Linear(4, 1): ")
    )


def test_an_ensemble_tells_the_number_of_its_members():
    model = tiny(n_members=3, ar_order=0).fit(X, y)

    assert read(model).captions == [
        "RNN(2, 4) → Linear(4, 1): 37 parameters in each of 3 members"
    ]


def test_an_estimator_that_is_not_fitted_has_no_caption():
    assert read(RNNRegressor()).captions == []


def test_networks_inside_other_estimators_are_described():
    pipeline = make_pipeline(EachStep(StandardScaler()), tiny(ar_order=0))
    expected = "RNN(2, 4) → Linear(4, 1): 37 parameters"

    assert expected not in read(pipeline).captions
    pipeline.fit(X, y)
    assert expected in read(pipeline).captions
    search = GridSearchCV(tiny(ar_order=0), {"hidden_size": [4]}, cv=2).fit(X, y)
    assert expected in read(search).captions


def test_parameters_are_shown():
    text = html.unescape(re.sub("<[^>]*>", " ", estimator_html_repr(small(lr=0.125))))
    assert "0.125" in text
    assert "max_epochs" in text


# -- links


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_has_no_link_without_a_site(name):
    assert _documentation.PAGE is None
    cls = getattr(skrnn, name)
    estimator = cls(StandardScaler()) if cls is EachStep else cls()

    assert not any("skrnn" in link or name in link for link in read(estimator).links)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_estimator_links_to_its_page(name, monkeypatch):
    monkeypatch.setattr(_documentation, "PAGE", PAGE)
    cls = getattr(skrnn, name)
    estimator = cls(StandardScaler()) if cls is EachStep else cls()

    assert f"https://address.local/generated/skrnn.{name}.html" in read(estimator).links


def test_steps_of_a_pipeline_link_to_their_pages(monkeypatch):
    monkeypatch.setattr(_documentation, "PAGE", PAGE)
    links = read(make_pipeline(SlidingWindow(), RNNRegressor())).links

    assert {
        PAGE.format(name=name) for name in ("SlidingWindow", "RNNRegressor")
    } <= links


def test_a_subclass_outside_the_package_has_no_page(monkeypatch):
    class Own(RNNRegressor):
        """A class that the site cannot document."""

    monkeypatch.setattr(_documentation, "PAGE", PAGE)
    assert not any("address.local" in link for link in read(Own()).links)
