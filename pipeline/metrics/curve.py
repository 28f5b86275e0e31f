"""A metric against kimg and time: the averaged generators that a training kept, each measured like the last one."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import torch

from pipeline.base.files import write_text
from pipeline.metrics.config import MeasurePlan
from pipeline.metrics.extractor import best_device
from pipeline.metrics.registry import SPREAD
from pipeline.metrics.store import Reference
from pipeline.metrics.suite import Features, measure
from pipeline.networks.sampling import kept_weights

FILE = "progress.csv"
Sampled = Callable[[MeasurePlan, Reference, Path, torch.device, Path], dict[str, Features]]


def write_curve(plan: MeasurePlan, *, run: Path, known: Reference, out: Path, sampled: Sampled) -> int:
    """Measure `plan.curve` at every kept generator of `run` and write progress.csv: kimg, seconds, a column a value.

    `sampled(plan, known, run, device, weights)` gives features as `pipeline.metrics.measure.sampled_features` does.
    Nothing is written where the plan asks for no curve or the run kept no weights. Returns the number of rows.
    """
    kept = kept_weights(run)
    if not plan.curve or not kept:
        return 0
    device = best_device()
    settings = plan.model_copy(update={"metrics": plan.curve})
    seconds = _seconds(run / "machine.csv")
    rows = []
    for kimg, weights in kept:
        generated = sampled(settings, known, run, device, weights)
        values, _ = measure(settings, known.real, generated, seed=plan.seed, device=device)
        shown = {name: f"{value:.7g}" for name, value in values.items() if not name.endswith(SPREAD)}
        rows.append({"kimg": f"{kimg:g}", "seconds": _at(seconds, kimg), **shown})
        print(f"measure: {run}: {kimg:g} kimg: {', '.join(f'{k} {v}' for k, v in shown.items())}", flush=True)
        if device.type == "cuda":
            torch.cuda.empty_cache()
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(out / FILE, text.getvalue())
    return len(rows)


def _seconds(machine: Path) -> list[tuple[float, float]]:
    """(kimg, seconds trained) of every tick; [] where the run recorded none."""
    if not machine.is_file():
        return []
    with open(machine, encoding="utf-8", newline="") as file:
        return [(float(row["kimg"]), float(row["seconds"])) for row in csv.DictReader(file) if "seconds" in row]


def _at(seconds: list[tuple[float, float]], kimg: float) -> str:
    """Seconds trained when `kimg` was reached: those of the first tick from there on."""
    return next((f"{value:.1f}" for tick, value in seconds if tick >= kimg - 1e-9), "")
