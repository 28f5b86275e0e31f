"""Results of long runs that are kept in published/, beside the matrix: read as they are, never mixed with its rows.

published/<name>/ holds README.md (its first heading is the title, its first paragraph the text), run.json (`cells`: a
record of every training), metrics.csv (a row a training), and plan.yaml, samples.png and optionally curve.csv (kimg and
any columns), which each of several trainings has in the folder of its name.
"""

import os
import posixpath
import re
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from pipeline.base.cell import Cell
from pipeline.base.errors import amount
from pipeline.base.files import read_json
from pipeline.report.appendix import known_answers_table, reading
from pipeline.report.charts import axis_label
from pipeline.report.decide import FEWEST_SEEDS
from pipeline.report.document import Content, Figure, Section, Table, caption
from pipeline.report.drawing import Panel, columns_of, lines
from pipeline.report.formats import duration, spread
from pipeline.report.results import Results, lower_is_better, metrics_among, protocols_in
from pipeline.report.row_pairs import Outcome, compared, counted, every_pair
from pipeline.report.tables import decisions

PANELS = 4  # of a run's curves, at most
RELATIVE_LINK = r"\]\((?![a-z]+:|#|/)([^)\s]+)\)"  # of Markdown
NO_METRIC = ("kimg", "step", "seconds")  # columns of a curve


@dataclass(frozen=True)
class Published:
    """One folder of published/: what the report shows of it. `metrics`: as recorded, with the names of today."""

    folder: Path
    title: str
    text: str
    results: Results
    metrics: pd.DataFrame

    @property
    def anchor(self) -> str:
        return f"published_{self.folder.name}"

    @property
    def settings(self) -> dict[str, pd.DataFrame]:
        """The trainings of every setting, `faces/full`."""
        cells = self.results.cells
        return {"/".join(names): own for names, own in cells.groupby(["dataset", "variant"], sort=False)}

    def section(self, out: Path, explained: set[str]) -> Section:
        """The run's own words and origin, samples, metrics, verdicts on its rows, and what is folded behind them.

        `explained`: metrics whose meaning the report has already said.
        """
        parts: list[Content | None] = [self.text, self.origin(out)]
        for number, own in enumerate(self.settings.values()):
            first, name = own.iloc[0], f"{self.anchor}_samples{number or ''}"
            of = f" of {first.cell}" * (len(self.results.cells) > 1)
            words = caption("published_samples", of=of, cell=first.cell, run=self.folder.name)
            if (picture := first.place / "samples.png").is_file():
                parts.append(Figure(path=picture, folded=number > 0, name=name, **words))
        if len(self.metrics):
            main = {name: self.results.main_metric(name) or "" for name in self.results.datasets}
            drawn = [name for name, metric in main.items() if not metric.startswith("fid")]
            parts += [reading(self.results, name, explained) for name in drawn]
            means = self.means()
            details = tuple(name for name in means if name.startswith(tuple(f"{other}_" for other in means)))
            parts.append(Table(name=f"{self.anchor}_means", title="Metrics", frame=means, hidden=details))
            for dataset, found in self.outcomes.items():
                parts.append(f"{amount(len(found), 'pair')} of rows: {counted(found)} ([the rule](#verdicts)).")
                parts.append(decisions(self.results, dataset, found, self.anchor, "Rows compared", folded=True))
            parts.append(Table(name=self.anchor, title="Every training", frame=self.metrics, folded=True))
        if answers := read_json(self.folder / "reference.json", {}):
            parts.append(known_answers_table(answers, f"{self.anchor}_evaluator"))
        parts.append(self.curves(out / "figures" / f"{self.anchor}_curve.png"))
        return Section(self.title, self.anchor, parts)

    def origin(self, out: Path) -> str:
        """A line a setting: revision, length and time of its trainings, and a link to its settings; and the machine."""
        texts, cells = [], self.results.cells
        devices = cells.device.unique() if "device" in cells else []
        shared = len(devices) == 1 < len(self.settings)
        for setting, own in self.settings.items():
            known = {name: values for name in own if (values := own[name].dropna().tolist())}
            revisions = dict.fromkeys(f"`{revision[:12]}`" for revision in known.get("revision", ["unknown"]))
            facts = [f"revision {', '.join(revisions)}{', with changes' * any(known.get('dirty', ()))}"]
            facts += [f"{spread(known['kimg'], '{:,.4g}'.format)} kimg"] if "kimg" in known else []
            facts += [spread(known["seconds"], duration)] if "seconds" in known else []
            facts += [] if shared else dict.fromkeys(known.get("device", ()))
            plan = own.iloc[0].place / "plan.yaml"
            facts += [f"[plan.yaml]({os.path.relpath(plan, out)})"] if plan.is_file() else []
            seeds = f"seed{'s' * (len(own) > 1)} {', '.join(map(str, own.seed))}"
            texts.append(f"- `{setting}`, {seeds}: {'; '.join(facts)}.")
        if shared:
            texts.append(f"\nEach on {devices[0]}.")
        return "\n".join(texts)

    def means(self) -> pd.DataFrame:
        """A row for every setting: its seeds, and each metric over them; last a perfect sampler, if known."""
        rows = []
        for setting, own in self.settings.items():
            dataset, variant = setting.split("/")
            measured = {m: self.results.measurement(dataset, variant, m) for m in self.results.metrics(dataset)}
            # What befell a training without values stands once, beside the first metric.
            texts = {m: one.value if number else one.text for number, (m, one) in enumerate(measured.items())}
            rows.append({"setting": setting, "seeds": ", ".join(map(str, own.seed))} | texts)
        for dataset, own in self.results.cells.groupby("dataset", sort=False):
            known = {name: facts for name, facts in own.protocols.iloc[0].items() if "perfect" in facts}
            texts = {name: f"{facts['perfect']:.3g} ± {facts['perfect_std']:.1g}" for name, facts in known.items()}
            if texts:
                rows.append({"setting": f"{dataset}: as many perfect samples", "seeds": "exact"} | texts)
        return pd.DataFrame(rows)

    @cached_property
    def outcomes(self) -> dict[str, list[Outcome]]:
        """Verdicts on every pair of rows, by data set: where two rows at least have trainings enough for one."""
        found, results = {}, self.results
        for dataset in results.datasets:
            rows = [results.values(dataset, name, results.main_metric(dataset)) for name in results.variants(dataset)]
            if sum(len(row) >= FEWEST_SEEDS for row in rows) > 1:
                found[dataset] = compared(results, dataset, every_pair(results, dataset))
        return found

    @property
    def best(self) -> str:
        """The best setting by the main metric, and verdicts: `faces/full` `fid1k_train_clean` 195; 3 pairs: 3 open."""
        texts, results = [], self.results
        for dataset in results.datasets:
            done, metric = results.done(dataset), results.main_metric(dataset)
            if metric and len(means := done.groupby("variant", sort=False)[metric].mean().dropna()):
                name = means.idxmin() if lower_is_better(metric) else means.idxmax()
                texts.append(f"`{dataset}/{name}` `{metric}` {results.measurement(dataset, name, metric).text}")
            if found := self.outcomes.get(dataset):
                texts.append(f"{amount(len(found), 'pair')}: {counted(found)}")
        return "; ".join(texts)

    def curves(self, path: Path) -> Figure | None:
        """The columns of curve.csv against kimg, a line a setting; None without any."""
        files = {name: [place / "curve.csv" for place in own.place] for name, own in self.settings.items()}
        frames = {name: [pd.read_csv(file) for file in own if file.is_file()] for name, own in files.items()}
        runs = {name: own for name, own in frames.items() if own}
        names = [name for name in columns_of(runs) if name not in NO_METRIC][:PANELS]
        if not names:
            return None
        panels = [Panel("kimg", name, "kimg", axis_label(name) if metrics_among([name]) else name) for name in names]
        return lines(path, runs, panels, "published_curve", columns=2, shown=", ".join(names), run=self.folder.name)


def published_runs(folder: str | Path) -> list[Published]:
    """Every run of the folder that has a README.md or a run.json, by name; [] where there is no such folder."""
    kept = {path.parent for name in ("README.md", "run.json") for path in Path(folder).glob(f"*/{name}")}
    return [_read(path) for path in sorted(kept)]


def _read(folder: Path) -> Published:
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    heading = re.search(r"^#+ *(.*)", text, flags=re.MULTILINE)
    paragraph = re.sub(r"^#.*", "", text, flags=re.MULTILINE).strip().split("\n\n")[0]
    # Links are relative to the run's folder; the report lies in reports/ beside published/.
    base, words = f"../{folder.parent.name}/{folder.name}", " ".join(paragraph.split())
    moved = re.sub(RELATIVE_LINK, lambda link: f"]({posixpath.normpath(f'{base}/{link[1]}')})", words)
    metrics = pd.read_csv(folder / "metrics.csv") if (folder / "metrics.csv").is_file() else pd.DataFrame({"cell": []})
    values = metrics.set_index("cell", drop=False).to_dict("index")
    records, rows = read_json(folder / "run.json", {}).get("cells", {}), []
    for name, record in records.items():
        place = folder / name if len(records) > 1 else folder
        row = {"status": "ok", "twin_of": None} | record | values.get(name, {}) | asdict(Cell.parse(name))
        rows.append(row | protocols_in(place) | {"cell": name, "place": place, "state": row["status"]})
    cells = pd.DataFrame(rows, columns=None if rows else ["dataset", "variant"])
    index = {"datasets": list(dict.fromkeys(cells.dataset)), "cells": []}
    results = Results(index, folder, folder, cells)
    return Published(folder, heading[1].strip() if heading else folder.name, moved, results, metrics)
