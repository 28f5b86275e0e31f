"""What the report is made of: the plan's cells with their results, all from files that are in git."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.base.files import read_json
from pipeline.base.schema import read_yaml
from pipeline.metrics.registry import FACTS
from pipeline.report.metrics import metrics_among
from pipeline.report.statistics import NOT_RUN, mean_text, number


def load_index(plan: str | Path = "plan") -> dict[str, Any]:
    """`index.json` of the folder `plan`: the cells, and what `plan` noticed about them."""
    return read_json(Path(plan) / "index.json")


def load_cells(index: dict[str, Any], results: str | Path = "results") -> pd.DataFrame:
    """One row per planned cell: its names, status, metrics, the record of its run and its protocol.

    `state` is what happened in words: ok, imported, not run, oom, diverged at 340 kimg.
    """
    rows = []
    for cell in index["cells"]:
        if cell.get("repeats"):  # imported weights are the same for every seed
            continue
        folder = cell_folder(results, cell)
        # The plan's `kimg` is the budget; the result's is what was trained.
        row = {
            **{key: cell[key] for key in ("dataset", "variant", "seed", "twin_of")},
            "kimg_planned": cell["kimg"],
            "status": NOT_RUN,
        }
        if folder.with_suffix(".json").is_file():
            row |= read_json(folder.with_suffix(".json"))
            row |= _protocols(folder)
            if (folder / "run.json").is_file():
                row |= {key: value for key, value in read_json(folder / "run.json").items() if key not in row}
        row["state"] = _state(row)
        rows.append(row)
    return pd.DataFrame(rows)


def _state(row: dict[str, Any]) -> str:
    if row["status"] == "diverged":
        return f"diverged at {row['kimg']:g} kimg"
    return "imported" if row["status"] == "ok" and row.get("imported_from") else row["status"]


def _protocols(folder: Path) -> dict[str, Any]:
    """`protocols`: facts behind every value by its name, `protocol`: all in words, `unavailable`: name -> why."""
    content = read_json(folder / "protocol.json") if (folder / "protocol.json").is_file() else {}
    facts = content.get("metrics", {})
    # Results of revisions before values had protocols of their own keep one for all of them.
    facts = facts if isinstance(facts, dict) else {None: content}
    words = dict.fromkeys(protocol_text(entry) for entry in facts.values())
    return {"protocols": facts, "protocol": "; ".join(words) or None, "unavailable": content.get("unavailable", {})}


def protocol_text(facts: dict[str, Any] | None) -> str:
    """The circumstances under which two values of one metric may be compared."""
    if not facts:
        return "unknown"
    extractor = f"{facts['extractor']} {facts['extractor_sha256'][:8]}"
    counts = f"{facts['n_gen']:,} generated, {facts['n_real']:,} real, split {facts['split']}"
    return f"{counts}, resize {facts['resize']}, {extractor}, {facts['dtype']}, latents seed {facts['seed']}"


def protocol_difference(own: dict[str, Any] | None, other: dict[str, Any] | None) -> str:
    """What two protocols differ in, both named; empty where values of the two may be joined."""
    own, other = own or {}, other or {}
    keys = [key for key in FACTS if own.get(key) != other.get(key)]
    return ", ".join(f"{key} {_short(own.get(key))}, not {_short(other.get(key))}" for key in keys)


def _short(value: object) -> str:
    return (
        "unknown"
        if value is None
        else value[:8]
        if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value)
        else str(value)
    )


@dataclass(frozen=True)
class Measurement:
    """One metric of dataset x variant: values by seed of the runs that finished, and what happened to the others."""

    values: pd.Series  # index: seed; runs that ended `ok` under the dataset's protocol
    troubles: dict[int, str]  # seed -> oom, diverged at ..., not run, other protocol

    @property
    def trouble(self) -> str:
        """`oom`, or `seed 1: oom; seed 2: diverged at 3 kimg` where other seeds have values; '' if nothing happened."""
        kinds = list(dict.fromkeys(self.troubles.values()))
        if len(kinds) <= 1 and self.values.empty:
            return kinds[0] if kinds else NOT_RUN
        return "; ".join(f"seed {seed}: {text}" for seed, text in self.troubles.items())

    def text(self, confidence: float) -> str:
        """Mean and interval with what befell the other seeds, or what happened instead of a value."""
        if self.values.empty:
            return self.trouble
        return mean_text(list(self.values), confidence) + (f" [{self.trouble}]" if self.troubles else "")

    @property
    def seeds(self) -> str:
        """Every seed with its value or what happened instead."""
        found = {**{seed: number(value) for seed, value in self.values.items()}, **self.troubles}
        return "; ".join(f"seed {seed}: {found[seed]}" for seed in sorted(found)) or NOT_RUN


def cells_of(cells: pd.DataFrame, dataset: str, variant: str | None) -> pd.DataFrame:
    """The rows of `cells` that belong to dataset x variant."""
    return cells[(cells.dataset == dataset) & (cells.variant == variant)]


def dataset_protocol(cells: pd.DataFrame, dataset: str, metric: str) -> dict[str, Any] | None:
    """The protocol of most of the dataset's values of a metric; the others stay out of its column."""
    own = cells[cells.dataset == dataset]
    found = [facts for _, cell in own.iterrows() if (facts := _facts(cell, metric)) and pd.notna(cell.get(metric))]
    texts = [json.dumps({key: facts.get(key) for key in FACTS}) for facts in found]
    return json.loads(max(texts, key=texts.count)) if texts else None


def _facts(cell: pd.Series, metric: str) -> dict[str, Any] | None:
    known = cell.get("protocols")
    return known.get(metric, known.get(None)) if isinstance(known, dict) else None


def why_not(cell: pd.Series, metric: str) -> str | None:
    """`not available: ...` where the cell ran and its metric could not be had."""
    known = cell.get("unavailable")
    return known.get(metric) if isinstance(known, dict) else None


def measurement(cells: pd.DataFrame, dataset: str, variant: str | None, metric: str) -> Measurement:
    """Values and troubles of one row's metric.

    A diverged run's last finite weights are no result: they stay out, and so does a value of another protocol than the
    column's.
    """
    own, protocol = cells_of(cells, dataset, variant), dataset_protocol(cells, dataset, metric)
    values, troubles = {}, {}
    for _, cell in own.iterrows():
        value, difference = cell.get(metric), protocol_difference(_facts(cell, metric), protocol)
        if cell.status != "ok":
            troubles[cell.seed] = cell.state
        elif value is None or pd.isna(value):
            troubles[cell.seed] = why_not(cell, metric) or "not measured"
        elif difference:
            troubles[cell.seed] = f"other protocol ({difference})"
        else:
            values[cell.seed] = float(value)
    return Measurement(pd.Series(values, dtype=float), troubles)


def dataset_metrics(cells: pd.DataFrame, dataset: str) -> list[str]:
    """Metrics that any cell of the dataset has or should have had, the main one first: one that was measured."""
    own = cells[cells.dataset == dataset]
    measured = metrics_among(own.dropna(axis=1, how="all").columns)
    missing = {name for known in own.get("unavailable", pd.Series(dtype=object)).dropna() for name in known}
    return [*measured[:1], *(name for name in metrics_among({*measured, *missing}) if name not in measured[:1])]


def cell_folder(results: str | Path, cell: Any) -> Path:
    """results/<dataset>/<variant>/seed<k>"""
    return Path(results) / cell["dataset"] / cell["variant"] / f"seed{cell['seed']}"


def load_reference_answers(index: dict[str, Any], results: str | Path = "results") -> dict[str, dict[str, float]]:
    """The evaluator's known answers per dataset, {} where the reference stage has not run."""
    paths = {dataset: Path(results) / dataset / "reference.json" for dataset in index["datasets"]}
    return {dataset: read_json(path) if path.is_file() else {} for dataset, path in paths.items()}


def load_history(results: str | Path, cell: Any) -> pd.DataFrame | None:
    """One row a tick: losses, norms, scores, and time and memory if recorded; None without a history."""
    history, machine = (cell_folder(results, cell) / name for name in ("history.csv", "machine.csv"))
    if not history.is_file():
        return None
    frame = pd.read_csv(history)
    return frame.merge(pd.read_csv(machine), on="kimg", how="left") if machine.is_file() else frame


def load_series(results: str | Path, cell: Any, name: str) -> pd.DataFrame | None:
    """An optional CSV of a cell, a row per measurement.

    `progress`: kimg, seconds, metrics; `sample_size`: n_gen, metrics. None where the file is missing or empty.
    """
    path = cell_folder(results, cell) / f"{name}.csv"
    frame = pd.read_csv(path) if path.is_file() else pd.DataFrame()
    return frame if len(frame) else None


def load_training_plan(plan: str | Path, cell: Any) -> dict[str, Any]:
    """What a cell is trained with (`network`, `train`), {} where there is no such plan."""
    path = Path(plan) / "train" / cell["dataset"] / cell["variant"] / f"seed{cell['seed']}.yaml"
    return read_yaml(path) if path.is_file() else {}


def families(network: dict[str, Any] | None) -> tuple[str, str] | None:
    """The families of generator and discriminator; `transgan` where a plan does not name one; None without a plan."""
    if not network:
        return None
    whole = network.get("family", "transgan")
    parts = (network.get(part) for part in ("generator", "discriminator"))
    g, d = (part.get("family", whole) if isinstance(part, dict) else whole for part in parts)
    return g, d
