"""The imports between modules, read from their source, and of optional packages."""

import ast
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import skrnn

PACKAGE = Path(skrnn.__file__).parent
PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"

# The layers of the library, lowest first: a file may import from its own layer, as long
# as there is no cycle, and from those below. A new file or package must be added here.
LAYERS = [
    {
        "_compat",
        "_devices",
        "_documentation",  # links of estimators and transformers
        "_files",
        "_typing",
        "_version",
        "_warnings",
        "datasets",
    },
    {"_data"},
    {"_model_selection", "_preprocessing", "metrics"},
    {"_kernels"},
    {"_nn"},
    {"_training"},
    {"_inference"},
    {"_parameters"},
    {"_inputs"},
    {"_saving", "_onnx"},
    {"_fitting"},
    {"_base"},
    {"_regressor", "_classifier"},
    {"_persistence", "_displays"},
    {"__init__"},
]
LAYER_OF = {name: i for i, layer in enumerate(LAYERS) for name in layer}

# Modules that must not import torch: numpy, pandas and scikit-learn are enough.
WITHOUT_TORCH = [
    "_data.sequences",
    "_data.validation",
    "_data.scaling",
    "_data.normalization",
    "_data.samples",
    "_data.splits",
    "_data.step_targets",
    "_data.target_validation",
    "_model_selection",
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
# Dependencies that are imported where they are used.
USED_LATER = {"numba", "safetensors"}
# Modules that are imported only where they are used, and the packages they import.
MAY_NEED = {
    "_kernels.arrays": {"llvmlite", "numba"},
    "_kernels.compilation": {"llvmlite", "numba"},
    "_kernels.elementwise": {"llvmlite", "numba"},
    "_kernels.operations": {"llvmlite", "numba"},
    "_kernels.output": {"llvmlite", "numba"},
    "_kernels.products": {"llvmlite", "numba"},
    "_kernels.reading": {"numba"},
    "_kernels.recurrent": {"numba"},
    "_onnx.graph": {"onnx"},
}
OPTIONAL = ["matplotlib", "safetensors", "polars", "numba", "onnx", "statsmodels"]

SOURCES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


@cache
def tree_of(source):
    return ast.parse(SOURCES[source].read_text(encoding="utf-8"))


def layer_of(source):
    """Return the layer of a file, or of its package."""
    return LAYER_OF[source.split(".")[0]]


def is_for_types(node):
    """Return whether a block is for type checkers only, and never runs."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imported_names(tree, *, for_types=True):
    """Return `(module, name)` of every import, with name None for a whole module."""
    found, nodes = [], [tree]
    while nodes:
        node = nodes.pop()
        if is_for_types(node) and not for_types:
            continue
        nodes += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written with the name of the package"
            found += [(node.module, alias.name) for alias in node.names]
    return found


def imported_at_module_level(tree):
    """Return the modules imported at module level, not inside functions."""
    found, nodes = [], list(tree.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, (ast.FunctionDef, ast.Lambda)) or is_for_types(node):
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            found += [module for module, _ in imported_names(node)]
        nodes += ast.iter_child_nodes(node)
    return found


@cache
def direct_imports(source, *, for_types=True):
    """Return the files of skrnn that a file imports from."""
    found = set()
    for module, name in imported_names(tree_of(source), for_types=for_types):
        if module.split(".")[0] != "skrnn":
            continue
        parts = module.split(".")[1:]
        for names in (parts, [*parts, name or ""]):
            found |= {".".join(names), ".".join([*names, "__init__"])} & set(SOURCES)
    return found - {source}


def all_imports(source):
    """Return the files that run where a file is imported, itself included."""
    reached, waiting = set(), [source]
    while waiting:
        here = waiting.pop()
        reached.add(here)
        waiting += direct_imports(here, for_types=False) - reached
    return reached


# Imports within the package


def test_imports_are_from_the_same_layer_or_lower():
    upwards = {
        (source, other)
        for source in SOURCES
        for other in direct_imports(source)
        if layer_of(other) > layer_of(source)
    }
    assert upwards == set()


def test_imports_have_no_cycle():
    cycles = {
        source
        for source in SOURCES
        for other in direct_imports(source, for_types=False)
        if source in all_imports(other)
    }
    assert cycles == set()


def test_data_preparation_imports_neither_torch_nor_skorch():
    light = [
        s for s in SOURCES if any(f"{s}.".startswith(f"{w}.") for w in WITHOUT_TORCH)
    ]
    users = {
        (source, imported)
        for source in light
        for imported in all_imports(source)
        for module, _ in imported_names(tree_of(imported))
        if module.split(".")[0] in ("torch", "skorch")
    }
    assert len(light) > len(WITHOUT_TORCH)
    assert users == set()


# Imports from other packages


def is_private(module, name):
    parts = [*module.split("."), name or ""]
    return any(part.startswith("_") for part in parts)


def test_private_names_of_scikit_learn_are_imported_in_compat_only():
    users = {
        source
        for source in SOURCES
        for module, name in imported_names(tree_of(source))
        if module.split(".")[0] == "sklearn" and is_private(module, name)
    }
    assert users == {"_compat"}


def test_modules_import_only_core_packages_at_module_level():
    known = set(sys.stdlib_module_names) | set(CORE.values()) | {"skrnn"}
    others = {
        source: {m.split(".")[0] for m in imported_at_module_level(tree_of(source))}
        - known
        for source in SOURCES
    }
    assert {source: names for source, names in others.items() if names} == MAY_NEED


def test_core_packages_are_the_dependencies_of_the_project():
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]

    names = {requirement.split(">=")[0] for requirement in project["dependencies"]}
    assert names == set(CORE) | USED_LATER


# Calls that the source must not contain


def test_the_source_never_calls_print():
    calls = [
        (source, node.lineno)
        for source in SOURCES
        for node in ast.walk(tree_of(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert calls == []


# The public surface


def public_names(module):
    return {name for name in vars(module) if not name.startswith("_")}


@pytest.mark.parametrize(
    "module", [skrnn, skrnn.datasets, skrnn.metrics], ids=lambda m: m.__name__
)
def test_all_lists_the_public_names(module):
    assert len(set(module.__all__)) == len(module.__all__)
    assert set(module.__all__) == public_names(module)


def test_public_names_are_defined_in_this_package():
    for name in skrnn.__all__:
        item = getattr(skrnn, name)
        if name == "TRUSTED_TYPES":  # a constant
            continue
        home = item.__name__ if isinstance(item, ModuleType) else item.__module__
        assert home.split(".")[0] == "skrnn", name


# In a separate process

HIDE_OPTIONAL = f"""
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec

def find_unless_hidden(name, path=None, target=None):
    hidden = name.split(".")[0] in {OPTIONAL}
    return None if hidden else find_spec(name, path, target)

PathFinder.find_spec = find_unless_hidden
"""

FIT_PREDICT_AND_PICKLE = """
import pickle
import numpy as np
from skrnn import RNNClassifier, RNNRegressor, SlidingWindow

X = np.random.default_rng(0).normal(size=(12, 3))
for model, y in ((RNNRegressor(2), 2 * X[:, 0]), (RNNClassifier(2), X[:, 0] > 0)):
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


@pytest.mark.slow
def test_fit_predict_and_pickling_need_no_optional_package():
    finished = run(HIDE_OPTIONAL + FIT_PREDICT_AND_PICKLE)

    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
