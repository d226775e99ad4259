"""What the documentation says, held against what the code does."""

import ast
import inspect
import pydoc
import re
import textwrap
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler

import skrnn
from skrnn._base import BaseRecurrent
from skrnn._compat import StrOptions

# Parameters whose default depends on the estimator, and why.
# The regressor knows one value more, 'auto', and says so after the common text.
SAYS_MORE = {"early_stopping"}

OWN_DEFAULT = {
    "validation_strategy": "a regressor's rows often follow each other in time",
}


def public_items():
    """Return `{name: class or function}` of what the package exports."""
    items = {}
    for name in skrnn.__all__:
        item = getattr(skrnn, name)
        if isinstance(item, ModuleType):
            items |= {f"{name}.{key}": getattr(item, key) for key in item.__all__}
        else:
            items[name] = item
    return items


ITEMS = public_items()
CLASSES = {name: item for name, item in ITEMS.items() if inspect.isclass(item)}
FUNCTIONS = {name: item for name, item in ITEMS.items() if inspect.isfunction(item)}
ESTIMATORS = {
    name: cls for name, cls in CLASSES.items() if issubclass(cls, BaseEstimator)
}
NETWORKS = {
    name: cls for name, cls in ESTIMATORS.items() if issubclass(cls, BaseRecurrent)
}
METHODS = {
    f"{name}.{key}": method
    for name, cls in CLASSES.items()
    for key, method in inspect.getmembers(cls, inspect.isfunction)
    if not key.startswith("_") and method.__module__.startswith("skrnn")
}
PROPERTIES = {
    f"{name}.{key}": value
    for name, cls in CLASSES.items()
    for key, value in inspect.getmembers(cls)
    if not key.startswith("_") and isinstance(value, property)
}
CALLABLES = ITEMS | METHODS


def each(items):
    return pytest.mark.parametrize("item", items.values(), ids=items)


# A parser of numpydoc, as far as it is needed here


def sections(item):
    """Return `{title: lines}` of a docstring."""
    lines = inspect.getdoc(item).splitlines()
    found, title = {}, ""
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if line and re.fullmatch("-{3,}", below):
            title = line
            assert title not in found, f"two sections {title}"
        elif not (title and re.fullmatch("-{3,}", line)):
            found.setdefault(title, []).append(line)
    return found


def entries(item, title):
    """Return `{name: (type line, text)}` of a section, in its order.

    Names that share an entry, as in `X_val, y_val : default=None`, have one each.
    """
    found, names = {}, []
    for line in sections(item).get(title, []):
        if line and not line.startswith(" "):
            head, _, kind = line.partition(" : ")
            names = [name.lstrip("*") for name in head.split(", ")]
            found |= dict.fromkeys(names, (kind, ""))
        else:
            for name in names:
                kind, text = found[name]
                found[name] = (kind, f"{text} {line.strip()}".strip())
    return found


def signature_of(item):
    """Return the parameters of a callable by name, without `self`."""
    parameters = dict(inspect.signature(item).parameters)
    parameters.pop("self", None)
    return parameters


def documented_default(kind):
    """Return the default on a type line as written, or None."""
    match = re.search(r"default=(.*)$", kind)
    return match and match.group(1)


def value_of(text):
    """Return the value that a documented default stands for."""
    module, _, name = text.rpartition(".")
    if module == "np":
        return getattr(np, name)
    return ast.literal_eval(text)


def is_ignored(kind, text):
    return kind in ("ignored", "None") or text.startswith("Ignored")


# Parameters


@each(CALLABLES)
def test_parameters_are_documented_in_the_order_of_the_signature(item):
    assert list(entries(item, "Parameters")) == list(signature_of(item))


@each(CALLABLES)
def test_every_parameter_has_a_type_and_a_text(item):
    for name, (kind, text) in entries(item, "Parameters").items():
        assert kind.partition("default=")[0], f"{name} has no type"
        assert text.endswith("."), f"{name} has no text that ends as a sentence"


@each(CALLABLES)
def test_documented_defaults_are_those_of_the_signature(item):
    parameters = signature_of(item)
    for name, (kind, text) in entries(item, "Parameters").items():
        written, default = documented_default(kind), parameters[name].default
        if default is inspect.Parameter.empty:
            assert written is None, f"{name} has no default"
        elif not is_ignored(kind, text):
            assert written is not None, f"the default of {name} is not documented"
            value = value_of(written)
            assert (value, type(value)) == (default, type(default)), name


@each(ESTIMATORS)
def test_init_only_assigns_in_the_order_of_the_signature(item):
    source = textwrap.dedent(inspect.getsource(item.__init__))
    body = ast.parse(source).body[0].body

    assigned = [ast.unparse(statement) for statement in body]
    assert assigned == [f"self.{name} = {name}" for name in signature_of(item)]


@each(ESTIMATORS)
def test_constraints_are_those_of_the_parameters(item):
    assert set(item._parameter_constraints) == set(signature_of(item))


@each(ESTIMATORS)
def test_constraints_are_in_the_order_of_the_signature(item):
    shared = BaseRecurrent._parameter_constraints
    constraints = list(item._parameter_constraints)
    if item in NETWORKS.values():  # own constraints stand behind the shared ones
        constraints = [name for name in constraints if name in shared]

    order = [name for name in signature_of(item) if name in constraints]
    assert constraints == order


@each(ESTIMATORS)
def test_documented_options_are_those_that_are_accepted(item):
    for name, (kind, _) in entries(item, "Parameters").items():
        rules = item._parameter_constraints[name]
        if rules == "no_validation":
            continue
        options = [rule.options for rule in rules if isinstance(rule, StrOptions)]
        described = kind.partition("default=")[0]
        documented = set(re.findall(r"'(\w+)'", described))
        assert documented == set().union(*options), name


@each(ESTIMATORS)
def test_none_is_documented_where_it_is_accepted(item):
    for name, (kind, _) in entries(item, "Parameters").items():
        rules = item._parameter_constraints[name]
        if name == "random_state" or isinstance(rules, str):
            continue
        described = kind.partition("default=")
        accepts_none = any(rule is None for rule in rules)
        documented = "None" in described[0] or described[2] == "None"
        assert accepts_none == documented, name


def shared_names(title):
    """Return the names that two or more networks document under a title."""
    names = [name for item in NETWORKS.values() for name in entries(item, title)]
    return sorted({name for name in names if names.count(name) > 1})


def texts_of(name, title):
    found = (entries(item, title).get(name) for item in NETWORKS.values())
    return {entry for entry in found if entry is not None}


@pytest.mark.parametrize("name", shared_names("Parameters"))
def test_a_parameter_of_several_networks_has_one_text(name):
    texts = texts_of(name, "Parameters")
    if name in OWN_DEFAULT:
        texts = {(kind.partition("default=")[0], text) for kind, text in texts}
    if name in SAYS_MORE:
        longest = max(text for _, text in texts)
        assert all(longest.startswith(text) for _, text in texts)
        return

    assert len(texts) == 1


@pytest.mark.parametrize("name", OWN_DEFAULT)
def test_a_default_of_its_own_really_is_one(name):
    assert len(texts_of(name, "Parameters")) > 1


@pytest.mark.parametrize("name", shared_names("Attributes"))
def test_an_attribute_of_several_networks_has_one_text(name):
    assert len(texts_of(name, "Attributes")) == 1


def common_order(one, other):
    return [name for name in one if name in other]


@pytest.mark.parametrize("title", ["Parameters", "Attributes"])
@each(NETWORKS)
def test_all_networks_document_what_they_share_in_one_order(item, title):
    here = list(entries(item, title))
    for other in NETWORKS.values():
        there = list(entries(other, title))
        assert common_order(here, there) == common_order(there, here)


# Attributes


def fit(cls):
    """Fit an estimator on a frame, so that it has all attributes it can have."""
    model = default(cls)
    frame = pd.DataFrame({"a": [0, 1] * 4, "b": [1, 2] * 4})
    if issubclass(cls, BaseRecurrent):
        model.set_params(hidden_size=2, max_epochs=1)
    return model.fit(frame, [0, 1] * 4)


def fitted_attributes(model):
    public = (name for name in dir(model) if not name.startswith("_"))
    return {name for name in public if name.endswith("_") and hasattr(model, name)}


def default(item):
    return item(StandardScaler()) if item is skrnn.EachStep else item()


@each(ESTIMATORS)
def test_documented_attributes_exist_after_fit_and_no_others(item):
    assert set(entries(item, "Attributes")) == fitted_attributes(fit(item))


@each(ESTIMATORS)
def test_no_attribute_exists_before_fit(item):
    assert fitted_attributes(default(item)) == set()


@each(ESTIMATORS)
def test_every_attribute_has_a_type_and_a_text(item):
    for name, (kind, text) in entries(item, "Attributes").items():
        assert kind, f"{name} has no type"
        assert text.endswith("."), f"{name} has no text that ends as a sentence"


PYTHON_TYPES = {"int": int, "str": str, "list": list, "DataFrame": pd.DataFrame}
PYTHON_TYPES |= {"dict": dict, "ndarray": np.ndarray, "None": type(None)}


@each(ESTIMATORS)
def test_attributes_are_of_the_documented_type(item):
    model = fit(item)
    for name, (kind, _) in entries(item, "Attributes").items():
        words = [choice.split()[0] for choice in kind.split(" or ")]
        types = tuple(PYTHON_TYPES.get(w) or pydoc.locate(w) for w in words)
        assert isinstance(getattr(model, name), types), name


# Methods and sections


@each(METHODS | FUNCTIONS)
def test_what_comes_back_is_documented(item):
    returned = entries(item, "Returns")

    assert returned
    for name, (kind, text) in returned.items():
        assert kind, f"{name} has no type"
        assert text.endswith("."), f"{name} has no text that ends as a sentence"


@each(PROPERTIES)
def test_every_property_says_what_it_is(item):
    assert item.__doc__.endswith(".")


@each(CLASSES)
def test_every_class_refers_to_others(item):
    assert entries(item, "See Also")


@each(ITEMS)
def test_everything_public_has_an_example(item):
    assert any(line.startswith(">>> ") for line in sections(item)["Examples"])


@each(ITEMS)
def test_an_example_imports_what_it_shows(item):
    imports = [line for line in sections(item)["Examples"] if "import" in line]

    assert any(item.__name__ in line for line in imports)


@each(ITEMS)
def test_what_is_referred_to_exists(item):
    for name in entries(item, "See Also"):
        assert name in ITEMS or pydoc.locate(name), name


# The parser itself


def documented(a, b=(1, 2), *, c="x", **rest):
    """Add.

    Parameters
    ----------
    a, b : int, default=(1, 2)
        Two numbers,

        and more.

    c : {'x', 'y'}, default='x'
        A letter.

    **rest : dict
        The rest.

    Returns
    -------
    sum : int
        Of all.
    """


def test_the_parser_reads_names_types_and_texts():
    assert entries(documented, "Parameters") == {
        "a": ("int, default=(1, 2)", "Two numbers, and more."),
        "b": ("int, default=(1, 2)", "Two numbers, and more."),
        "c": ("{'x', 'y'}, default='x'", "A letter."),
        "rest": ("dict", "The rest."),
    }
    assert entries(documented, "Returns") == {"sum": ("int", "Of all.")}


def test_the_parser_finds_every_title_of_the_library():
    titles = {title for item in CALLABLES.values() for title in sections(item)}

    assert titles <= {
        "",
        "Parameters",
        "Attributes",
        "Returns",
        "Raises",
        "Warns",
        "See Also",
        "Notes",
        "References",
        "Examples",
    }
