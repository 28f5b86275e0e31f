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

from pipeline.base.files import read_json
from pipeline.report.metrics import metrics_among
from pipeline.report.statistics import mean_text

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
    if seeds_of(run):
        seeds = "Several seeds: mean and interval of each setting stand below."
    elif several:
        seeds = "One training each, so no interval can be given."
    else:
        seeds = "One training: no interval can be given."
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


def seeds_of(run: Published) -> dict[str, pd.DataFrame]:
    """The measured rows of metrics.csv of every setting (`faces/full`) that was measured with several seeds."""
    if "cell" not in run.metrics:
        return {}
    measured = run.metrics[run.metrics[metrics_among(run.metrics.columns)].notna().any(axis=1)]
    settings = measured.cell.str.rpartition("/seed")[0]
    return {str(name): rows for name, rows in measured.groupby(settings, sort=False) if name and len(rows) > 1}


def means(run: Published, confidence: float) -> pd.DataFrame:
    """A row for every setting with several seeds: which, and each metric's mean and interval; may be empty."""
    names = metrics_among(run.metrics.columns)
    return pd.DataFrame(
        [
            {
                "setting": setting,
                "seeds": ", ".join(rows.cell.str.rpartition("/seed")[2]),
                **{name: mean_text(rows[name], confidence) for name in names},
            }
            for setting, rows in seeds_of(run).items()
        ]
    )


def sentences(runs: list[Published], confidence: float) -> list[str]:
    """What was published beside the matrix, with its first metrics; [] where nothing was."""
    if not runs:
        return []
    lines = ["**Published beside this matrix**, without verdicts. A number without an interval is of one training:"]
    for run in runs:
        names, groups = metrics_among(run.metrics.columns)[:SHOWN], seeds_of(run)
        together = {cell for rows in groups.values() for cell in rows.cell}
        alone = run.metrics[~run.metrics.cell.isin(together)] if groups else run.metrics
        shown = [(f"{setting}, {len(rows)} seeds", rows) for setting, rows in groups.items()]
        shown += [(str(row.get("cell", "")), alone.loc[[index]]) for index, row in alone.iterrows()]
        values = [_values(name, rows, names, confidence) for name, rows in shown]
        lines.append(f"- [{run.title}](#{run.anchor})" + (f": {'; '.join(values)}." if values and names else "."))
    return lines


def _values(name: str, rows: pd.DataFrame, metrics: list[str], confidence: float) -> str:
    """The `metrics` of a cell or of several seeds: `faces/full/seed1` `fid1k_train_clean` 170.3."""
    known = [metric for metric in metrics if rows[metric].notna().any()]
    shown = ", ".join(f"`{metric}` {mean_text(rows[metric], confidence)}" for metric in known)
    return (f"`{name}` " if name else "") + (shown or "not measured")


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
