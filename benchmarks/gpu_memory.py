"""Where memory really ends: the largest batch of a training step, by resolution and kind of attention.

    python -m benchmarks.gpu_memory --device cuda --json memory.json

One step (D with its penalty, then G) of the full model, batches doubled until memory runs out. Attention as training
computes it, fused where it can be. Each pair is written as soon as it is known, and pairs that the file has are
not measured again.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.growth import DATASETS, KINDS, network
from benchmarks.machine import facts
from pipeline.base.errors import UserError, command_line
from pipeline.base.files import read_json, write_json
from pipeline.base.memory import out_of_memory, peak_memory
from pipeline.plan.config import load, resolve_cell
from pipeline.training.config import TrainConfig
from pipeline.training.data import RealImages
from pipeline.training.state import build
from pipeline.training.step import iteration

MOST = 256  # images of a batch that are tried at most
TRIAL = 8  # resolution of the digits, whose networks are small: for a trial of this benchmark


def settings(resolution: int, batch: int) -> TrainConfig:
    """The full model's training at this resolution, one D step, as many images for D as for G."""
    train = resolve_cell(load(), DATASETS.get(resolution, "digits"), "full").train
    sizes = {"batch_discriminator": batch, "batch_generator": batch, "critic_steps": 1, "accumulate": 1}
    return train.model_copy(update={**sizes, "recompute": False, "keep_generator_gradients": False})


def one_step(resolution: int, kind: str, batch: int, device: torch.device) -> int:
    """Peak memory of a step, MiB. Errors: whatever `out_of_memory` knows."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    config = settings(resolution, batch)
    trial = resolution == TRIAL
    spec = resolve_cell(load(), "digits", f"{kind}_attention").network if trial else network(resolution, kind)
    networks = build(spec, config, device)
    images = np.zeros((batch, spec.channels, spec.resolution, spec.resolution), dtype=np.uint8)
    iteration(networks, RealImages(images, seed=0, flip=False, device=device), config, 1)
    return peak_memory(device)


def largest_batch(resolution: int, kind: str, device: torch.device, most: int) -> dict[str, Any]:
    """Peak MiB by batch, the largest batch that ran (0: not even one image), and what ended it.

    `ended`: memory, most (nothing did), or the first line of another error, such as a kernel's own limit.
    """
    found: dict[str, Any] = {"resolution": resolution, "attention": kind, "peak_mib": {}, "largest": 0, "ended": "most"}
    batch = 1
    while batch <= most:
        try:
            found["peak_mib"][str(batch)] = one_step(resolution, kind, batch, device)
        except (RuntimeError, MemoryError) as error:
            found["ended"] = "memory" if out_of_memory(error) else (str(error).splitlines() or ["?"])[0]
            break
        found["largest"] = batch
        batch *= 2
    return found


def markdown(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each pair: peak memory of one image, largest batch."""
    lines = ["| attention | resolution | GiB with one image | largest batch |", "| --- | --- | --- | --- |"]
    for row in rows:
        one = row["peak_mib"].get("1")
        size = "does not fit" if one is None else f"{one / 1024:.2f}"
        largest = f"{row['largest']}" + {"memory": "", "most": " or more"}.get(row["ended"], f" ({row['ended']})")
        lines.append(f"| {row['attention']} | {row['resolution']} | {size} | {largest} |")
    return lines


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_memory",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", default="cuda", help="cuda | cpu")
    parser.add_argument(
        "--resolutions", type=int, nargs="+", default=list(DATASETS), help="32 64 128 256, or 8 for a trial"
    )
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), help=" ".join(KINDS))
    parser.add_argument("--most", type=int, default=MOST, help=f"largest batch to try ({MOST})")
    parser.add_argument("--json", type=Path, required=True, help="where every number is written, and found again")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no GPU here")
    device = torch.device(given.device)
    rows = read_json(given.json)["rows"] if given.json.is_file() else []
    known = {(row["resolution"], row["attention"]) for row in rows}
    for resolution in given.resolutions:
        for kind in given.kinds:
            if (resolution, kind) not in known:
                rows.append(largest_batch(resolution, kind, device, given.most))
                print(json.dumps(rows[-1]), flush=True)
                write_json(given.json, {**facts(device), "rows": rows})
    print("\n".join(markdown(rows)))


if __name__ == "__main__":
    main()
