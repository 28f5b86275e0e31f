"""Results of long runs that are kept in published/, beside the matrix: read as they are, never mixed with its rows.

published/<name>/ holds README.md (its first heading is the title, its first paragraph the text), run.json,
settings.yaml, metrics.csv or metrics.json, samples.png and optionally curve.csv (kimg and any columns). Where run.json
lists several cells, each has its own samples.png and curve.csv in the folder of its name. Every file may be missing.
"""

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.files import read_json
from pipeline.report.metrics import metrics_among
from pipeline.report.statistics import number

SHOWN = 2  # metrics of a cell in the findings


@dataclass(frozen=True, kw_only=True)
class PublishedCell:
    """One training of a published run: its name (`faces/full/seed1`, or the run's), record, folder and curve."""

    name: str
    run: dict[str, Any]
    folder: Path
    curve: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class Published:
    """One folder of published/: what the report shows of it."""

    name: str
    title: str
    text: list[str]
    cells: list[PublishedCell]
    metrics: pd.DataFrame
    folder: Path

    @property
    def anchor(self) -> str:
        return f"published_{self.name}"


def published_runs(folder: str | Path) -> list[Published]:
    """Every run of the folder that has a README.md or a run.json, by name; [] where there is no such folder."""
    found = sorted(path for path in Path(folder).glob("*") if path.is_dir())
    return [_read(path) for path in found if (path / "README.md").is_file() or (path / "run.json").is_file()]


def introduction(run: Published) -> list[str]:
    """The run's own words, where each training comes from, and links to files (the report lies beside published/)."""
    base = f"../{run.folder.parent.name}/{run.name}"
    links = [f"[{name}]({base}/{name})" for name in ("README.md", "settings.yaml") if (run.folder / name).is_file()]
    several = len(run.cells) > 1
    facts = [f"{f'`{cell.name}`: ' if several else ''}{origin(cell, base)}" for cell in run.cells]
    seeds = "One training each, so no interval can be given." if several else "One training: no interval can be given."
    lines = [f"- {fact}" for fact in facts] if several else facts
    return [*run.text, f"{seeds} {' '.join(links)}".strip(), *lines]


def origin(cell: PublishedCell, base: str) -> str:
    """Revision, length, time, machine and settings of one training."""
    changed = ", with changes" if cell.run.get("dirty") else ""
    facts = [f"revision `{str(cell.run.get('revision', 'unknown'))[:12]}`{changed}"]
    facts += [f"{cell.run[key]:,.4g} {unit}" for key, unit in (("kimg", "kimg"), ("seconds", "s")) if key in cell.run]
    facts += [f"device: {cell.run['device']}"] if "device" in cell.run else []
    if (cell.folder / "plan.yaml").is_file():
        inner = cell.name if cell.folder.name != base.rpartition("/")[2] else ""
        facts.append(f"settings: [plan.yaml]({'/'.join(part for part in (base, inner, 'plan.yaml') if part)})")
    return "; ".join(facts) + "."


def sentences(runs: list[Published]) -> list[str]:
    """What was published beside the matrix, with its first metrics; [] where nothing was."""
    if not runs:
        return []
    lines = ["**Published beside this matrix**, one training each, without intervals and without verdicts:"]
    for run in runs:
        values = []
        names = metrics_among(run.metrics.columns)[:SHOWN]
        for row in run.metrics.to_dict("records"):
            shown = ", ".join(f"`{name}` {number(float(row[name]))}" for name in names if pd.notna(row[name]))
            name = f"`{row['cell']}` " if "cell" in row else ""
            values.append(name + (shown or "not measured"))
        lines.append(f"- [{run.title}](#{run.anchor})" + (f": {'; '.join(values)}." if values and names else "."))
    return lines


def _read(folder: Path) -> Published:
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines() if (folder / "README.md").is_file() else []
    title = next((line.lstrip("# ").strip() for line in lines if line.startswith("#")), folder.name)
    paragraphs = "\n".join(line for line in lines if not line.startswith("#")).strip().split("\n\n")
    text = _from_reports(" ".join(paragraphs[0].split()), folder) if paragraphs else ""
    run = read_json(folder / "run.json") if (folder / "run.json").is_file() else {}
    known = run.get("cells") or {folder.name: run}
    return Published(
        name=folder.name,
        title=title,
        text=[text] if text else [],
        cells=[_cell(name, record, folder / name if len(known) > 1 else folder) for name, record in known.items()],
        metrics=_metrics(folder),
        folder=folder,
    )


def _from_reports(text: str, folder: Path) -> str:
    """Links of a run's own text, which are relative to its folder, as they are from reports/ beside published/."""

    def moved(match: re.Match[str]) -> str:
        return f"]({posixpath.normpath(posixpath.join('..', folder.parent.name, folder.name, match[1]))})"

    return re.sub(r"\]\((?![a-z]+:|#|/)([^)\s]+)\)", moved, text)


def _cell(name: str, record: dict[str, Any], folder: Path) -> PublishedCell:
    curve = pd.read_csv(folder / "curve.csv") if (folder / "curve.csv").is_file() else pd.DataFrame()
    return PublishedCell(name=name, run=record, folder=folder, curve=curve)


def _metrics(folder: Path) -> pd.DataFrame:
    """metrics.csv as it is, or the flat entries of metrics.json as one row."""
    if (folder / "metrics.csv").is_file():
        return pd.read_csv(folder / "metrics.csv")
    if not (folder / "metrics.json").is_file():
        return pd.DataFrame()
    content = read_json(folder / "metrics.json")
    return pd.DataFrame([{key: value for key, value in content.items() if not isinstance(value, (dict, list))}])
