"""Docstrings, compared with the code."""

import ast
import inspect
import itertools
import pydoc
import re
import textwrap
from functools import cache
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.preprocessing import StandardScaler

import skrnn
from skrnn._base import BaseRecurrent
from skrnn._compat import StrOptions

# Parameters with one more value in one estimator ('auto' of the regressor), which is
# documented after the common text.
EXTENDED = {"early_stopping"}

# Parameters whose default depends on the estimator, and why.
OWN_DEFAULT = {
    "validation_strategy": "a regressor's rows often follow each other in time",
}

RETURN_NOTHING = {"export_onnx", "save_model"}


def public_items():
    """Return `{name: class or function}` of what the package exports."""
    items = {}
    for name in skrnn.__all__:
        item = getattr(skrnn, name)
        if isinstance(item, ModuleType):
            items |= {f"{name}.{key}": getattr(item, key) for key in item.__all__}
        elif callable(item):  # not a constant
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


def test_parameters_are_documented_in_the_order_of_the_signature():
    for owner, item in CALLABLES.items():
        assert list(entries(item, "Parameters")) == list(signature_of(item)), owner


def test_every_parameter_has_a_type_and_a_text():
    for owner, item in CALLABLES.items():
        for name, (kind, text) in entries(item, "Parameters").items():
            assert kind.partition("default=")[0], f"{owner}: {name} has no type"
            assert text.endswith("."), f"{owner}: {name} has no text"


def test_documented_defaults_are_those_of_the_signature():
    for owner, item in CALLABLES.items():
        parameters = signature_of(item)
        for name, (kind, text) in entries(item, "Parameters").items():
            written, default = documented_default(kind), parameters[name].default
            if default is inspect.Parameter.empty:
                assert written is None, f"{owner}: {name} has no default"
            elif not is_ignored(kind, text):
                assert written is not None, f"{owner}: {name}"
                value = value_of(written)
                assert (value, type(value)) == (default, type(default)), (
                    f"{owner}: {name}"
                )


def test_init_only_assigns_in_the_order_of_the_signature():
    for owner, item in ESTIMATORS.items():
        source = textwrap.dedent(inspect.getsource(item.__init__))
        body = ast.parse(source).body[0].body

        assigned = [ast.unparse(statement) for statement in body]
        assert assigned == [f"self.{name} = {name}" for name in signature_of(item)], (
            owner
        )


def test_constraints_are_those_of_the_parameters():
    for owner, item in ESTIMATORS.items():
        assert set(item._parameter_constraints) == set(signature_of(item)), owner


def test_constraints_are_in_the_order_of_the_signature():
    for owner, item in ESTIMATORS.items():
        shared = BaseRecurrent._parameter_constraints
        constraints = list(item._parameter_constraints)
        if item in NETWORKS.values():  # own constraints come after the shared ones
            constraints = [name for name in constraints if name in shared]

        order = [name for name in signature_of(item) if name in constraints]
        assert constraints == order, owner


def test_documented_options_are_those_that_are_accepted():
    for owner, item in ESTIMATORS.items():
        for name, (kind, _) in entries(item, "Parameters").items():
            rules = item._parameter_constraints[name]
            if rules == "no_validation":
                continue
            options = [rule.options for rule in rules if isinstance(rule, StrOptions)]
            described = kind.partition("default=")[0]
            documented = set(re.findall(r"'(\w+)'", described))
            assert documented == set().union(*options), f"{owner}: {name}"


def test_none_is_documented_where_it_is_accepted():
    for owner, item in ESTIMATORS.items():
        for name, (kind, _) in entries(item, "Parameters").items():
            rules = item._parameter_constraints[name]
            if name == "random_state" or isinstance(rules, str):
                continue
            described = kind.partition("default=")
            accepts_none = any(rule is None for rule in rules)
            documented = "None" in described[0] or described[2] == "None"
            assert accepts_none == documented, f"{owner}: {name}"


def shared_names(title):
    """Return the names that two or more networks document under a title."""
    names = [name for item in NETWORKS.values() for name in entries(item, title)]
    return sorted({name for name in names if names.count(name) > 1})


def texts_of(name, title):
    found = (entries(item, title).get(name) for item in NETWORKS.values())
    return {entry for entry in found if entry is not None}


def test_shared_parameters_and_attributes_have_one_text():
    for name in shared_names("Parameters"):
        texts = texts_of(name, "Parameters")
        if name in OWN_DEFAULT:
            assert len(texts) > 1, name  # else it needs no exception
            texts = {(kind.partition("default=")[0], text) for kind, text in texts}
        if name in EXTENDED:
            longest = max(text for _, text in texts)
            assert all(longest.startswith(text) for _, text in texts), name
        else:
            assert len(texts) == 1, name
    for name in shared_names("Attributes"):
        assert len(texts_of(name, "Attributes")) == 1, name


def common_order(one, other):
    return [name for name in one if name in other]


@pytest.mark.parametrize("title", ["Parameters", "Attributes"])
def test_networks_document_shared_names_in_one_order(title):
    orders = [list(entries(item, title)) for item in NETWORKS.values()]
    for one, other in itertools.combinations(orders, 2):
        assert common_order(one, other) == common_order(other, one)


# Attributes


@cache
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


def test_documented_attributes_exist_after_fit_and_no_others():
    for owner, item in ESTIMATORS.items():
        assert set(entries(item, "Attributes")) == fitted_attributes(fit(item)), owner


def test_no_attribute_exists_before_fit():
    for owner, item in ESTIMATORS.items():
        assert fitted_attributes(default(item)) == set(), owner


def test_every_attribute_has_a_type_and_a_text():
    for owner, item in ESTIMATORS.items():
        for name, (kind, text) in entries(item, "Attributes").items():
            assert kind, f"{owner}: {name} has no type"
            assert text.endswith("."), f"{owner}: {name} has no text"


PYTHON_TYPES = {"int": int, "str": str, "list": list, "DataFrame": pd.DataFrame}
PYTHON_TYPES |= {"dict": dict, "ndarray": np.ndarray, "None": type(None)}


def test_attributes_are_of_the_documented_type():
    for owner, item in ESTIMATORS.items():
        model = fit(item)
        for name, (kind, _) in entries(item, "Attributes").items():
            words = [choice.split()[0] for choice in kind.split(" or ")]
            types = tuple(PYTHON_TYPES.get(w) or pydoc.locate(w) for w in words)
            assert isinstance(getattr(model, name), types), f"{owner}: {name}"


# Methods and sections


def test_returned_values_are_documented():
    for owner, item in (METHODS | FUNCTIONS).items():
        returned = entries(item, "Returns")
        if item.__name__ in RETURN_NOTHING:
            assert not returned, owner
            continue

        assert returned, owner
        for name, (kind, text) in returned.items():
            assert kind, f"{owner}: {name} has no type"
            assert text.endswith("."), f"{owner}: {name} has no text"


def test_every_property_has_a_docstring():
    for owner, item in PROPERTIES.items():
        assert item.__doc__.endswith("."), owner


def test_every_class_has_a_see_also_section():
    for owner, item in CLASSES.items():
        assert entries(item, "See Also"), owner


def test_every_public_name_has_an_example():
    for owner, item in ITEMS.items():
        assert any(line.startswith(">>> ") for line in sections(item)["Examples"]), (
            owner
        )


def test_examples_import_the_documented_name():
    for owner, item in ITEMS.items():
        imports = [line for line in sections(item)["Examples"] if "import" in line]

        assert any(item.__name__ in line for line in imports), owner


def test_see_also_refers_to_existing_names():
    for owner, item in ITEMS.items():
        for name in entries(item, "See Also"):
            assert name in ITEMS or pydoc.locate(name), f"{owner}: {name}"


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
