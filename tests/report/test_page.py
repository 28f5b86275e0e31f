"""The page as a file, and as a browser shows it."""

import base64
import re
from html.parser import HTMLParser

import pytest

import chromium
from pipeline.report.document import Section
from pipeline.report.document import page as rendered
from repository import ROOT

WIDTHS = (390, 1440)


class Outline(HTMLParser):
    """Tags with their attributes, and text outside scripts and styles."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag in names]


@pytest.fixture(scope="module")
def page(report):
    return report / "index.html"


@pytest.fixture(scope="module")
def outline(page):
    return Outline(page.read_text())


def test_nothing_is_asked_of_a_network(page, outline):
    """Links lead to the report's own files; nothing but a reader's click follows one."""
    for tag, attributes in outline.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            own = tag == "a" and (page.parent / (attributes.get(name) or "")).is_file()
            assert own or (attributes.get(name) or "data:").startswith(("data:", "#")), attributes
    assert page.stat().st_size < 6e6


def test_identifiers_are_unique_and_every_reference_has_its_target(page, outline):
    ids = [attributes["id"] for _, attributes in outline.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    for _, attributes in outline.tags:
        if (attributes.get("href") or "").startswith("#"):
            assert attributes["href"][1:] in ids


def test_pictures_are_described(outline):
    assert len(outline.all("img")) >= 10
    assert all(len(attributes["alt"]) > 15 and "](" not in attributes["alt"] for attributes in outline.all("img"))


def test_every_table_of_the_report_is_in_the_page_and_links_to_its_csv(report, outline):
    links = {attributes["href"] for attributes in outline.all("a") if (attributes.get("href") or "").endswith(".csv")}
    assert links == {f"tables/{path.name}" for path in report.glob("tables/*.csv")}
    assert len(outline.all("table")) >= len(links) - 5  # a table without rows says *none*


def test_the_navigation_has_at_most_eight_words(page):
    navigation = re.search(r"<nav.*?</nav>", page.read_text(), flags=re.DOTALL)[0]
    assert 4 <= len(re.sub(r"<[^>]*>", " ", navigation).split()) <= 8


def test_two_code_spans_in_a_line_do_not_cross(tmp_path):
    """Once `a*` and `*b` in one line gave <code>a<em></code> and <code></em>b</code>."""
    text = rendered("T", "", [Section(title="S", anchor="s", content=["`a*` and `*b`, `x_y_` **c**, 1 < 2"])], tmp_path)
    assert "<code>a*</code> and <code>*b</code>, <code>x_y_</code> <strong>c</strong>, 1 &lt; 2" in text


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2)."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1, 2], ids=["light", "dark", "print"])
def test_contrast(theme):
    blocks = re.findall(r":root \{(.*?)\}", (ROOT / "pipeline/report/page.css").read_text(), flags=re.DOTALL)
    assert len(blocks) == 3
    colours = dict(re.findall(r"--(\w+): (#\w{6})", blocks[theme]))
    for text in ("ink", "soft", "link"):
        for behind in ("paper", "card"):
            assert contrast(colours[text], colours[behind]) >= 4.5, (text, behind)


@pytest.fixture(scope="module")
def browser():
    if chromium.BINARY is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with chromium.Browser() as opened:
        yield opened


READY = (
    "new Promise((done) => { const ready = () => document.documentElement.dataset.ready;"
    " const wait = () => ready() ? done(true) : setTimeout(wait, 50); wait(); })"
)


def opened(browser, page, width, **options):
    browser.open(page, width=width, **options)
    assert browser.run(READY)
    return browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_opens_from_disk_complete_and_fits(browser, page, width, scheme):
    browser.requests.clear()
    browser.problems.clear()
    opened(browser, page, width, scheme=scheme)
    assert [address for address in browser.requests if not address.startswith("data:")] == [page.resolve().as_uri()]
    assert not browser.problems
    assert browser.run("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert browser.run("document.documentElement.scrollWidth") <= width


def test_the_first_screen_is_claims_and_the_phone_shows_their_table_first(browser, page):
    for width, most in ((1440, 500), (390, 800)):
        opened(browser, page, width)
        top, right = browser.run(
            "(() => { const box = document.querySelector('table').getBoundingClientRect();"
            " return [box.top, box.right]; })()"
        )
        assert top < most and right <= width, width


def test_a_link_opens_its_part(browser, page):
    opened(browser, page, 390)
    browser.run("location.hash = '#digits_curves_heading'")
    assert browser.run("new Promise((done) => setTimeout(done, 200)).then(() => true)")
    assert browser.run("document.getElementById('digits_curves_heading').closest('details').open")


def test_long_tables_are_filtered_and_ordered(browser, page):
    opened(browser, page, 1440)
    browser.run("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    browser.run("window.box = document.getElementById('cells_heading').closest('details')")
    rows = "[...box.querySelectorAll('tbody tr')].map((row) => row.cells[1].textContent)"
    assert browser.run(f"{rows}.length") == 27
    browser.run("(() => { const f = box.querySelector('input'); f.value = 'token_norm';"
                " f.dispatchEvent(new Event('input', {bubbles: true})); })()")  # fmt: skip
    assert browser.run("new Promise((done) => setTimeout(done, 600)).then(() => true)")
    assert browser.run(rows) == ["token_norm"] * 3


def test_print_has_at_most_twenty_pages_black_on_white(browser, page):
    opened(browser, page, 1040, scheme="dark", media="print")
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert browser.run("[...document.querySelectorAll('details')].every((part) => part.getClientRects().length === 0)")
    empty = "[...document.querySelectorAll('section')].filter((part) => part.getClientRects().length"
    empty += " && ![...part.children].some((own) => own.tagName !== 'H2' && own.getClientRects().length)).length"
    assert browser.run(empty) == 0
    printed = base64.b64decode(browser.send("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 20
