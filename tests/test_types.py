"""Annotations: complete, true, and what a type checker makes of them."""

import inspect
import subprocess
import sys
import tomllib
import types
import typing
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator

import skrnn
from skrnn._compat import StrOptions

PACKAGE = Path(skrnn.__file__).parent
PROJECT = Path(__file__).parents[1]
SAMPLE = Path(__file__).with_name("typing_sample.py")


def public_items():
    """Return `{name: class or function}` of what the package exports."""
    items = {}
    for name in skrnn.__all__:
        item = getattr(skrnn, name)
        if isinstance(item, types.ModuleType):
            items |= {f"{name}.{key}": getattr(item, key) for key in item.__all__}
        elif callable(item):  # not a constant
            items[name] = item
    return items


def own_functions(cls):
    """Return `{name: function}` of methods and properties that are ours."""
    found = {}
    for name, member in inspect.getmembers(cls):
        function = member.fget if isinstance(member, property) else member
        is_public = name == "__init__" or not name.startswith("_")
        is_ours = inspect.isfunction(function) and "skrnn." in function.__module__
        if is_public and is_ours:
            found[name] = function
    return found


ITEMS = public_items()
ESTIMATORS = {
    name: item
    for name, item in ITEMS.items()
    if inspect.isclass(item) and issubclass(item, BaseEstimator)
}
FUNCTIONS = {name: item for name, item in ITEMS.items() if inspect.isfunction(item)}
for owner, cls in ITEMS.items():
    if inspect.isclass(cls):
        FUNCTIONS |= {f"{owner}.{k}": f for k, f in own_functions(cls).items()}


def missing_annotations(function):
    signature = inspect.signature(function)
    found = [
        name
        for name, parameter in signature.parameters.items()
        if name != "self" and parameter.annotation is inspect.Parameter.empty
    ]
    if signature.return_annotation is inspect.Signature.empty:
        found.append("return")
    return found


def alternatives(hint):
    """Return the members of a union, and the values of its literals."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [one for part in typing.get_args(hint) for one in alternatives(part)]
    if typing.get_origin(hint) is typing.Literal:
        return list(typing.get_args(hint))
    return [hint]


def options(hint):
    """Return the strings that a hint names."""
    return {one for one in alternatives(hint) if isinstance(one, str)}


def accepts(hint, value):
    """Return whether a hint includes a value, as far as its first level tells."""
    for one in alternatives(hint):
        if isinstance(one, str):
            matches = one == value
        elif one is typing.Any:
            matches = True
        elif one is float:
            matches = type(value) in (int, float)
        else:
            matches = isinstance(value, typing.get_origin(one) or one)
        if matches:
            return True
    return False


def test_package_says_that_it_is_typed():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))

    assert (PACKAGE / "py.typed").read_bytes() == b""
    assert project["tool"]["setuptools"]["package-data"]["skrnn"] == ["py.typed"]


def test_methods_of_estimators_are_among_the_functions():
    assert {"RNNRegressor.fit", "RNNRegressor.predict_quantiles"} <= set(FUNCTIONS)
    assert {"BiRNNClassifier.module_", "datasets.make_sine_waves"} <= set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_functions_have_complete_annotations(name):
    assert missing_annotations(FUNCTIONS[name]) == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_annotations_can_be_evaluated(name):
    """Tools that read them at run time need the names that they contain."""
    hints = typing.get_type_hints(FUNCTIONS[name])

    assert set(hints) >= set(inspect.signature(FUNCTIONS[name]).parameters) - {"self"}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_literals_are_the_options_that_are_accepted(name):
    hints = typing.get_type_hints(ESTIMATORS[name].__init__)
    for parameter, rules in ESTIMATORS[name]._parameter_constraints.items():
        if isinstance(rules, str):
            continue
        accepted = [rule.options for rule in rules if isinstance(rule, StrOptions)]
        assert options(hints[parameter]) == set().union(*accepted), parameter


@pytest.mark.parametrize("name", FUNCTIONS)
def test_defaults_are_of_the_annotated_types(name):
    hints = typing.get_type_hints(FUNCTIONS[name])
    for parameter in inspect.signature(FUNCTIONS[name]).parameters.values():
        if parameter.default is not inspect.Parameter.empty:
            assert accepts(hints[parameter.name], parameter.default), parameter.name


@pytest.mark.slow
def test_mypy_accepts_correct_use_and_refuses_other_use(tmp_path):
    pytest.importorskip("mypy")
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    marked = {i for i, line in enumerate(lines, 1) if line.endswith("# refused")}
    command = [sys.executable, "-m", "mypy", "--cache-dir", tmp_path / "cache"]

    finished = subprocess.run(
        [*command, "--no-pretty", SAMPLE],
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
    )

    errors = [line for line in finished.stdout.splitlines() if ": error: " in line]
    assert finished.stderr == ""
    assert {error.partition(":")[0] for error in errors} == {
        str(SAMPLE.relative_to(PROJECT))
    }
    assert {int(error.split(":")[1]) for error in errors} == marked
