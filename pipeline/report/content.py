"""What a report consists of, and its one rendering: Markdown, with a CSV for every table."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pipeline.report.formats import cell_text

ABSENT = ("not run", "not reported", "not measured", "not in this matrix", "other protocol", "-")


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
        """The texts that a reader sees, and the note with what all rows share.

        Left out are hidden columns; of two rows or more also those that are empty or repeat another one, and `source`
        where it says the same in every row, which the note then names.
        """
        texts, note = self.frame.drop(columns=list(self.hidden), errors="ignore").map(cell_text), self.note
        if len(texts) < 2:
            return texts, note
        shared = set(texts.get("source", ())) - {"-"}
        if len(shared) == 1:
            note = f"{note} Source of the paper's values: {shared.pop()}.".strip()
            texts = texts.drop(columns="source")
        return texts.loc[:, (texts != "-").any() & ~texts.T.duplicated()], note

    def file(self, out: Path) -> str:
        """Its address from the report's folder."""
        return f"tables/{self.name}.csv"

    def markdown(self, out: Path) -> str:
        texts, note = self.shown()
        return "\n\n".join(part for part in (note, markdown_rows(texts), f"[CSV]({self.file(out)})") if part)


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
        return address(self.path, out)

    def markdown(self, out: Path) -> str:
        picture = f"![{re.sub(r'[][]', '', self.alt)}]({self.file(out)})"
        return "\n\n".join(part for part in (self.note, picture) if part)


Content = str | Table | Figure  # text is Markdown


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it. `link`: its word in the navigation, '' for none."""

    title: str
    anchor: str
    content: list[Content]
    link: str = ""

    def markdown(self, out: Path, *, whole: bool) -> str:
        """The section for a reader in `out`. `whole`: with its folded parts, which else are links to their files."""
        parts, links = [f'## <a id="{self.anchor}"></a>{self.title}'], []
        for part in self.content:
            if isinstance(part, str):
                parts.append(part)
            elif part.folded and not whole:
                links.append(f"[{part.title}]({part.file(out)})")
            else:
                title, text = f'<a id="{part.anchor}"></a>{part.title}', part.markdown(out)
                folded = f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"
                parts.append(folded if part.folded else f"### {title}\n\n{text}")
        parts += [f"More: {'; '.join(links)}."] if links else []
        return "\n\n".join(part for part in parts if part)


def address(path: Path, out: Path) -> str:
    """Where a file lies, from the report's folder."""
    return Path(os.path.relpath(path, out)).as_posix()


def markdown_rows(frame: pd.DataFrame) -> str:
    """A data frame as a Markdown table; an empty one says so."""
    if frame.empty:
        return "*none*"
    lines = [list(map(str, frame.columns)), ["---"] * len(frame.columns), *frame.map(cell_text).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(text.replace("|", r"\|") for text in line) + " |" for line in lines)
