"""How the modules hang together: read off their source, and tried in a process."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import skrnn

PACKAGE = Path(skrnn.__file__).parent
PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"

# The floors of the library, lowest first: a file may import from its own floor, as far
# as there is no circle, and from those below. A new file or package needs its place.
FLOORS = [
    {"_compat", "_devices", "datasets"},
    {"_data"},
    {"_preprocessing", "metrics"},
    {"_kernels"},
    {"_nn"},
    {"_training"},
    {"_inference"},
    {"_parameters"},
    {"_inputs"},
    {"_base"},
    {"_regressor", "_classifier"},
    {"__init__"},
]
FLOOR_OF = {name: i for i, floor in enumerate(FLOORS) for name in floor}

# What must stay light: numpy, pandas and scikit-learn are enough for these.
WITHOUT_TORCH = [
    "_data.sequences",
    "_data.validation",
    "_data.scaling",
    "_data.normalization",
    "_data.samples",
    "_data.splits",
    "_data.step_targets",
    "_preprocessing",
    "datasets",
    "metrics",
]

# The packages that `import skrnn` may need, by the names they are installed under.
CORE = {
    "scikit-learn": "sklearn",
    "torch": "torch",
    "skorch": "skorch",
    "numpy": "numpy",
    "pandas": "pandas",
    "tqdm": "tqdm",
}
# Modules that are themselves imported where they are used only, and what for.
MAY_NEED = {
    "_kernels.activations": {"numba"},
    "_kernels.compilation": {"numba"},
    "_kernels.products": {"llvmlite", "numba"},
}
OPTIONAL = ["matplotlib", "safetensors", "polars", "numba", "onnx", "statsmodels"]

SOURCES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
each_source = pytest.mark.parametrize("source", SOURCES)


def tree_of(source):
    return ast.parse(SOURCES[source].read_text(encoding="utf-8"))


def floor_of(source):
    """Return the floor of a file, that of its package if it is in one."""
    return FLOOR_OF[source.split(".")[0]]


def imported_names(tree):
    """Return `(module, name)` of every import, with name None for a whole module."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written with the name of the package"
            found += [(node.module, alias.name) for alias in node.names]
    return found


def imported_at_once(tree):
    """Return the modules that are imported when the file is, not in a function."""
    found, nodes = [], list(tree.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found += [module for module, _ in imported_names(node)]
        nodes += ast.iter_child_nodes(node)
    return found


def neighbours(source):
    """Return the files of skrnn that a file imports from."""
    found = set()
    for module, name in imported_names(tree_of(source)):
        if module.split(".")[0] != "skrnn":
            continue
        parts = module.split(".")[1:]
        for names in (parts, [*parts, name or ""]):
            found |= {".".join(names), ".".join([*names, "__init__"])} & set(SOURCES)
    return found - {source}


def reached_from(source):
    """Return the files that a file imports from, and those that these do, ..."""
    reached, waiting = set(), [source]
    while waiting:
        here = waiting.pop()
        reached.add(here)
        waiting += neighbours(here) - reached
    return reached


# One way only


@each_source
def test_imports_point_to_the_same_floor_or_lower(source):
    upwards = {
        other for other in neighbours(source) if floor_of(other) > floor_of(source)
    }
    assert upwards == set()


@each_source
def test_no_file_imports_itself_by_way_of_others(source):
    behind = {file for other in neighbours(source) for file in reached_from(other)}
    assert source not in behind


@pytest.mark.parametrize("package", ["torch", "skorch"])
@pytest.mark.parametrize(
    "source",
    [s for s in SOURCES if any(f"{s}.".startswith(f"{w}.") for w in WITHOUT_TORCH)],
)
def test_what_prepares_data_needs_no_network(source, package):
    users = {
        reached
        for reached in reached_from(source)
        for module, _ in imported_names(tree_of(reached))
        if module.split(".")[0] == package
    }
    assert users == set()


# What is imported from elsewhere


def is_private(module, name):
    parts = [*module.split("."), name or ""]
    return any(part.startswith("_") for part in parts)


@each_source
def test_private_names_of_scikit_learn_are_imported_in_one_place(source):
    private = {
        (module, name)
        for module, name in imported_names(tree_of(source))
        if module.split(".")[0] == "sklearn" and is_private(module, name)
    }
    assert source == "_compat" or private == set()


@each_source
def test_only_core_packages_are_imported_at_once(source):
    modules = {module.split(".")[0] for module in imported_at_once(tree_of(source))}

    others = modules - set(sys.stdlib_module_names) - set(CORE.values()) - {"skrnn"}
    assert others == MAY_NEED.get(source, set())


def test_core_packages_are_the_dependencies_of_the_project():
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]

    names = {requirement.split(">=")[0] for requirement in project["dependencies"]}
    assert names == set(CORE)


# What the source must not do


@each_source
def test_nothing_is_printed(source):
    calls = [
        node.lineno
        for node in ast.walk(tree_of(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert calls == []


# The public surface


def public_names(module):
    return {name for name in vars(module) if not name.startswith("_")}


@pytest.mark.parametrize("module", [skrnn, skrnn.datasets], ids=lambda m: m.__name__)
def test_all_names_what_is_public(module):
    assert len(set(module.__all__)) == len(module.__all__)
    assert set(module.__all__) == public_names(module)


@pytest.mark.parametrize("name", skrnn.__all__)
def test_what_is_public_is_our_own(name):
    item = getattr(skrnn, name)
    home = item.__name__ if isinstance(item, ModuleType) else item.__module__

    assert home.split(".")[0] == "skrnn"


# In a process of its own

HIDE_OPTIONAL = f"""
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec

def find_what_is_installed(name, path=None, target=None):
    hidden = name.split(".")[0] in {OPTIONAL}
    return None if hidden else find_spec(name, path, target)

PathFinder.find_spec = find_what_is_installed
"""

FIT_PREDICT_AND_PICKLE = """
import pickle
import numpy as np
from skrnn import RNNClassifier, RNNRegressor, SlidingWindow

X = np.random.default_rng(0).normal(size=(12, 3))
for model, y in ((RNNRegressor(2), X[:, 0]), (RNNClassifier(2), X[:, 0] > 0)):
    model.set_params(max_epochs=1).fit(SlidingWindow(2).fit_transform(X), y)
    windows = SlidingWindow(2).fit_transform(X)
    again = pickle.loads(pickle.dumps(model))
    assert (again.predict(windows) == model.predict(windows)).all()
"""


def run(code):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=PACKAGE.parent,
    )


def test_import_is_silent():
    finished = run("import skrnn")

    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


@pytest.mark.parametrize("package", ["matplotlib", "polars"])
def test_optional_packages_can_be_hidden(package):
    finished = run(f"{HIDE_OPTIONAL}import {package}")

    assert f"ModuleNotFoundError: No module named '{package}'" in finished.stderr


def test_fit_predict_and_pickling_need_no_optional_package():
    finished = run(HIDE_OPTIONAL + FIT_PREDICT_AND_PICKLE)

    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
