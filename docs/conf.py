"""Settings of Sphinx.

Build the site from the root of the repository:

python -m sphinx -W --keep-going -b html docs docs/_build/html

Nothing is downloaded, and no page loads anything from another host.
"""

import inspect
import os
import sys
from operator import attrgetter
from pathlib import Path

# Examples are small: threads of matrix libraries would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib as mpl

import skrnn

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(DOCS))

import diagrams  # noqa: E402
import sources  # noqa: E402

mpl.use("Agg")

# -- The project

project = "skrnn"
author = "the skrnn developers"
project_copyright = "the skrnn developers"
version = release = skrnn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxcontrib.katex",
]
templates_path = ["_templates"]
# The times of examples load scripts from other hosts.
exclude_patterns = ["_build", "_generated", "**/sg_execution_times.rst"]
# A name in single backquotes links to its entry in the reference, if it has one.
default_role = "py:obj"
smartquotes = False  # 'auto' is a value, not a quotation
rst_prolog = ".. currentmodule:: skrnn\n"
# Functions among the settings are no reason to build all pages again.
suppress_warnings = ["config.cache"]

# -- Pages written by the build: examples, diagrams, and parts of the README

GENERATED = DOCS / "_generated"
sources.write_examples(ROOT / "examples", GENERATED / "examples")
sources.write_sections(ROOT, GENERATED)
size = os.environ.get("SKRNN_EXAMPLES_SMALL", "")
sources.forget_other_size(size, GENERATED, DOCS / "auto_examples")
diagrams.draw_all(DOCS / "_static" / "diagrams")

# -- The reference

autosummary_generate = True
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False  # the template lists them


def public_methods(fullname):
    """Return the methods of a class that its page documents.

    Those of this library, and of scikit-learn `get_params` and `set_params`.
    """
    cls = attrgetter(fullname.removeprefix("skrnn."))(skrnn)
    return [
        name
        for name, method in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
        and (
            method.__module__.startswith("skrnn")
            or name in ("get_params", "set_params", "fit_transform")
        )
    ]


autosummary_context = {"public_methods": public_methods}

# -- The gallery

sphinx_gallery_conf = {
    "examples_dirs": str(GENERATED / "examples"),
    "gallery_dirs": "auto_examples",
    "filename_pattern": "/plot_",
    "within_subsection_order": "FileNameSortKey",
    "subsection_order": [f"_generated/examples/{topic}" for topic in sources.TOPICS],
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skrnn",),
    "reference_url": {"skrnn": None},
    "image_srcset": ["2x"],
    "matplotlib_animations": False,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
    "show_signature": False,
    "download_all_examples": False,
    "plot_gallery": True,
    "abort_on_example_error": True,
    "min_reported_time": 10_000,
}

# -- Formulas: KaTeX, with the style sheet and the fonts in _static

html_math_renderer = "katex"
katex_css_path = "katex/katex.min.css"

# -- HTML

html_theme = "pydata_sphinx_theme"
html_title = "skrnn"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_logo = "_static/logo.svg"
html_favicon = "_static/logo.svg"
html_copy_source = False
html_show_sourcelink = False
html_context = {"default_mode": "auto"}  # light or dark, as the browser prefers
html_theme_options = {
    "logo": {"text": "skrnn", "alt_text": "skrnn, home"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 4,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "show_nav_level": 1,
    "back_to_top_button": False,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "pygments_light_style": "default",
    "pygments_dark_style": "monokai",
}
# Pages of a single level have no sidebar of sections.
html_sidebars = {
    name: []
    for name in ("install", "coming_from", "comparisons", "when_not", "changelog")
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
