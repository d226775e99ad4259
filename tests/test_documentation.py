"""The pages of docs/, compared with the code. Nothing is built here."""

import re
from pathlib import Path
from types import ModuleType

import skrnn

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def public_names():
    """Return the full name of every public class, function and constant."""
    names = set()
    for name in skrnn.__all__:
        item = getattr(skrnn, name)
        if isinstance(item, ModuleType):
            names |= {f"skrnn.{name}.{key}" for key in item.__all__}
        else:
            names.add(f"skrnn.{name}")
    return names


def names_in_reference():
    """Return the full names that docs/api.rst lists."""
    names, module, listing = [], None, False
    for line in (DOCS / "api.rst").read_text(encoding="utf-8").splitlines():
        directive = re.match(
            r"\.\. (currentmodule|module|data|autosummary)::\s*(.*)", line
        )
        if directive:
            kind, argument = directive.groups()
            listing = kind == "autosummary"
            if kind in ("currentmodule", "module"):
                module = argument
            elif kind == "data":
                names.append(f"{module}.{argument}")
        elif line and not line.startswith(" "):
            listing = False
        elif listing and re.fullmatch(r"   \w+", line):
            names.append(f"{module}.{line.strip()}")
    return names


def test_the_reference_lists_every_public_name_once():
    names = names_in_reference()

    assert len(set(names)) == len(names)
    assert set(names) == public_names()


def test_every_page_of_the_guide_is_in_its_table_of_contents():
    index = (DOCS / "guide" / "index.rst").read_text(encoding="utf-8")
    listed = set(re.findall(r"^   (\w+)$", index, re.MULTILINE))

    assert listed == {path.stem for path in DOCS.glob("guide/*.rst")} - {"index"}


def test_pages_load_nothing_from_other_hosts():
    own = [*DOCS.glob("*.*"), *DOCS.glob("guide/*"), *DOCS.glob("_static/*.*")]
    texts = {path.name: path.read_text(encoding="utf-8") for path in own}
    addresses = {
        name: re.findall(r"(?:https?:)?//[\w.-]+\.(?:com|org|net|io)[^\s\"')]*", text)
        for name, text in texts.items()
    }

    # The name of a format, not an address that is loaded.
    svg = ["http://www.w3.org/2000/svg"]
    assert {name: urls for name, urls in addresses.items() if urls} == {"logo.svg": svg}
