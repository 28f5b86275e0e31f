"""The files of a finished training: settings, weights, history, grids, and its record."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.base.files import atomic_write, write_json, write_text
from pipeline.base.schema import dump
from pipeline.base.tiling import tile
from pipeline.runs.checkpoint import save_weights
from pipeline.training.config import TrainPlan
from pipeline.training.loop import Outcome


def write_run(out: Path, plan: TrainPlan, outcome: Outcome | None, record: dict[str, Any]) -> None:
    """The run's folder; run.json last, so that a folder that has one is complete. No outcome: settings and record
    alone.
    """
    write_text(out / "config.yaml", dump(plan))
    write_text(out / "network.yaml", dump(plan.network))
    if outcome is not None:
        write_outcome(out, plan, outcome)
    write_json(out / "run.json", record)


def write_outcome(out: Path, plan: TrainPlan, outcome: Outcome) -> None:
    """Weights, history, what the machine did meanwhile, and fixed-latent grids."""
    networks = outcome.networks
    for name, module in (
        ("generator", networks.generator),
        ("generator_ema", networks.ema),
        ("discriminator", networks.discriminator),
    ):
        save_weights(out / f"{name}.safetensors", module)
    write_text(out / "history.csv", _table(outcome.history))
    write_text(out / "machine.csv", _table(outcome.machine))
    with atomic_write(out / "grids.npy") as temporary, open(temporary, "wb") as file:
        np.save(file, np.stack(outcome.grids))
    write_json(out / "grids.json", {"kimg": outcome.grids_kimg})
    with atomic_write(out / "grid.png") as temporary:
        Image.fromarray(tile(outcome.grids[-1], columns=8, scale=max(1, 32 // plan.network.resolution)).squeeze()).save(
            temporary
        )


def _table(rows: list[dict[str, float]]) -> str:
    columns = list(dict.fromkeys(name for row in rows or [{"kimg": 0}] for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: f"{value:.7g}" if isinstance(value, float) else value for name, value in row.items()} for row in rows
    )
    return text.getvalue()
