"""The built site in a browser: `pytest -n 0 -m docs tests/site` after a build.

Needs Chromium and its driver, from the packages chromium and chromium-driver of Debian.
The site is that in docs/_build/html, or in the folder that SKRNN_SITE names.
"""

import inspect
import json
import os
import posixpath
import threading
from functools import cache, partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

import skrnn

pytestmark = pytest.mark.docs

ROOT = Path(__file__).parents[2]
SITE = Path(os.environ.get("SKRNN_SITE", ROOT / "docs" / "_build" / "html"))
CHROMEDRIVER = "/usr/bin/chromedriver"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
)
# Attributes that make a browser load something, and those that are only links.
LOADED = {"src", "srcset", "poster", "data"}


# The pages as files


class Page(HTMLParser):
    """What a page links to and loads, its anchors and its text."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.words, self.missing_texts = [], [], [], []
        self.ids = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids |= {attrs[key] for key in ("id", "name") if attrs.get(key)}
        if tag == "a" and attrs.get("href"):
            self.links.append(attrs["href"])
        if tag == "link" and attrs.get("rel") not in ("search", "canonical"):
            # next, prev, index, ... are links; style sheets and icons are loaded.
            is_loaded = attrs.get("rel") in ("stylesheet", "icon", "preload")
            (self.loads if is_loaded else self.links).append(attrs["href"])
        for key in LOADED & attrs.keys():
            for candidate in attrs[key].split(","):
                self.loads.append(candidate.split()[0])
        if tag == "img" and attrs.get("alt") is None:
            self.missing_texts.append(attrs.get("src"))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


@cache
def pages():
    """Return `{name: Page}` of all pages, by their path below the site."""
    if not (SITE / "index.html").exists():
        pytest.fail(
            f"There is no site in {SITE}. Build it: "
            "python -m sphinx -W --keep-going -b html docs docs/_build/html",
            pytrace=False,
        )
    return {
        path.relative_to(SITE).as_posix(): Page(path)
        for path in sorted(SITE.rglob("*.html"))
        if "_static" not in path.relative_to(SITE).parts
    }


def is_external(address):
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in ("mailto", "javascript")


def broken(name, address):
    """Return whether an address on a page leads to no file or no anchor."""
    path, anchor = urldefrag(address)
    path = unquote(urlsplit(path).path)
    target = posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
    target = target if path else name
    if not (SITE / target).is_file():
        return True
    anchored = pages().get(target)
    return bool(anchor and anchored) and unquote(anchor) not in anchored.ids


def test_no_internal_link_or_anchor_is_broken():
    found = {
        (name, link)
        for name, page in pages().items()
        for link in page.links
        if not is_external(link) and link != "#" and broken(name, link)
    }
    assert sum(len(page.links) for page in pages().values()) > 1000
    assert found == set()


def test_everything_that_a_page_loads_is_a_file_of_the_site():
    loads = {(name, load) for name, page in pages().items() for load in page.loads}

    assert {(n, load) for n, load in loads if load.startswith("data:")} == set()
    assert {(n, load) for n, load in loads if is_external(load)} == set()
    assert {(n, load) for n, load in loads if broken(n, load)} == set()


def test_style_sheets_load_nothing_from_other_hosts():
    texts = {p: p.read_text(encoding="utf-8") for p in SITE.rglob("*.css")}
    remote = ("url(http", "url('http", 'url("http', "url(//", "@import url(http")

    assert len(texts) > 5
    assert {
        p.name for p, text in texts.items() if any(r in text for r in remote)
    } == set()


def test_every_image_has_a_text_for_those_who_do_not_see_it():
    found = {name: page.missing_texts for name, page in pages().items()}

    assert {name: images for name, images in found.items() if images} == {}


def public_items():
    for name in skrnn.__all__:
        item = getattr(skrnn, name)
        if isinstance(item, ModuleType):
            yield from (
                (f"skrnn.{name}.{key}", getattr(item, key)) for key in item.__all__
            )
        elif callable(item):
            yield f"skrnn.{name}", item


@pytest.mark.parametrize(
    ("name", "item"), [pytest.param(*pair, id=pair[0]) for pair in public_items()]
)
def test_a_public_name_has_a_page_with_every_parameter_and_method(name, item):
    page = pages()[f"generated/{name}.html"]
    methods = {
        f"{name}.{key}"
        for key, method in inspect.getmembers(item, inspect.isfunction)
        if inspect.isclass(item)
        and not key.startswith("_")
        and method.__module__.startswith("skrnn")
    }
    words = page.text.split()

    assert methods | {name} <= page.ids
    assert [p for p in inspect.signature(item).parameters if p not in words] == []


def test_every_example_is_in_the_gallery():
    examples = {path.stem for path in (ROOT / "examples").glob("plot_*.py")}
    shown = {Path(name).stem for name in pages() if name.startswith("auto_examples/")}

    assert len(examples) > 10
    assert examples <= shown


# The pages in a browser


@pytest.fixture(scope="module")
def address():
    """Serve the site on localhost, in a thread."""
    pages()  # fails if there is no site

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Silent, directory=str(SITE))
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    if not Path(CHROMEDRIVER).exists():
        pytest.fail("Chromium's driver is missing: apt-get install chromium-driver")
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability(
        "goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"}
    )
    driver = webdriver.Chrome(options, webdriver.ChromeService(CHROMEDRIVER))
    driver.set_page_load_timeout(60)
    yield driver
    driver.quit()


class Visit(NamedTuple):
    """What happened when a page was opened."""

    requested: list
    failed: list  # requests that were answered by an error
    errors: list  # of the console
    undrawn: list  # images that were not drawn
    formulas: int  # number of those that were rendered
    unrendered: list  # formulas that were not, or not without an error


def visit(browser, address):
    """Open a page and watch what it does."""
    browser.get_log("performance")
    browser.get_log("browser")
    browser.get(address)
    requested, failed = [], []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            requested.append(message["params"]["request"]["url"])
        elif message["method"] == "Network.responseReceived":
            response = message["params"]["response"]
            if response["status"] >= 400:
                failed.append(response["url"])
    errors = [
        e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"
    ]
    undrawn = browser.execute_script(
        "return [...document.images].filter(i => i.complete && !i.naturalWidth)"
        ".map(i => i.src)"
    )
    formulas = browser.execute_script(
        "return document.querySelectorAll('.katex').length"
    )
    unrendered = browser.execute_script(
        "return [...document.querySelectorAll('.math')]"
        ".filter(m => !m.querySelector('.katex') || m.querySelector('.katex-error'))"
        ".map(m => m.textContent)"
    )
    return Visit(requested, failed, errors, undrawn, formulas, unrendered)


@pytest.fixture(scope="module")
def visits(browser, address):
    """Return the visits of all pages by name."""
    return {name: visit(browser, f"{address}/{name}") for name in pages()}


def test_all_pages_load_without_errors_in_the_console(visits):
    found = {name: v.failed + v.errors for name, v in visits.items()}

    assert len(found) > 60
    assert {name: errors for name, errors in found.items() if errors} == {}


def test_no_page_requests_anything_from_another_host(visits, address):
    local = (f"{address}/", "data:", "blob:", "chrome")
    requested = {(name, url) for name, v in visits.items() for url in v.requested}

    assert len(requested) > 10 * len(visits)  # the log is read
    assert {(n, url) for n, url in requested if not url.startswith(local)} == set()


def test_all_images_are_drawn(visits):
    found = {name: v.undrawn for name, v in visits.items()}

    assert {name: images for name, images in found.items() if images} == {}


def test_all_formulas_are_rendered(visits):
    found = {name: v.unrendered for name, v in visits.items()}

    assert visits["guide/cells.html"].formulas > 20
    assert {name: left for name, left in found.items() if left} == {}


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("RNNRegressor", "generated/skrnn.RNNRegressor.html"),
        ("embeddings", "guide/tokens.html"),
    ],
)
def test_search_finds(browser, address, query, page):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(f"{address}/search.html?q={query}")
    results = WebDriverWait(browser, 30).until(
        lambda driver: driver.find_elements(By.CSS_SELECTOR, "#search-results li a")
    )
    found = [result.get_attribute("href").split("#")[0] for result in results]

    assert any(link.startswith(f"{address}/{page}") for link in found)
