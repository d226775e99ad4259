"""What a release consists of has one version."""

import re
import subprocess
from pathlib import Path

import pytest

from skrnn import __version__

ROOT = Path(__file__).parents[1]


def test_the_citation_has_the_version_of_the_package():
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.search(r"^version: (.*)$", citation, re.MULTILINE)[1] == __version__


def test_the_changelog_ends_with_what_is_unreleased_or_this_version():
    headings = re.findall(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] in ("Unreleased", __version__)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, r"Replace \[Unreleased\] in CHANGELOG.md by \[9\.9\] - \d{4}-\d\d-\d\d\."),
        ({"CITATION.cff": "version: 1.0\n"}, r"Set version: 9\.9 in CITATION.cff\."),
        ({"more.txt": None}, r"Commit or remove what git status shows\."),
    ],
    ids=["changelog", "citation", "uncommitted"],
)
def test_a_release_that_is_not_prepared_stops(tmp_path, changes, message):
    def run(*command):
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    files = {
        "skrnn/_version.py": '__version__ = "9.9"\n',
        "CITATION.cff": "version: 9.9\n",
        "CHANGELOG.md": "## [Unreleased]\n",
        ".ci/release": (ROOT / ".ci/release").read_text(),
    }
    for name, text in (files | changes).items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if text is not None:
            path.write_text(text)
    run("git", "init", "--quiet")
    run("git", "add", ".")
    run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "First")
    for name, text in changes.items():
        if text is None:
            (tmp_path / name).touch()

    result = run("bash", ".ci/release")
    assert result.returncode == 1
    assert re.fullmatch(message + "\n", result.stderr)
