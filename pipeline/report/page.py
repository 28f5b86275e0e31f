"""reports/index.html, made from the report's Markdown: one file with its pictures inside, which opens offline.

Tables of many rows can be ordered and filtered by DataTables, in the copy that itables ships for pages without a
network (0.6 MB of the page). Its style sheet is not taken: page.css has the few rules that are needed.
"""

import base64
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from pipeline.base.files import write_text
from pipeline.report.content import Figure, Section, document, write_tables

TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<h1>{title}</h1>
{head}
<nav aria-label="Sections">{navigation}</nav>
{sections}
<script type="module">
{script}</script>
</body>
</html>
"""
# A link into a closed part opens it. DataTables comes as a module inside an address, so that nothing is fetched.
SCRIPT = """const reveal = () => {{
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const part = target && target.closest("details");
  if (part) {{ part.open = true; target.scrollIntoView(); }}
}};
addEventListener("hashchange", reveal);
reveal();
const {{ ITable }} = await import("data:text/javascript;base64,{bundle}");
for (const table of document.querySelectorAll("table"))
  if (table.tBodies[0].rows.length > {many})
    new ITable(table, {{
      paging: false, info: false, order: [], autoWidth: false, layout: {{ topEnd: null, topStart: "search" }}
    }});
document.documentElement.dataset.ready = "yes";
"""
MANY = 12  # rows from which on a table can be ordered and filtered


def write_report(title: str, head: list[str], sections: list[Section], out: Path) -> Path:
    """Write tables, README.md and index.html, then remove what an earlier report left; returns the path of README.md.

    Every file is written whole, and stale ones go last: a report that is killed in between can be read.
    """
    kept = {*write_tables(sections, out), *(p.path for s in sections for p in s.content if isinstance(p, Figure))}
    write_text(out / "README.md", document(title, head, sections, out))
    write_text(out / "index.html", page(title, head, sections, out))
    written = {*out.glob("figures/*.png"), *out.glob("tables/*.csv")}  # with what a killed report began to write
    for path in (*(written - kept), *out.glob(".README.md.*"), *out.glob(".index.html.*")):
        path.unlink()
    return out / "README.md"


def page(title: str, head: list[str], sections: list[Section], out: Path) -> str:
    """The report as one HTML document, whose pictures are read from files beside `out`/index.html."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    for name, rule in (("image", _image), ("table_open", _table_open), ("table_close", _table_close)):
        parser.add_render_rule(name, rule)
    environment = {"out": out}
    parts = [
        f"<section>\n{parser.render(section.markdown(out, whole=True), environment)}</section>" for section in sections
    ]
    links = [f'<a href="#{section.anchor}">{section.link}</a>' for section in sections if section.link]
    bundle = resources.files("itables").joinpath("html/dt_bundle.js").read_bytes()
    return TEMPLATE.format(
        title=title,
        style=resources.files("pipeline.report").joinpath("page.css").read_text(encoding="utf-8"),
        head=parser.render("\n\n".join(head), environment),
        navigation="\n".join(links),
        sections="\n".join(parts),
        script=SCRIPT.format(bundle=base64.b64encode(bundle).decode(), many=MANY),
    )


def _image(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, environment: Any) -> str:
    """A picture with its file's bytes in place of its address."""
    token = tokens[index]
    content = (environment["out"] / str(token.attrs["src"])).read_bytes()
    token.attrs["src"] = "data:image/png;base64," + base64.b64encode(content).decode()
    return self.image(tokens, index, options, environment)


def _table_open(self: RendererHTML, tokens: Sequence[Token], *_: Any) -> str:
    """A table that is wider than the page scrolls by itself."""
    return '<div class="scroll" tabindex="0"><table>\n'


def _table_close(self: RendererHTML, tokens: Sequence[Token], *_: Any) -> str:
    return "</table></div>\n"
