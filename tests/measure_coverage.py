"""Measure which lines and branches of skrnn the tests cover.

`python tests/measure_coverage.py [FOLDER]` takes half an hour on two cores. It runs the
default tests, with a new cache of numba, so that what writes LLVM's instructions runs;
then those of the kernels, with the kernels run as Python code (see `uncompiled.py`);
then some without compiled layers. It prints the lines and branches that no test covers,
and fails below 98 %. FOLDER keeps the data.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TORCH_TESTS = ["tests/nn", "tests/training", "tests/inference"]
KERNEL_TESTS = ["tests/kernels", "tests/nn", "tests/training/test_compiled.py"]
# Of the kernels' tests, these take minutes in Python and cover nothing more, or are of
# compiled code only.
NOT_IN_PYTHON = (
    "changed_between or place_in_the_batch or arguments_are_not or keeps_the_mean or "
    "cache_of_each_kernel or no_python_runs"
)
AT_LEAST = 98


def main(folder):
    configuration = folder / "coveragerc"
    configuration.write_text(
        "[run]\n"
        f"source = {ROOT / 'skrnn'}\n"
        f"data_file = {folder / 'coverage'}\n"
        "branch = true\n"
        "parallel = true\n"
        "patch = subprocess\n"
        "disable_warnings = no-data-collected, module-not-measured\n"
        "[report]\n"
        "show_missing = true\n"
        "skip_covered = true\n"
        f"fail_under = {AT_LEAST}\n"
        "exclude_also = raise NotImplementedError\n"
    )

    def coverage(*command, check=True, **variables):
        command = [sys.executable, "-m", "coverage", *command]
        rcfile = {"COVERAGE_RCFILE": str(configuration)}
        environment = os.environ | rcfile | variables
        return subprocess.run(command, cwd=ROOT, env=environment, check=check)

    def run_tests(*arguments, **variables):
        # A failure is reported; what the other tests cover counts nevertheless.
        coverage("run", "-m", "pytest", "-q", *arguments, check=False, **variables)

    cache = {"NUMBA_CACHE_DIR": str(folder / "numba")}
    run_tests(**cache)
    selection = [*KERNEL_TESTS, "-k", f"not ({NOT_IN_PYTHON})"]
    run_tests("-p", "uncompiled", *selection, PYTHONPATH=str(ROOT / "tests"))
    run_tests(*TORCH_TESTS, NUMBA_DISABLE_JIT="1")
    coverage("combine", "--quiet")
    return coverage("report", check=False).returncode


if __name__ == "__main__":
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1]).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        sys.exit(main(folder))
    with tempfile.TemporaryDirectory() as scratch:
        sys.exit(main(Path(scratch)))
