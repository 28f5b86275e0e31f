"""reports/index.html: one file with everything inside, which asks nothing of a network."""

import re
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup, escape

from pipeline.report.drawing import COLOURS, GLYPHS
from pipeline.report.markdown import cell_text, from_memory
from pipeline.report.pictures import data_uri
from pipeline.report.tables import ABSENT

FILTERED = 6  # rows from which a table gets a filter and a choice of order
DASHES = ("none", "7 3", "1.5 2", "7 2 1.5 2")


def render(title: str, head: list[str], sections: list[Any]) -> str:
    """The page of `sections` (sections.Section): text, groups of pictures, charts, tables."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {
        "inline": inline, "shown": cell_text, "sort_key": sort_key, "uri": data_uri, "svg": Markup,
        "paragraphs": paragraphs,
    }  # fmt: skip
    environment.globals |= {
        "is_absent": is_absent, "from_memory": from_memory, "dashes": DASHES, "glyphs": GLYPHS, "filtered": FILTERED,
        "colours": len(COLOURS),
    }  # fmt: skip
    parts = {name: Markup(_own(f"page.{name}")) for name in ("css", "js")}
    return environment.from_string(_own("page.html.j2")).render(title=title, head=head, sections=sections, **parts)


def _own(name: str) -> str:
    return resources.files("pipeline.report").joinpath(name).read_text(encoding="utf-8")


def inline(text: str) -> Markup:
    """`code`, **bold**, *emphasis* and [links](#anchor) of the Markdown texts as HTML."""
    html = str(escape(text))
    html = re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", r'<a href="\2">\1</a>', html)
    for mark, tag in (("`", "code"), (r"\*\*", "strong"), (r"\*", "em")):
        html = re.sub(f"{mark}(.+?){mark}", rf"<{tag}>\1</{tag}>", html)
    # Long names may break after an underscore or a slash, nowhere else; tags stay as they are.
    return Markup(re.sub(r"(<[^>]*>)|([_/])", lambda found: found[1] or f"{found[2]}<wbr>", html))


def paragraphs(lines: list[str]) -> Markup:
    """Lines of text as paragraphs; neighbours that begin with `- ` as one list."""
    parts, inside = [], False
    for line in lines:
        entry = line.startswith("- ")
        if entry != inside:
            parts.append("<ul>" if entry else "</ul>")
            inside = entry
        parts.append(f"<li>{inline(line[2:])}</li>" if entry else f"<p>{inline(line)}</p>")
    return Markup("\n".join([*parts, *(["</ul>"] if inside else [])]))


def sort_key(value: object) -> str:
    """What a cell is ordered by: its leading number, or its text."""
    text = cell_text(value)
    found = re.match(r"[-+]?\d[\d,]*\.?\d*(e[-+]?\d+)?", text)
    return found.group().replace(",", "").lstrip("+") if found and text != "-" else text


def is_absent(value: object) -> bool:
    """Whether a cell says that there is nothing."""
    return cell_text(value).startswith(ABSENT) and not re.match(r"-[\d.]", cell_text(value))
