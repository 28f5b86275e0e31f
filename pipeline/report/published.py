"""Results of long runs that are kept in published/, beside the matrix: read as they are, never mixed with its rows.

published/<name>/ holds README.md (its first heading is the title, its first paragraph the text), run.json,
settings.yaml, metrics.csv or metrics.json, samples.png and optionally curve.csv (kimg and any columns). Where run.json
lists several cells, each has its own samples.png and curve.csv in the folder of its name. Every file may be missing.
"""

import os
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.base.files import read_json
from pipeline.metrics.registry import CASES, recorded_name
from pipeline.report.charts import axis_label
from pipeline.report.content import Content, Figure, Table, Text
from pipeline.report.drawing import Panel, lines
from pipeline.report.formats import NOT_RUN, duration, mean_text
from pipeline.report.results import metrics_among

PANELS = 4  # of a run's curves, at most
NO_METRIC = ("kimg", "step", "seconds")  # columns of a curve
SHOWN = 2  # metrics of a setting in the findings


@dataclass(frozen=True, kw_only=True)
class PublishedCell:
    """One training of a published run: its name (`faces/full/seed1`, or the run's), record, folder and curve."""

    name: str
    run: dict[str, Any]
    folder: Path
    curve: pd.DataFrame

    @property
    def setting(self) -> str:
        return self.name.rpartition("/seed")[0] or self.name


@dataclass(frozen=True, kw_only=True)
class Published:
    """One folder of published/: what the report shows of it."""

    name: str
    title: str
    text: str
    cells: list[PublishedCell]
    metrics: pd.DataFrame
    folder: Path

    @property
    def anchor(self) -> str:
        return f"published_{self.name}"

    def content(self, out: Path, dpi: int, confidence: float) -> list[Content]:
        """The run's own words and origin, samples of its first cell, metrics, and what is folded behind them."""
        parts: list[Content] = [
            Text(f'### <a id="{self.anchor}"></a>{self.title}\n\n{self.text}\n\n{self.origin(out)}')
        ]
        for place, cell in enumerate(self.cells):
            if (picture := cell.folder / "samples.png").is_file():
                title = f"{'Samples' if len(self.cells) == 1 else f'Samples of {cell.name}'}, uncurated"
                alt = f"Uncurated samples of {cell.name}, published as {self.name}"
                name = f"{self.anchor}_samples{place or ''}"
                parts.append(Figure(title=title, path=picture, alt=alt, folded=place > 0, name=name))
        means = self.means(confidence)
        if len(means):
            note = "Mean and interval over seeds from three on; the range of two; the value of one."
            parts.append(Table(name=f"{self.anchor}_means", title=f"{self.title}: metrics", frame=means, note=note))
        if len(self.metrics):
            title = f"{self.title}: every training"
            parts.append(Table(name=self.anchor, title=title, frame=self.metrics, folded=len(means) > 0))
        for path in sorted(self.folder.glob("**/reference.json")):
            name = "_".join((self.anchor, *path.parent.relative_to(self.folder).parts, "evaluator"))
            title = f"{self.title}: the evaluator's known answers"
            parts.append(known_answers_table(read_json(path), name=name, title=title))
        if curves := self._curves(out / "figures" / f"{self.anchor}_curve.png", dpi):
            parts.append(curves)
        return parts

    def origin(self, out: Path) -> str:
        """Revision, length, time and machine of every training, and links to its settings."""
        lines, here = [], Path(os.path.relpath(self.folder, out)).as_posix()
        for cell in self.cells:
            changed = ", with changes" if cell.run.get("dirty") else ""
            facts = [f"revision `{str(cell.run.get('revision', 'unknown'))[:12]}`{changed}"]
            facts += [f"{cell.run['kimg']:,.4g} kimg"] if "kimg" in cell.run else []
            facts += [duration(cell.run["seconds"])] if "seconds" in cell.run else []
            facts += [str(cell.run["device"])] if "device" in cell.run else []
            inner = f"{here}/{cell.name}" if len(self.cells) > 1 else here
            for name in ("plan.yaml", "settings.yaml"):
                if (cell.folder / name).is_file():
                    facts.append(f"[{name}]({inner}/{name})")
                    break
            lines.append(f"- `{cell.name}`: {'; '.join(facts)}.")
        return "\n".join(lines)

    def means(self, confidence: float) -> pd.DataFrame:
        """A row for every setting: its seeds, and each metric over them; empty where a run has no cells' metrics."""
        if "cell" not in self.metrics:
            return pd.DataFrame()
        names = metrics_among(self.metrics.columns)
        settings = self.metrics.cell.str.rpartition("/seed")[0]
        return pd.DataFrame(
            [
                {"setting": setting, "seeds": ", ".join(rows.cell.str.rpartition("/seed")[2])}
                | {name: mean_text(list(rows[name]), confidence) for name in names}
                for setting, rows in self.metrics.groupby(settings, sort=False)
            ]
        )

    def sentence(self, confidence: float) -> str:
        """The best setting by the first metric: `[Faces](#published_faces): faces/full, fid1k 195`."""
        means, names = self.means(confidence), metrics_among(self.metrics.columns)[:SHOWN]
        link = f"[{self.title}](#{self.anchor})"
        if means.empty or not names:
            values = [f"`{name}` {mean_text(list(self.metrics[name]), confidence)}" for name in names]
            return f"{link}: {', '.join(values)}" if values else link
        best = means.loc[
            self.metrics.groupby(self.metrics.cell.str.rpartition("/seed")[0], sort=False)[names[0]]
            .mean()
            .reset_index(drop=True)
            .argmin()
        ]
        return f"{link}: `{best.setting}` {', '.join(f'`{name}` {best[name]}' for name in names)}"

    def _curves(self, path: Path, dpi: int) -> Figure | None:
        runs: dict[str, list[pd.DataFrame]] = {}
        for cell in self.cells:
            if "kimg" in cell.curve:
                runs.setdefault(cell.setting, []).append(cell.curve)
        names = list(dict.fromkeys(n for frames in runs.values() for f in frames for n in f if n not in NO_METRIC))[
            :PANELS
        ]
        if not names:
            return None
        panels = [Panel("kimg", name, "kimg", axis_label(name) if metrics_among([name]) else name) for name in names]
        lines(path, runs, panels, dpi, columns=min(2, len(names)))
        alt = f"{', '.join(names)} of {', '.join(runs)}, published as {self.name}, against kimg"
        return Figure(title=f"{self.title}: over training", path=path, alt=alt, folded=True)


def published_runs(folder: str | Path) -> list[Published]:
    """Every run of the folder that has a README.md or a run.json, by name; [] where there is no such folder."""
    found = sorted(path for path in Path(folder).glob("*") if path.is_dir())
    return [_read(path) for path in found if (path / "README.md").is_file() or (path / "run.json").is_file()]


def _read(folder: Path) -> Published:
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines() if (folder / "README.md").is_file() else []
    title = next((line.lstrip("# ").strip() for line in lines if line.startswith("#")), folder.name)
    paragraphs = "\n".join(line for line in lines if not line.startswith("#")).strip().split("\n\n")
    run = read_json(folder / "run.json") if (folder / "run.json").is_file() else {}
    known = run.get("cells") or {folder.name: run}
    cells = []
    for name, record in known.items():
        place = folder / name if len(known) > 1 else folder
        curve = _table(place / "curve.csv", place) if (place / "curve.csv").is_file() else pd.DataFrame()
        cells.append(PublishedCell(name=name, run=record, folder=place, curve=curve))
    text = _from_reports(" ".join(paragraphs[0].split()), folder)
    return Published(name=folder.name, title=title, text=text, cells=cells, metrics=_metrics(folder), folder=folder)


def _from_reports(text: str, folder: Path) -> str:
    """Links of a run's own text, which are relative to its folder, as they are from reports/ beside published/."""

    def moved(match: re.Match[str]) -> str:
        return f"]({posixpath.normpath(posixpath.join('..', folder.parent.name, folder.name, match[1]))})"

    return re.sub(r"\]\((?![a-z]+:|#|/)([^)\s]+)\)", moved, text)


def known_answers_table(answers: Mapping[str, Any], *, name: str, title: str) -> Table:
    """What each metric says where the answer is known, a row a case. `answers`: of the stage `reference`."""
    cases = [key.removeprefix("n_") for key in answers if key.startswith("n_") and key not in ("n_real", "n_gen")]
    names = metrics_among(
        {key.removesuffix(f"_{case}") for key in answers for case in cases if key.endswith(f"_{case}")}
    )
    rows = [
        {
            "compared with the real images": CASES.get(case, case.replace("_", " ")),
            "n": answers[f"n_{case}"],
            **{metric: answers.get(f"{metric}_{case}", NOT_RUN) for metric in names},
        }
        for case in sorted(cases, key=[*CASES, *cases].index)
    ]
    accuracy = answers.get("accuracy")
    note = f"The evaluator's held-out accuracy is {accuracy:.1%}." if accuracy is not None else ""
    note = note if answers else "The reference stage has not run."
    return Table(name=name, title=title, frame=pd.DataFrame(rows), note=note, folded=True)


def _table(path: Path, folder: Path) -> pd.DataFrame:
    """A recorded table with the names that metrics have today; their protocols lie in `folder`."""
    facts: dict[str, Any] = {}
    for protocol in sorted(folder.rglob("protocol.json")):
        facts |= read_json(protocol).get("metrics", {})
    return pd.read_csv(path).rename(columns=lambda name: recorded_name(name, facts.get(name)))


def _metrics(folder: Path) -> pd.DataFrame:
    """metrics.csv, or the flat entries of metrics.json as one row."""
    if (folder / "metrics.csv").is_file():
        return _table(folder / "metrics.csv", folder)
    if not (folder / "metrics.json").is_file():
        return pd.DataFrame()
    content = read_json(folder / "metrics.json")
    return pd.DataFrame([{key: value for key, value in content.items() if not isinstance(value, (dict, list))}])
