"""What the report is made of: the plan's cells with their results, all from files that are in git."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.files import read_json
from pipeline.report.metrics import metrics_among

NOT_RUN = "not run"


def load_index(plan: str | Path = "plan") -> dict[str, Any]:
    return read_json(Path(plan) / "index.json")


def load_cells(index: dict[str, Any], results: str | Path = "results") -> pd.DataFrame:
    """One row per planned cell: its names, status, metrics, the record of its run and its protocol.

    `state` is what happened in words: ok, not run, oom, diverged at 340 kimg.
    """
    rows = []
    for cell in index["cells"]:
        folder = cell_folder(results, cell)
        # The plan's `kimg` is the budget; the result's is what was trained.
        row = {**{key: cell[key] for key in ("dataset", "variant", "seed", "twin_of")}, "kimg_planned": cell["kimg"], "status": NOT_RUN}
        if folder.with_suffix(".json").is_file():
            row |= read_json(folder.with_suffix(".json"))
            row["protocol"] = _protocol(folder, row)
            if (folder / "run.json").is_file():
                row |= {key: value for key, value in read_json(folder / "run.json").items() if key not in row}
        row["state"] = f"diverged at {row['kimg']:g} kimg" if row["status"] == "diverged" else row["status"]
        rows.append(row)
    return pd.DataFrame(rows)


def _protocol(folder: Path, row: dict[str, Any]) -> str:
    """The circumstances under which two values of one metric may be compared, in words."""
    facts = read_json(folder / "protocol.json") if (folder / "protocol.json").is_file() else {}
    counts = f"{row.get('n_gen', '?'):,} generated, {row.get('n_real', '?'):,} real" if "n_gen" in row else "sample counts unknown"
    if not facts:
        return counts
    extractor = f"{facts['extractor']} {facts['extractor_sha256'][:8]}"
    return f"{counts}, split {facts['split']}, resize {facts['resize']}, {extractor}, {facts['dtype']}, latents seed {facts['seed']}"


@dataclass(frozen=True)
class Measurement:
    """One metric of dataset x variant: values by seed of the runs that finished, and what happened to the others."""

    values: pd.Series               # index: seed; runs that ended `ok` under the dataset's protocol
    troubles: dict[int, str]        # seed -> oom, diverged at ..., not run, other protocol

    @property
    def trouble(self) -> str:
        """`oom`, or `seed 1: oom; seed 2: diverged at 3 kimg` where other seeds have values."""
        kinds = list(dict.fromkeys(self.troubles.values()))
        if len(kinds) <= 1 and self.values.empty:
            return kinds[0] if kinds else NOT_RUN
        return "; ".join(f"seed {seed}: {text}" for seed, text in self.troubles.items())


def cells_of(cells: pd.DataFrame, dataset: str, variant: str | None) -> pd.DataFrame:
    return cells[(cells.dataset == dataset) & (cells.variant == variant)]


def dataset_protocol(cells: pd.DataFrame, dataset: str) -> str | None:
    """The protocol of most of the dataset's cells; the others' values stay out of its columns."""
    if "protocol" not in cells:
        return None
    found = cells[cells.dataset == dataset].protocol.dropna()
    return found.mode().iloc[0] if len(found) else None


def measurement(cells: pd.DataFrame, dataset: str, variant: str | None, metric: str) -> Measurement:
    """Values and troubles of one row's metric. A diverged run's last finite weights are no result: they stay out."""
    own, protocol = cells_of(cells, dataset, variant), dataset_protocol(cells, dataset)
    values, troubles = {}, {}
    for seed, status, state, made_by, value in own.reindex(columns=["seed", "status", "state", "protocol", metric]).itertuples(index=False, name=None):
        if status != "ok":
            troubles[seed] = state
        elif value is None or pd.isna(value):
            troubles[seed] = "not measured"
        elif made_by != protocol:
            troubles[seed] = f"other protocol ({made_by})"
        else:
            values[seed] = float(value)
    return Measurement(pd.Series(values, dtype=float), troubles)


def dataset_metrics(cells: pd.DataFrame, dataset: str) -> list[str]:
    """Metrics that any cell of the dataset has, the main one first."""
    own = cells[cells.dataset == dataset].dropna(axis=1, how="all")
    return metrics_among(own.columns)


def cell_folder(results: str | Path, cell: Any) -> Path:
    """results/<dataset>/<variant>/seed<k>"""
    return Path(results) / cell["dataset"] / cell["variant"] / f"seed{cell['seed']}"


def load_reference_answers(index: dict[str, Any], results: str | Path = "results") -> dict[str, dict[str, float]]:
    """The evaluator's known answers per dataset, {} where the reference stage has not run."""
    paths = {dataset: Path(results) / dataset / "reference.json" for dataset in index["datasets"]}
    return {dataset: read_json(path) if path.is_file() else {} for dataset, path in paths.items()}


def load_history(results: str | Path, cell: Any) -> pd.DataFrame | None:
    """One row a tick: what was learnt and, where it was recorded, what the machine did meanwhile; None without a history."""
    history, machine = (cell_folder(results, cell) / name for name in ("history.csv", "machine.csv"))
    if not history.is_file():
        return None
    frame = pd.read_csv(history)
    return frame.merge(pd.read_csv(machine), on="kimg", how="left") if machine.is_file() else frame


@dataclass(frozen=True)
class Sheet:
    """A picture sheet: `images` (R, N, H, W, C) uint8 and the facts of its JSON, `rows` among them."""

    images: np.ndarray
    facts: dict[str, Any]


def load_sheet(results: str | Path, cell: Any, name: str) -> Sheet | None:
    """The sheet `name` of a cell, None where it has none."""
    path = cell_folder(results, cell) / name
    if not (path.with_suffix(".png").is_file() and path.with_suffix(".json").is_file()):
        return None
    facts = read_json(path.with_suffix(".json"))
    height, width = facts["image"]
    with Image.open(path.with_suffix(".png")) as picture:
        sheet = np.asarray(picture.convert("RGB"))
    rows, columns = sheet.shape[0] // height, sheet.shape[1] // width
    return Sheet(sheet.reshape(rows, height, columns, width, 3).transpose(0, 2, 1, 3, 4), facts)


def load_maps(results: str | Path, cell: Any, name: str) -> Sheet | None:
    """Maps of floats (R, N, H, W) as `write_maps` stored them, values restored."""
    sheet = load_sheet(results, cell, name)
    if sheet is None:
        return None
    low, high = (np.array(sheet.facts[bound])[..., None, None] for bound in ("low", "high"))
    return Sheet(low + sheet.images[..., 0] / 255 * (high - low), sheet.facts)
