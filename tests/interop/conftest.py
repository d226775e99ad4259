"""Which files of this folder can run here.

A file that is named on the command line, as in CI, runs in any case, and fails if its
tool is not installed.
"""

from importlib.util import find_spec

TOOLS = {
    "test_feature_engine.py": "feature_engine",
    "test_imbalanced_learn.py": "imblearn",
    "test_mapie.py": "mapie",
    "test_mlflow.py": "mlflow",
    "test_mlforecast.py": "mlforecast",
    "test_optuna.py": "optuna_integration",
    "test_shap.py": "shap",
    "test_skforecast.py": "skforecast",
    "test_sktime.py": "sktime",
}

collect_ignore = [file for file, tool in TOOLS.items() if find_spec(tool) is None]
