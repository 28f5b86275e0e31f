"""The page as a file, and as a browser shows it."""

import re
from html.parser import HTMLParser

import pytest

import chromium
from pipeline.report.page import inline, is_absent, paragraphs, sort_key
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
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttpRequest|import\(", page.read_text())
    assert page.stat().st_size < 8e6


def test_identifiers_are_unique_and_every_reference_has_its_target(page, outline):
    ids = [attributes["id"] for _, attributes in outline.tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    for _, attributes in outline.tags:
        for name in ("for", "aria-labelledby", "data-table"):
            assert attributes.get(name) is None or attributes[name] in ids, attributes
        if (attributes.get("href") or "").startswith("#"):
            assert attributes["href"][1:] in ids
    assert set(re.findall(r"url\(#([^)]+)\)", page.read_text())) <= set(ids)


def test_pictures_are_described_and_charts_named(outline):
    assert len(outline.all("img")) > 30
    assert all(len(attributes["alt"]) > 15 for attributes in outline.all("img"))
    charts = [attributes for attributes in outline.all("div") if attributes.get("role") == "img"]
    assert len(charts) >= 3 and all(attributes["aria-label"] for attributes in charts)


def test_every_table_of_the_report_is_in_the_page(report, outline):
    shown = {attributes["id"].removesuffix("_table") for attributes in outline.all("table")}
    files = {path.stem for path in report.glob("tables/*.csv") if path.stat().st_size > 1}
    assert shown == files


def test_every_table_links_to_its_csv(report, outline):
    links = [attributes["href"] for attributes in outline.all("a") if attributes.get("class") == "csv"]
    assert len(links) == len(outline.all("table")) and all((report / link).is_file() for link in links)


def test_only_tables_with_something_behind_their_rows_have_that_column(page):
    tables = re.findall(r'<table id="(\w+)_table"(.*?)</table>', page.read_text(), flags=re.DOTALL)
    having = {name for name, text in tables if "behind the row" in text}
    assert {"digits_ablation", "cifar10_main"} <= having and not {"digits_decisions", "claims", "cells"} & having


def test_cells_are_ordered_by_their_number_and_absence_is_told():
    assert sort_key("1,234.5 ± 2") == "1234.5" and sort_key("+3.0") == "3.0" and sort_key("-3.0") == "-3.0"
    assert sort_key("oom") == "oom"
    assert is_absent("not run") and is_absent(None) and is_absent("-")
    assert not is_absent("-3.0") and not is_absent("oom")


def test_texts_become_html():
    assert inline("`a<b` **c**") == "<code>a&lt;b</code> <strong>c</strong>"
    assert inline("[the rule](#a_b) of x_y") == '<a href="#a_b">the rule</a> of x_<wbr>y'
    assert paragraphs(["one", "- two", "- three", "four"]) == (
        "<p>one</p>\n<ul>\n<li>two</li>\n<li>three</li>\n</ul>\n<p>four</p>"
    )


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
        for behind in ("paper", "card", "strong"):
            assert contrast(colours[text], colours[behind]) >= 4.5, (text, behind)
    for index in range(8):
        assert contrast(colours[f"series{index}"], colours["paper"]) >= 3, index


@pytest.fixture(scope="module")
def browser():
    if chromium.BINARY is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    with chromium.Browser() as opened:
        yield opened


OVERFLOWING = (
    "[...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth + 1)"
    ".map((box) => box.getAttribute('aria-labelledby'))"
)
UNFOLD = (
    "document.querySelectorAll('details').forEach((part) => { part.open = true; });"
    "document.querySelectorAll('.fold').forEach((box) => { if (!box.checked) box.click(); });"
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_opens_from_disk_complete_and_fits(browser, page, width, scheme):
    browser.requests.clear()
    browser.problems.clear()
    browser.open(page, width=width, scheme=scheme)
    assert [address for address in browser.requests if not address.startswith("data:")] == [page.resolve().as_uri()]
    assert not browser.problems
    assert browser.run("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run(OVERFLOWING) == []


def test_no_table_is_wider_than_the_page_even_if_all_is_unfolded(browser, page):
    browser.open(page, width=1440)
    browser.run(UNFOLD)
    assert browser.run(OVERFLOWING) == []
    assert browser.run("document.documentElement.scrollWidth") <= 1440


def test_a_phone_shows_headings_first(browser, page):
    browser.open(page, width=390)
    assert browser.run("document.documentElement.scrollHeight") < 16 * 844
    browser.run("location.hash = '#claims_heading'")
    assert browser.run("document.getElementById('claims_heading').closest('details').open"), "a link opens its part"


SLIDER = (
    "(() => { const frame = document.querySelector('.frame'); return [document.querySelector('output').textContent, "
    "getComputedStyle(frame).getPropertyValue('--moment').trim(), document.querySelector('.at').textContent]; })()"
)


def test_the_slider_steps_through_training_by_key(browser, page):
    browser.open(page, width=1440)
    browser.run(UNFOLD)
    browser.run("document.querySelector('.moment').focus()")
    assert browser.run(SLIDER) == ["192 kimg", "2", ", 192 kimg"]
    browser.press("ArrowLeft")
    assert browser.run(SLIDER) == ["96 kimg", "1", ", 96 kimg"]
    browser.press("Home")
    assert browser.run(SLIDER) == ["0 kimg", "0", ", 0 kimg"]
    image, frame = browser.run(
        "(() => { const f = document.querySelector('.frame'); const i = f.querySelector('img');"
        " return [i.getBoundingClientRect().height, f.clientHeight]; })()"
    )
    assert image == pytest.approx(3 * frame, rel=0.02)


ROWS = "[...document.querySelectorAll('#digits_ablation_table tbody tr')]"
SET = (
    "(() => { const box = document.querySelector('[data-table=digits_ablation_table].%s'); box.value = '%s';"
    " box.dispatchEvent(new Event('%s', {bubbles: true})); })()"
)


def test_a_filter_hides_rows_and_says_how_many_are_left(browser, page):
    browser.open(page, width=1440)
    visible = f"{ROWS}.filter((row) => row.getClientRects().length).map((row) => row.cells[1].textContent)"
    browser.run(SET % ("filter", "grid layer", "input"))
    assert browser.run(visible) == []
    browser.run(SET % ("filter", "(d) grid", "input"))
    assert browser.run(visible) == ["grid_attention"]
    count = "document.querySelector('#digits_ablation_table').closest('.block').querySelector('.count').textContent"
    assert browser.run(count) == "1 of 8 rows"


@pytest.mark.parametrize("width", WIDTHS)
def test_rows_can_be_ordered_and_put_back(browser, page, width):
    browser.open(page, width=width)
    browser.run(UNFOLD)
    names = f"{ROWS}.map((row) => row.cells[1].textContent)"
    original = browser.run(names)
    column = browser.run(
        "[...document.querySelectorAll('#digits_ablation_table th')]"
        ".findIndex((cell) => cell.textContent === 'measured: fd_digits')"
    )
    browser.run(SET % ("order", column, "change"))
    assert browser.run(names)[:4] == ["full", "grid_attention", "axis_attention", "token_norm"]
    browser.run(SET % ("order", "", "change"))
    assert browser.run(names) == original
    if width > 760:
        for ordered in (["full", "grid_attention"], ["token_norm", "axis_attention"]):
            browser.run(f"document.querySelectorAll('#digits_ablation_table th button')[{column}].click()")
            assert browser.run(names)[:2] == ordered


def test_seeds_and_protocol_unfold(browser, page):
    browser.open(page, width=1440)
    shown = "getComputedStyle(document.querySelector('#digits_ablation_table td.detail')).display"
    assert browser.run(shown) == "none"
    browser.run("document.querySelector('[data-table=digits_ablation_table].fold').click()")
    assert browser.run(shown) == "table-cell"


def test_print_is_black_on_white_and_breaks_no_word(browser, page):
    browser.open(page, width=1040, scheme="dark", media="print")
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert browser.run("getComputedStyle(document.querySelector('td')).overflowWrap") == "normal"
    # A4 landscape less its margins is 1,046 pixels wide.
    assert browser.run("document.documentElement.scrollWidth") <= 1046
