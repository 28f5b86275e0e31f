"""A report as a list of sections, written as Markdown, as one page, and as a CSV per table."""

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.base.files import write_text
from pipeline.report import markdown
from pipeline.report.drawing import Chart
from pipeline.report.page import render
from pipeline.report.sample_figures import Group
from pipeline.report.tables import Table

Block = Group | Chart | Table


@dataclass(kw_only=True)
class Section:
    """One heading of a report with all that stands under it, in the order in which it is shown.

    `text`: paragraphs; those that begin with `- ` are entries of a list.
    """

    title: str
    anchor: str
    text: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)


def write_report(title: str, head: list[str], sections: list[Section], out: Path) -> Path:
    """Write tables/*.csv, README.md and index.html to `out`; returns the path of README.md."""
    for section in sections:
        for block in section.blocks:
            if isinstance(block, Table):
                write_text(out / "tables" / f"{block.name}.csv", block.frame.to_csv(index=False))
    write_text(out / "README.md", _markdown(title, head, sections, out))
    write_text(out / "index.html", render(title, head, sections))
    return out / "README.md"


def _markdown(title: str, head: list[str], sections: list[Section], out: Path) -> str:
    parts = [f"# {title}", *head, "[The same as one page](index.html), to be saved and opened from disk."]
    for section in sections:
        parts += [f'<a id="{section.anchor}"></a>', f"## {section.title}", *markdown.paragraphs(section.text)]
        parts += [_block(block, out) for block in section.blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def _block(block: Block, out: Path) -> str:
    if isinstance(block, Table):
        return markdown.table(block)
    if isinstance(block, Chart):
        files = [(out / "figures" / f"{block.name}.png", block.alt)]
    else:
        files = [(path, f"{block.title}: {path.stem.replace('_', ' ')}") for path in block.files]
    shown = [markdown.picture(path, alt, out) for path, alt in files]
    if block.folded:
        return markdown.fold(block.title, "\n\n".join([block.note, *shown]).strip())
    more = [markdown.fold(f"{len(shown) - 1} more", "\n\n".join(shown[1:]))] if len(shown) > 1 else []
    return "\n\n".join(part for part in (f"### {block.title}", block.note, shown[0], *more) if part)
