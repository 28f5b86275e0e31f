"""Results of long runs that are kept in published/, beside the matrix: read as they are, never mixed with its rows.

published/<name>/ holds README.md (its first heading is the title, its first paragraph the text), run.json (a record of
every training), settings.yaml, metrics.csv (a row a training), samples.png and optionally curve.csv (kimg and any
columns). Of a run of several trainings each has its own samples.png and curve.csv in the folder of its name. Every file
may be missing.
"""

import posixpath
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.base.cell import Cell
from pipeline.base.files import read_json
from pipeline.metrics.registry import recorded_name
from pipeline.report.appendix import known_answers_table, reading, spread
from pipeline.report.charts import axis_label
from pipeline.report.comparisons import Outcome, compared, every_pair
from pipeline.report.content import Content, Figure, Section, Table, Text, address
from pipeline.report.decide import FEWEST_SEEDS
from pipeline.report.drawing import Panel, lines
from pipeline.report.formats import duration
from pipeline.report.results import Results, lower_is_better, metrics_among, protocols_in
from pipeline.report.tables import decisions

PANELS = 4  # of a run's curves, at most
NO_METRIC = ("kimg", "step", "seconds")  # columns of a curve


@dataclass(frozen=True)
class Published:
    """One folder of published/: what the report shows of it. `records`: of every training, by its cell's name."""

    folder: Path
    title: str
    text: str
    records: dict[str, dict[str, Any]]
    results: Results
    metrics: pd.DataFrame

    @property
    def anchor(self) -> str:
        return f"published_{self.folder.name}"

    @property
    def settings(self) -> dict[str, list[str]]:
        """The trainings of every setting, `faces/full`: names of cells, by seed."""
        found: dict[str, list[str]] = {}
        for name in self.records:
            found.setdefault(name.rpartition("/seed")[0] or name, []).append(name)
        return found

    def place(self, cell: str) -> Path:
        """The folder of a training's files."""
        return self.folder / cell if len(self.records) > 1 else self.folder

    def section(self, out: Path, dpi: int) -> Section:
        """The run's own words and origin, samples, metrics, verdicts on its rows, and what is folded behind them."""
        parts: list[Content] = [Text(self.text), Text(self.origin(out))]
        for number, cells in enumerate(self.settings.values()):
            if (picture := self.place(cells[0]) / "samples.png").is_file():
                title = "Samples" if len(self.records) == 1 else f"Samples of {cells[0]}"
                alt = f"Uncurated samples of {cells[0]}, published as {self.folder.name}"
                name = f"{self.anchor}_samples{number or ''}"
                parts.append(Figure(title=f"{title}, uncurated", path=picture, alt=alt, folded=number > 0, name=name))
        if len(self.metrics):
            parts += [Text(reading(self.results, dataset)) for dataset in self.outcomes]
            parts.append(Table(name=f"{self.anchor}_means", title="Metrics", frame=self.means()))
            parts += [decisions(self.results, dataset, found, self.anchor, "Rows compared")
                      for dataset, found in self.outcomes.items()]  # fmt: skip
            parts.append(Table(name=self.anchor, title="Every training", frame=self.metrics, folded=True))
        for path in sorted(self.folder.glob("**/reference.json")):
            name = "_".join((self.anchor, *path.parent.relative_to(self.folder).parts, "evaluator"))
            parts.append(known_answers_table(read_json(path), name))
        parts += [curves] if (curves := self.curves(out / "figures" / f"{self.anchor}_curve.png", dpi)) else []
        return Section(title=self.title, anchor=self.anchor, content=parts)

    def origin(self, out: Path) -> str:
        """A line a setting: revision, length, time and machine of its trainings, and a link to its settings."""
        lines = []
        for setting, cells in self.settings.items():
            runs = [self.records[cell] for cell in cells]
            known = {key: [run[key] for run in runs if key in run] for key in ("kimg", "seconds", "device")}
            revisions = {f"`{str(run.get('revision', 'unknown'))[:12]}`{', with changes' * bool(run.get('dirty'))}": 0
                         for run in runs}  # fmt: skip
            facts = [f"revision {', '.join(revisions)}"]
            facts += [f"{spread(known['kimg'], '{:,.4g}'.format)} kimg"] if known["kimg"] else []
            facts += [spread(known["seconds"], duration)] if known["seconds"] else []
            facts += ["; ".join(dict.fromkeys(map(str, known["device"])))] if known["device"] else []
            files = [self.place(cells[0]) / name for name in ("plan.yaml", "settings.yaml")]
            facts += [f"[{path.name}]({address(path, out)})" for path in files if path.is_file()][:1]
            seeds = [cell.rpartition("/seed")[2] for cell in cells]
            name = f"`{cells[0]}`" if len(cells) == 1 else f"`{setting}`, seeds {', '.join(seeds)}"
            lines.append(f"- {name}: {'; '.join(facts)}.")
        return "\n".join(lines)

    def means(self) -> pd.DataFrame:
        """A row for every setting: its seeds, and each metric over them."""
        rows = []
        for dataset in self.results.datasets:
            for variant in self.results.variants(dataset):
                seeds = self.results.of(dataset, variant).seed.astype(str)
                row = {"setting": f"{dataset}/{variant}", "seeds": ", ".join(seeds)}
                for metric in self.results.metrics(dataset):
                    row[metric] = self.results.measurement(dataset, variant, metric).text
                rows.append(row)
        return pd.DataFrame(rows)

    @cached_property
    def outcomes(self) -> dict[str, list[Outcome]]:
        """Verdicts on every pair of rows, by data set: where two rows at least have trainings enough for one."""
        found = {}
        for dataset in self.results.datasets:
            metric = self.results.main_metric(dataset)
            rows = [self.results.values(dataset, variant, metric) for variant in self.results.variants(dataset)]
            if sum(len(row) >= FEWEST_SEEDS for row in rows) > 1:
                found[dataset] = compared(self.results, dataset, every_pair(self.results, dataset))
        return found

    @property
    def best(self) -> str:
        """The best setting by the main metric, and verdicts: `faces/full` `fid1k_train_clean` 195; 3 pairs: 3 open."""
        texts = []
        for dataset in self.results.datasets:
            metric = self.results.main_metric(dataset)
            means = {v: mean for v in self.results.variants(dataset)
                     if metric and (mean := self.results.mean(dataset, v, metric)) is not None}  # fmt: skip
            if metric and means:
                variant = min(means, key=lambda name: means[name] * (1 if lower_is_better(metric) else -1))
                value = self.results.measurement(dataset, variant, metric).text
                texts.append(f"`{dataset}/{variant}` `{metric}` {value}")
            if outcomes := self.outcomes.get(dataset):
                texts.append(f"{len(outcomes)} pairs: {counted(outcomes)}")
        return "; ".join(texts)

    def curves(self, path: Path, dpi: int) -> Figure | None:
        """The columns of curve.csv against kimg, a line a setting; None without any."""
        runs: dict[str, list[pd.DataFrame]] = {}
        for setting, cells in self.settings.items():
            for cell in cells:
                if (file := self.place(cell) / "curve.csv").is_file():
                    runs.setdefault(setting, []).append(_recorded(file))
        names = [n for n in dict.fromkeys(n for frames in runs.values() for f in frames for n in f)
                 if n not in NO_METRIC][:PANELS]  # fmt: skip
        if not names:
            return None
        panels = [Panel("kimg", name, "kimg", axis_label(name) if metrics_among([name]) else name) for name in names]
        lines(path, runs, panels, dpi, columns=min(2, len(names)))
        alt = f"{', '.join(names)} of {', '.join(runs)}, published as {self.folder.name}, against kimg"
        return Figure(title="Over training", path=path, alt=alt, folded=True)


def counted(outcomes: list[Outcome]) -> str:
    """`3 seen, 2 open`: how often each verdict was given."""
    kinds = Counter(str(entry.verdict.kind) for entry in outcomes)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items())


def published_runs(folder: str | Path, confidence: float = 0.95) -> list[Published]:
    """Every run of the folder that has a README.md or a run.json, by name; [] where there is no such folder."""
    found = sorted(path for path in Path(folder).glob("*") if path.is_dir())
    return [
        _read(path, confidence) for path in found if (path / "README.md").is_file() or (path / "run.json").is_file()
    ]


def _read(folder: Path, confidence: float) -> Published:
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines() if (folder / "README.md").is_file() else []
    title = next((line.lstrip("# ").strip() for line in lines if line.startswith("#")), folder.name)
    paragraph = "\n".join(line for line in lines if not line.startswith("#")).strip().split("\n\n")[0]
    # Links are relative to the run's folder; the report lies in reports/ beside published/.
    text = re.sub(
        r"\]\((?![a-z]+:|#|/)([^)\s]+)\)",
        lambda link: f"]({posixpath.normpath(posixpath.join('..', folder.parent.name, folder.name, link[1]))})",
        " ".join(paragraph.split()),
    )
    record = read_json(folder / "run.json") if (folder / "run.json").is_file() else {}
    metrics = _recorded(folder / "metrics.csv") if (folder / "metrics.csv").is_file() else pd.DataFrame()
    rows = []
    for row in metrics.to_dict("records"):
        cell, place = Cell.parse(row["cell"]), folder / row["cell"]
        names = {"dataset": cell.dataset, "variant": cell.variant, "seed": cell.seed, "twin_of": None}
        rows.append(row | names | {"state": row["status"]} | protocols_in(place if place.is_dir() else folder))
    cells = pd.DataFrame(rows, columns=None if rows else ["dataset"])
    results = Results.of_cells(cells, folder, confidence)
    return Published(folder, title, text, record.get("cells") or {folder.name: record}, results, metrics)


def _recorded(path: Path) -> pd.DataFrame:
    """A recorded table with the names that metrics have today; their protocols lie in its folder."""
    facts: dict[str, Any] = {}
    for protocol in sorted(path.parent.rglob("protocol.json")):
        facts |= read_json(protocol).get("metrics", {})
    return pd.read_csv(path).rename(columns=lambda name: recorded_name(name, facts.get(name)))
