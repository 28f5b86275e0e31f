"""What a report consists of, and its files: README.md, a CSV for every table, and index.html from the same Markdown.

index.html is one file with its pictures inside, which opens offline. DataTables orders and filters its long tables, in
the copy that itables ships for pages without a network (0.6 MB); page.css has the few rules of its style that it needs.
"""

import base64
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Template
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from pipeline.base.files import write_text
from pipeline.report.formats import cell_text
from pipeline.report.paper import explained, packaged


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table, written whole to tables/<name>.csv.

    `hidden`: columns that the CSV alone has. `folded`: in README.md a link to the CSV, in the page closed at first.
    """

    name: str
    title: str
    frame: pd.DataFrame
    note: str = ""
    hidden: tuple[str, ...] = ()
    folded: bool = False

    @property
    def anchor(self) -> str:
        return f"{self.name}_heading"

    def file(self, out: Path) -> str:
        """Its address from the report's folder."""
        return f"tables/{self.name}.csv"

    def shown(self) -> tuple[pd.DataFrame, str]:
        """The texts that a reader sees, and the note with the marks of paper values and what all rows share.

        Left out are hidden columns; of two rows or more also those that are empty or repeat another one, and `source`
        where it says the same in every row, which the note then names.
        """
        texts = self.frame.drop(columns=list(self.hidden), errors="ignore").map(cell_text)
        notes, shared = [self.note, explained(self.frame)], set(texts.get("source", ())) - {"-"}
        if len(texts) > 1:
            if len(shared) == 1:
                notes.append(f"Source of the paper's values: {shared.pop()}.")
                texts = texts.drop(columns="source")
            texts = texts.loc[:, (texts != "-").any() & ~texts.T.duplicated()]
        return texts, " ".join(filter(None, notes))

    def markdown(self, out: Path) -> list[str]:
        """Its paragraphs under the title."""
        texts, note = self.shown()
        return [note, markdown_rows(texts), f"[CSV]({self.file(out)})"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture that lies in the report's folder or beside it. `folded`: as of a table; `name`: for its anchor."""

    title: str
    path: Path
    alt: str
    note: str = ""
    folded: bool = False
    name: str = ""

    @property
    def anchor(self) -> str:
        return f"{self.name or self.path.stem}_chart"

    def file(self, out: Path) -> str:
        """Its address from the report's folder."""
        return Path(os.path.relpath(self.path, out)).as_posix()

    def markdown(self, out: Path) -> list[str]:
        """Its paragraphs under the title."""
        return [self.note, f"![{re.sub(r'[][]', '', self.alt)}]({self.file(out)})"]


def caption(name: str, **values: object) -> dict[str, Any]:
    """Title and note of a table or a figure, alt of a figure, from captions.csv, with `values` in their places."""
    row = packaged("captions.csv").set_index("name").loc[name]
    return {column: text.format(**values) for column, text in row.items() if text}


Content = str | Table | Figure  # text is Markdown


@dataclass(frozen=True)
class Section:
    """A heading with what there is of its content. `link`: its word in the navigation, '' for none."""

    title: str
    anchor: str
    content: Sequence[Content | None]
    link: str = ""

    def markdown(self, out: Path, *, whole: bool) -> str:
        """The section for a reader in `out`. `whole`: with its folded parts, which else are links to their files."""
        parts, links = [f'## <a id="{self.anchor}"></a>{self.title}'], []
        for part in self.content:
            if part is None or isinstance(part, str):
                parts.append(part or "")
                continue
            title = f'<a id="{part.anchor}"></a>{part.title}'
            if not part.folded:
                parts += [f"### {title}", *part.markdown(out)]
            elif whole:
                parts += [f"<details><summary>{title}</summary>", *part.markdown(out), "</details>"]
            else:
                links.append(f"[{part.title}]({part.file(out)})")
        parts += [f"More: {'; '.join(links)}."] if links else []
        return "\n\n".join(part for part in parts if part)


def markdown_rows(frame: pd.DataFrame) -> str:
    """A data frame as a Markdown table; an empty one says so."""
    if frame.empty:
        return "*none*"
    lines = [list(map(str, frame.columns)), ["---"] * len(frame.columns), *frame.map(cell_text).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(text.replace("|", r"\|") for text in line) + " |" for line in lines)


def write_report(title: str, head: str, sections: list[Section], out: Path) -> Path:
    """Write tables, README.md and index.html, and remove what an earlier report left; returns the path of README.md."""
    contents = [part for section in sections for part in section.content]
    kept = {part.path for part in contents if isinstance(part, Figure)}
    for table in (part for part in contents if isinstance(part, Table)):
        write_text(out / table.file(out), table.frame.to_csv(index=False))
        kept.add(out / table.file(out))
    parts = [f"# {title}", head, *(section.markdown(out, whole=False) for section in sections)]
    write_text(out / "README.md", "\n\n".join(part for part in parts if part) + "\n")
    write_text(out / "index.html", page(title, head, sections, out))
    # Stale files go last, and a report that is killed can be read. What it began to write goes with the next one.
    written = {*out.glob("figures/*.png"), *out.glob("tables/*.csv")}
    for path in (*(written - kept), *out.glob(".README.md.*"), *out.glob(".index.html.*")):
        path.unlink()
    return out / "README.md"


def page(title: str, head: str, sections: list[Section], out: Path) -> str:
    """The report as one HTML document, whose pictures are read from files beside `out`/index.html."""

    def picture(renderer: RendererHTML, tokens: Sequence[Token], index: int, *more: Any) -> str:
        """A picture with its file's bytes in place of its address."""
        content = (out / str(tokens[index].attrs["src"])).read_bytes()
        tokens[index].attrs["src"] = "data:image/png;base64," + base64.b64encode(content).decode()
        return renderer.image(tokens, index, *more)

    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    parser.add_render_rule("image", picture)
    # A table that is wider than the page scrolls by itself.
    parser.add_render_rule("table_open", lambda *_: '<div class="scroll" tabindex="0"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    template, style = (
        Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("page.html.j2", "page.css")
    )
    return Template(template).render(
        title=title,
        style=style,
        head=parser.render(head),
        sections=sections,
        texts=[parser.render(section.markdown(out, whole=True)) for section in sections],
        datatables=base64.b64encode(resources.files("itables").joinpath("html/dt_bundle.js").read_bytes()).decode(),
    )
