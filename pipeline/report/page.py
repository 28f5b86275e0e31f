"""reports/index.html: one file with everything inside, which asks nothing of a network."""

import re
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup, escape

from pipeline.report.markdown import cell_text
from pipeline.report.pictures import data_uri

FILTERED = 3        # rows from which a table gets a filter and a choice of order
QUIET = ("not run", "not reported", "no such", "not measured", "not available", "not known", "not found", "not in this matrix", "-")
DASHES = ("none", "6 2", "2 2", "6 2 2 2")


def render(title: str, head: list[str], sections: list[Any]) -> str:
    """The page of `sections` (build.Section): text, groups of pictures, charts, tables."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {"inline": inline, "shown": cell_text, "sort_key": sort_key, "uri": data_uri, "svg": Markup}
    environment.globals |= {"quiet": quiet, "dashes": DASHES, "filtered": FILTERED}
    parts = {name: Markup(_own(f"page.{name}")) for name in ("css", "js")}
    return environment.from_string(_own("page.html.j2")).render(title=title, head=head, sections=sections, **parts)


def _own(name: str) -> str:
    return resources.files("pipeline.report").joinpath(name).read_text(encoding="utf-8")


def inline(text: str) -> Markup:
    """`code`, **bold** and *emphasis* of the Markdown texts as HTML."""
    html = str(escape(text))
    for mark, tag in (("`", "code"), (r"\*\*", "strong"), (r"\*", "em")):
        html = re.sub(f"{mark}(.+?){mark}", rf"<{tag}>\1</{tag}>", html)
    return Markup(html)


def sort_key(value: object) -> str:
    """What a cell is ordered by: its leading number, or its text."""
    text = cell_text(value)
    found = re.match(r"[-+]?\d[\d,]*\.?\d*(e[-+]?\d+)?", text)
    return found.group().replace(",", "").lstrip("+") if found and text != "-" else text


def quiet(value: object) -> bool:
    """Whether a cell says that there is nothing."""
    return cell_text(value).startswith(QUIET) and not re.match(r"-[\d.]", cell_text(value))
