"""reports/index.html, made from the report's Markdown: one file with its pictures inside, which opens offline.

Tables of many rows can be ordered and filtered by DataTables, in the copy that itables ships for pages without a
network (0.6 MB of the page). Its style sheet is not taken: page.css has the few rules that are needed.
"""

import base64
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Template
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from pipeline.base.files import write_text
from pipeline.report.content import Figure, Section, Table


def write_report(title: str, head: str, sections: list[Section], out: Path) -> Path:
    """Write tables, README.md and index.html, then remove what an earlier report left; returns the path of README.md.

    Every file is written whole, and stale ones go last: a report that is killed in between can be read.
    """
    kept = set()
    for part in (part for section in sections for part in section.content):
        if isinstance(part, Table):
            write_text(out / part.file(out), part.frame.to_csv(index=False))
            kept.add(out / part.file(out))
        elif isinstance(part, Figure):
            kept.add(part.path)
    parts = [f"# {title}", head, *(section.markdown(out, whole=False) for section in sections)]
    write_text(out / "README.md", "\n\n".join(part for part in parts if part) + "\n")
    write_text(out / "index.html", page(title, head, sections, out))
    written = {*out.glob("figures/*.png"), *out.glob("tables/*.csv")}  # with what a killed report began to write
    for path in (*(written - kept), *out.glob(".README.md.*"), *out.glob(".index.html.*")):
        path.unlink()
    return out / "README.md"


def page(title: str, head: str, sections: list[Section], out: Path) -> str:
    """The report as one HTML document, whose pictures are read from files beside `out`/index.html."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    parser.add_render_rule("image", _image)
    # A table that is wider than the page scrolls by itself.
    parser.add_render_rule("table_open", lambda *_: '<div class="scroll" tabindex="0"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    files, environment = resources.files("pipeline.report"), {"out": out}
    return Template(files.joinpath("page.html.j2").read_text(encoding="utf-8")).render(
        title=title,
        style=files.joinpath("page.css").read_text(encoding="utf-8"),
        head=parser.render(head),
        sections=sections,
        texts=[parser.render(section.markdown(out, whole=True), environment) for section in sections],
        datatables=base64.b64encode(resources.files("itables").joinpath("html/dt_bundle.js").read_bytes()).decode(),
    )


def _image(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, environment: Any) -> str:
    """A picture with its file's bytes in place of its address."""
    token = tokens[index]
    content = (environment["out"] / str(token.attrs["src"])).read_bytes()
    token.attrs["src"] = "data:image/png;base64," + base64.b64encode(content).decode()
    return self.image(tokens, index, options, environment)
