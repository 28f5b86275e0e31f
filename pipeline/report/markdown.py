"""reports/README.md: renders in a repository browser."""

import re
from pathlib import Path

import pandas as pd

from pipeline.report.tables import Table

FOLD = 12  # rows from which a table is folded


def table(entry: Table) -> str:
    """Title, note, table, and behind a fold what stands behind its rows."""
    shown = entry.shown
    main = entry.main
    link = f"[{entry.name}.csv](tables/{entry.name}.csv)"
    anchor = f'<a id="{entry.name}_heading"></a>'
    if entry.folded:
        said = f" ({entry.remark or f'{len(main)} rows'})"
        body = "\n\n".join(part for part in (entry.note, rows(main), link) if part)
        return f"{anchor}\n\n{fold(entry.title + said, body)}"
    text = rows(main)
    if len(main) > FOLD:
        text = fold(f"{len(main)} rows", text)
    hidden = [column for column in entry.details if column in shown]
    if hidden and len(shown):
        key = main.columns[0]
        text += "\n\n" + fold("Seeds, training, size, time, memory, protocol", rows(shown[[key, *hidden]]))
    return "\n\n".join(part for part in (anchor, f"### {entry.title}", entry.note, text, link) if part)


def paragraphs(lines: list[str]) -> list[str]:
    """Lines of text, entries of one list joined to a block."""
    found: list[str] = []
    for line in lines:
        if line.startswith("- ") and found and found[-1].startswith("- "):
            found[-1] += "\n" + line
        else:
            found.append(line)
    return found


def rows(frame: pd.DataFrame) -> str:
    """A data frame as a Markdown table; an empty one says so. Values from memory are set in italics."""
    if frame.empty:
        return "*none*"
    lines = ["| " + " | ".join(map(str, frame.columns)) + " |", "|" + " --- |" * len(frame.columns)]
    for row in frame.itertuples(index=False):
        texts = [_emphasised(str(name), cell_text(value)) for name, value in zip(frame.columns, row, strict=True)]
        lines.append("| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |")
    return "\n".join(lines)


def from_memory(column: str, text: str) -> bool:
    """Whether a cell of a paper's column holds a value whose source is memory."""
    return column.startswith("paper") and re.search(r"\((recalled|weak)\)", text) is not None


def _emphasised(column: str, text: str) -> str:
    return f"*{text}*" if from_memory(column, text) else text


def cell_text(value: object) -> str:
    """A cell as a person reads it: four digits, thousands apart, a dash for nothing."""
    if value is None or value is pd.NA or (isinstance(value, float) and pd.isna(value)) or value == "":
        return "-"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value).replace("\n", " ")


def fold(title: str, text: str) -> str:
    """A part that waits behind its title."""
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


def picture(path: Path, alt: str, root: Path) -> str:
    """A picture of the report's own folder."""
    return f"![{alt.replace(']', ')')}]({path.relative_to(root).as_posix()})"
