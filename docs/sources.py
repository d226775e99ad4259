"""Copy what the site takes from elsewhere in the repository, so that it cannot drift.

The examples are sorted into topics, each a folder of the gallery, and lose the lines
that save their figure, since the gallery shows it. Sections of the README and the
benchmarks become pages of Markdown.
"""

import re
import shutil
from pathlib import Path

# The sections of the gallery, in this order. An example without a topic is in the last.
TOPICS = {
    "forecasting": (
        "Forecasting",
        "One step ahead, a year ahead, and how sure a forecast is.",
        [
            "plot_forecast_airline",
            "plot_window_norms",
            "plot_airline_as_one_sequence",
            "plot_airline_multi_step",
            "plot_sine_free_running",
            "plot_ensemble_uncertainty",
            "plot_stream_sensor",
            "plot_panel_sales",
        ],
    ),
    "classification": (
        "Classification",
        "One label for each sequence.",
        [
            "plot_classify_digits",
            "plot_classify_sentences",
            "plot_long_series",
        ],
    ),
    "tagging": (
        "A label for each step",
        "Sequences in, sequences out.",
        ["plot_tag_sequences", "plot_binary_addition"],
    ),
    "inspection": (
        "Inspection",
        "What a network has learned.",
        ["plot_hidden_states", "plot_attention"],
    ),
    "more": ("More examples", "What else the library can do.", []),
}
INTRODUCTION = """\
Gallery
=======

Each example runs in seconds, downloads nothing, and stands beside a simple baseline.
Download one at the end of its page, or run it from the folder `examples` of the
repository.
"""


def forget_other_size(size, folder, generated):
    """Let all examples run again if those of the last build had another size.

    Sphinx-Gallery runs an example again only if its source has changed.
    """
    stamp = folder / "size.txt"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != size:
        for path in generated.rglob("*.md5"):
            path.unlink()
        write_files(folder, {Path(stamp.name): size}, prune=False)


def topic_of(name):
    """Return the topic of an example, by the name of its file without suffix."""
    return next((t for t, (_, _, names) in TOPICS.items() if name in names), "more")


def write_examples(source, target):
    """Write the examples, sorted by topic, and the headings of the gallery."""
    files = {Path("GALLERY_HEADER.rst"): INTRODUCTION}
    for path in sorted(source.glob("plot_*.py")):
        topic = topic_of(path.stem)
        files[Path(topic, path.name)] = without_saving(path)
    for topic, (title, text, _) in TOPICS.items():
        if any(path.parent.name == topic for path in files):
            heading = f"{title}\n{'-' * len(title)}\n\n{text}\n"
            files[Path(topic, "GALLERY_HEADER.rst")] = heading
    write_files(target, files)


def without_saving(path):
    """Return the source of an example without the lines that save its figure."""
    lines, kept, skipped = path.read_text(encoding="utf-8").splitlines(), [], False
    for line in lines:
        if line.startswith("path = Path(__file__)"):
            skipped = True
        elif skipped and (not line or line.startswith("# %%")):
            skipped = False
        if not skipped:
            kept.append(line)
    text = "\n".join(kept) + "\n"
    if "Path(" not in text:
        text = text.replace("from pathlib import Path\n", "")
    if "__file__" in text:
        raise ValueError(
            f"{path.name} must use __file__ only in the last lines of a cell, which "
            "save the figure and begin with 'path = Path(__file__)'."
        )
    return text


def section(text, title):
    """Return a section of a page of Markdown, without its heading."""
    match = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    if match is None:
        raise ValueError(f"README.md must have a section '{title}'.")
    return match.group(1).strip() + "\n"


def write_sections(root, target):
    """Write the sections of the README, and the pages, that the site includes."""
    readme = (root / "README.md").read_text(encoding="utf-8")
    links = {
        "[benchmarks/README.md](benchmarks/README.md)": "[All results](benchmarks.md)"
    }
    pages = {
        "defaults.md": section(readme, "How good are the defaults?"),
        "speed.md": section(readme, "Speed"),
        "promises.md": section(readme, "What we promise"),
        "benchmarks.md": (root / "benchmarks" / "README.md").read_text("utf-8"),
        "changelog.md": (root / "CHANGELOG.md").read_text("utf-8"),
        "contributing.md": (root / "CONTRIBUTING.md").read_text("utf-8"),
    }
    for name, text in pages.items():
        for old, new in links.items():
            text = text.replace(old, new)
        write_files(target, {Path(name): text}, prune=False)


def write_files(folder, files, prune=True):
    """Write files that have changed, and remove others, so that builds are cached."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    if prune:
        known = {folder / name for name in files}
        for path in folder.rglob("*"):
            if path.is_file() and path not in known:
                path.unlink()
        for path in folder.glob("*"):
            if path.is_dir() and not any(path.iterdir()):
                shutil.rmtree(path)
