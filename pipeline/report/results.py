"""The results that a report is made of: the plan's cells with what was measured of them, all from files in git."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.base.cell import Cell
from pipeline.base.files import read_json
from pipeline.base.schema import read_yaml
from pipeline.metrics.registry import FACTS, column, columns
from pipeline.report.formats import NOT_RUN, mean_text


@dataclass(frozen=True)
class Measurement:
    """One metric of one row: values by seed of the trainings that ended well, and what happened to the others."""

    values: pd.Series  # index: seed
    troubles: dict[int, str]  # seed -> oom, diverged at ..., not run, other protocol

    @property
    def befell(self) -> str:
        """What happened to the seeds without a value: `seed 1: oom; seed 2: not run`."""
        return "; ".join(f"seed {seed}: {text}" for seed, text in self.troubles.items())

    @property
    def value(self) -> str:
        """Mean and interval, or what happened instead: `oom`, `seed 1: oom; ...`."""
        if self.values.empty:
            return self.befell if len({*self.troubles.values()}) > 1 else next(iter(self.troubles.values()), NOT_RUN)
        return mean_text(list(self.values))

    @property
    def text(self) -> str:
        """The value with what befell the other seeds."""
        return f"{self.value} [{self.befell}]" if self.troubles and not self.values.empty else self.value


@dataclass(frozen=True)
class Sheet:
    """A picture sheet: `images` (R, N, H, W, 3) uint8, or maps (R, N, H, W) of floats, and the facts of its JSON."""

    images: np.ndarray
    facts: dict[str, Any]


class Results:
    """The cells of a plan, a row each in `cells`: names, `status`, `state` (in words), metrics, record of the run.

    `pace`: seconds per thousand images shown to D, of cells that were trained, not copied from a twin.
    """

    def __init__(self, index: dict[str, Any], plan: str | Path, results: str | Path, cells: pd.DataFrame | None = None):
        """`index`: of the plan; `cells` stands in place of its cells."""
        self.index, self.plan, self.folder = index, Path(plan), Path(results)
        self.datasets: list[str] = index["datasets"]
        # Imported weights are the same for every seed: one row.
        rows = [_row(cell, self.folder) for cell in index["cells"] if not cell.get("repeats")]
        columns = None if rows else ["dataset", "variant", "seed", "status", "state"]
        self.cells = pd.DataFrame(rows, columns=columns) if cells is None else cells
        run = self.cells.reindex(columns=["seconds", "kimg", "copied_from"])
        self.cells["pace"] = (run.seconds.astype(float) / run.kimg.astype(float)).where(run.copied_from.isna())

    @classmethod
    def load(cls, plan: str | Path = "plan", results: str | Path = "results") -> Self:
        """Read plan/index.json and results/."""
        return cls(read_json(Path(plan) / "index.json"), plan, results)

    def of(self, dataset: str, variant: str | None = None) -> pd.DataFrame:
        """The cells of a dataset, of one variant if it is named."""
        own = self.cells[self.cells.dataset == dataset]
        return own if variant is None else own[own.variant == variant]

    def done(self, dataset: str, variant: str | None = None) -> pd.DataFrame:
        """Those whose training ended well."""
        own = self.of(dataset, variant)
        return own[own.status == "ok"]

    def variants(self, dataset: str) -> list[str]:
        """The variants of a dataset, in the plan's order."""
        return list(dict.fromkeys(self.of(dataset).variant))

    def first_seed(self, dataset: str) -> pd.DataFrame:
        """The cells whose pictures are shown."""
        own = self.of(dataset)
        return own[own.seed == own.seed.min()]

    def metrics(self, dataset: str) -> list[str]:
        """Metrics that any cell of the dataset has or should have had, the main one first.

        The main one is the first of `evaluate.metrics`, whose order results keep, that was measured.
        """
        own = self.of(dataset)
        measured = [name for name in own.dropna(axis=1, how="all").columns if column(name)]
        missing = {name for reasons in own.get("unavailable", ()) for name in reasons}
        return list(dict.fromkeys([*measured[:1], *metrics_among({*measured, *missing})]))

    def main_metric(self, dataset: str) -> str | None:
        """The metric by which the dataset's rows are compared."""
        return next(iter(self.metrics(dataset)), None)

    @cached_property
    def protocols(self) -> dict[tuple[str, str], dict[str, Any]]:
        """By dataset and metric: the protocol of most of its values; the others stay out of its column."""
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for _, cell in self.cells.iterrows():
            for metric, facts in cell.protocols.items():
                if facts and pd.notna(cell.get(metric)):
                    found.setdefault((cell.dataset, metric), []).append({key: facts.get(key) for key in FACTS})
        return {names: max(own, key=own.count) for names, own in found.items()}

    def measurement(self, dataset: str, variant: str | None, metric: str | None) -> Measurement:
        """Values and troubles of one row's metric; a value of another protocol is a trouble."""
        values, troubles = {}, {}
        for _, cell in self.of(dataset, variant or "").iterrows():
            value, protocol = cell.get(metric), cell.get("protocols", {}).get(metric)
            if cell.status != "ok":  # the last finite weights of a diverged training are no result
                troubles[cell.seed] = cell.state
            elif value is None or pd.isna(value):
                troubles[cell.seed] = cell.get("unavailable", {}).get(metric, "not measured")
            elif difference := protocol_difference(protocol, self.protocols.get((dataset, str(metric)))):
                troubles[cell.seed] = f"other protocol ({difference})"
            else:
                values[cell.seed] = float(value)
        return Measurement(pd.Series(values, dtype=float), troubles)

    def values(self, dataset: str, variant: str, metric: str | None) -> pd.Series:
        """The metric of the row's trainings that ended well, by seed."""
        return self.measurement(dataset, variant, metric).values

    def mean(self, dataset: str, variant: str, fact: str) -> float | None:
        """Mean of a metric or of a fact of the run (`pace`) over trainings that ended well; None where it has none."""
        mean = self.done(dataset, variant).get(fact, pd.Series(dtype=float)).astype(float).mean()
        return None if pd.isna(mean) else float(mean)

    def series(self, cell: Any, name: str) -> pd.DataFrame:
        """A CSV of a cell, a row per measurement; empty where the file is missing.

        `history`: losses, norms, scores by kimg; `progress`: kimg, seconds (the machine's, of machine.csv), metrics.
        """
        path = self.folder / str(Cell.of(cell)) / f"{name}.csv"
        frame = pd.read_csv(path) if path.is_file() else pd.DataFrame()
        machine = self.series(cell, "machine") if name == "progress" and "seconds" not in frame else pd.DataFrame()
        if len(frame) and len(machine):
            ticks = machine[["kimg", "seconds"]].astype(float)
            frame = pd.merge_asof(frame.astype({"kimg": float}), ticks, on="kimg", direction="forward")
        return frame

    def curves(self, dataset: str, name: str) -> dict[str, list[pd.DataFrame]]:
        """The CSVs of that name of a dataset's cells by variant: those with two rows or more."""
        found: dict[str, list[pd.DataFrame]] = {}
        for _, cell in self.of(dataset).iterrows():
            if len(frame := self.series(cell, name)) > 1:
                found.setdefault(cell.variant, []).append(frame)
        return found

    def sheet(self, cell: Any, name: str) -> Sheet | None:
        """The picture sheet `name` of a cell, None where it has none."""
        path = self.folder / str(Cell.of(cell)) / f"{name}.png"
        facts = read_json(path.with_suffix(".json"), {})
        if not (facts and path.is_file()):
            return None
        height, width = facts["image"]
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        rows, columns = pixels.shape[0] // height, pixels.shape[1] // width
        images = pixels.reshape(rows, height, columns, width, 3).transpose(0, 2, 1, 3, 4)
        if "low" in facts:  # maps, stored as grey levels between the bounds of each
            low, high = (np.array(facts[bound])[..., None, None] for bound in ("low", "high"))
            images = low + images[..., 0] / 255 * (high - low)
        return Sheet(images, facts)

    def training(self, dataset: str, variant: str) -> dict[str, Any]:
        """What a row is trained with (`network`, `train`), {} where it has no plan."""
        paths = [Cell.of(cell).plan("train", self.plan) for _, cell in self.of(dataset, variant).iterrows()]
        return read_yaml(paths[0]) if paths and paths[0].is_file() else {}


def _row(cell: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A cell of the plan with its results and record. `kimg_planned` is its budget, `kimg` what was trained."""
    path = folder / str(Cell.of(cell))
    row: dict[str, Any] = {key: cell[key] for key in ("dataset", "variant", "seed", "twin_of")}
    row |= {"kimg_planned": cell["kimg"], "status": NOT_RUN} | protocols_in(path)
    if result := read_json(path.with_suffix(".json"), {}):
        row = read_json(path / "run.json", {}) | row | result
    state = row["status"]
    if state == "diverged":
        state = f"diverged at {row['kimg']:g} kimg"
    return row | {"state": "imported" if state == "ok" and row.get("imported_from") else state}


def protocols_in(folder: Path) -> dict[str, Any]:
    """`protocols`: facts behind every value by its name, `protocol`: all in words, `unavailable`: name -> why."""
    content = read_json(folder / "protocol.json", {})
    facts = content.get("metrics", {})
    words = dict.fromkeys(protocol_text(entry) for entry in facts.values())
    return {"protocols": facts, "protocol": "; ".join(words) or None, "unavailable": content.get("unavailable", {})}


def metrics_among(names: Iterable[str]) -> list[str]:
    """The metrics among `names`, in the order of the registry's columns, then by name."""
    kinds = list(columns().values())
    found = [(kinds.index(kind), name) for name in names if (kind := column(name))]
    return [name for _, name in sorted(found)]


def lower_is_better(metric: str) -> bool:
    """Whether a smaller value of the metric is the better one. Errors: `KeyError` for what is no metric."""
    if kind := column(metric):
        return kind.lower
    raise KeyError(metric)


def protocol_text(facts: dict[str, Any]) -> str:
    """The circumstances under which two values of one metric may be compared."""
    counts = f"{facts['n_gen']:,} generated, {facts['n_real']:,} real, split {facts['split']}"
    extractor = f"{facts['extractor']} {(facts.get('extractor_sha256') or '')[:8]}".strip()
    return f"{counts}, resize {facts['resize']}, {extractor}, {facts['dtype']}, latents seed {facts['seed']}"


def protocol_difference(own: dict[str, Any] | None, other: dict[str, Any] | None) -> str:
    """What two protocols differ in, both named, a hash by its first digits; '' where their values may be joined."""
    own, other = own or {}, other or {}
    texts = []
    for key in FACTS:
        if own.get(key) != other.get(key):
            values = ("unknown" if facts.get(key) is None else str(facts[key]) for facts in (own, other))
            texts.append(f"{key} {', not '.join(v[:8] if len(v) == 64 else v for v in values)}")
    return ", ".join(texts)
