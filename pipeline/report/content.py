"""What a report consists of, and its one rendering: Markdown, with a CSV for every table."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from pipeline.base.files import write_text
from pipeline.report.formats import cell_text

ABSENT = ("not run", "not reported", "not measured", "not in this matrix", "other protocol", "-")


@dataclass(frozen=True)
class Text:
    """A paragraph or a list, in Markdown."""

    markdown: str


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

    @property
    def measured_rows(self) -> int:
        """Rows with a value in a column `measured...`."""
        columns = [column for column in self.frame if str(column).startswith("measured")]
        return sum(any(not str(text).startswith(ABSENT) for text in row) for row in self.frame[columns].to_numpy())

    def shown(self) -> tuple[pd.DataFrame, str]:
        """The frame that a reader sees, and the note with what all its rows share.

        Left out: hidden columns, columns that are empty or repeat another one, and a column `source` that says the same
        in every row, which the note then names.
        """
        frame, note = self.frame.drop(columns=list(self.hidden), errors="ignore"), self.note
        texts = {column: tuple(map(cell_text, frame[column])) for column in frame}
        shared = set(texts.get("source", ())) - {"-"}
        if len(frame) > 1 and len(shared) == 1:
            note = f"{note} Source of the paper's values: {shared.pop()}.".strip()
            texts.pop("source")
        kept: dict[tuple[str, ...], str] = {}
        for column, values in texts.items():
            if len(frame) < 2 or (set(values) != {"-"} and values not in kept):
                kept[(*values, column) if len(frame) < 2 else values] = column
        return frame[list(kept.values())], note


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


Content = Text | Table | Figure


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading with what stands under it. `link`: its word in the navigation, '' for none."""

    title: str
    anchor: str
    content: list[Content] = field(default_factory=list)
    link: str = ""

    def markdown(self, out: Path, *, whole: bool) -> str:
        """The section for a reader in `out`. `whole`: with its folded parts, which else are links to their files."""
        parts, links = [f'## <a id="{self.anchor}"></a>{self.title}'], []
        for part in self.content:
            if isinstance(part, Text):
                parts.append(part.markdown)
            elif part.folded and not whole:
                file = f"tables/{part.name}.csv" if isinstance(part, Table) else address(part.path, out)
                links.append(f"[{part.title}]({file})")
            else:
                title = f'<a id="{part.anchor}"></a>{part.title}'
                text = _table(part) if isinstance(part, Table) else _figure(part, out)
                folded = f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"
                parts.append(folded if part.folded else f"### {title}\n\n{text}")
        if links:
            parts.append("More: " + "; ".join(links) + ".")
        return "\n\n".join(part for part in parts if part)


def write_tables(sections: list[Section], out: Path) -> list[Path]:
    """Write every table's CSV; returns the files."""
    tables = [part for section in sections for part in section.content if isinstance(part, Table)]
    for table in tables:
        write_text(out / "tables" / f"{table.name}.csv", table.frame.to_csv(index=False))
    return [out / "tables" / f"{table.name}.csv" for table in tables]


def document(title: str, head: str, sections: list[Section], out: Path) -> str:
    """README.md, which a repository's browser renders."""
    parts = [f"# {title}", head, *(section.markdown(out, whole=False) for section in sections)]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_rows(frame: pd.DataFrame) -> str:
    """A data frame as a Markdown table; an empty one says so."""
    if frame.empty:
        return "*none*"
    lines = [list(map(str, frame.columns)), ["---"] * len(frame.columns)]
    lines += [[cell_text(value) for value in row] for row in frame.itertuples(index=False)]
    return "\n".join("| " + " | ".join(re.sub(r"\|", r"\\|", text) for text in line) + " |" for line in lines)


def _table(table: Table) -> str:
    frame, note = table.shown()
    return "\n\n".join(part for part in (note, markdown_rows(frame), f"[CSV](tables/{table.name}.csv)") if part)


def _figure(figure: Figure, out: Path) -> str:
    alt = re.sub(r"[\[\]]", "", figure.alt)
    return "\n\n".join(part for part in (figure.note, f"![{alt}]({address(figure.path, out)})") if part)


def address(path: Path, out: Path) -> str:
    """A file's address from the report's folder."""
    return Path(os.path.relpath(path, out)).as_posix()
