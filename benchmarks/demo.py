"""Where the wall time of the demo goes: python -m benchmarks.demo   (after `make repro`; nothing else should run)

Trainings: seconds from results/<cell>/run.json. Their split into dispatch (Python, autograd, launching some thousand
small operations) and arithmetic is an estimate: the same step on two images costs the dispatch and next to no
arithmetic. DVC and the start of a process are timed here, a stage being one process.
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

from benchmarks.machine import facts
from pipeline.base.errors import UserError, command_line
from pipeline.base.files import read_json
from pipeline.plan.config import load, resolve_cell
from pipeline.training.config import TrainConfig
from pipeline.training.state import build
from pipeline.training.step import discriminator_step, generator_step

REPEATS = 15


def step_seconds(spec, config: TrainConfig, images: int | None = None) -> float:
    """Median seconds of `critic_steps` D steps and one G step, on the configured batches or on `images` of each."""
    if images:
        config = config.model_copy(update={"batch_generator": images, "batch_discriminator": images})
    torch.set_num_threads(config.threads)
    torch.manual_seed(0)
    networks, times = build(spec, config, torch.device("cpu")), []
    real = torch.rand(config.batch_discriminator, spec.channels, spec.resolution, spec.resolution)
    for _ in range(REPEATS + 3):
        began = time.perf_counter()
        for _ in range(config.critic_steps):
            discriminator_step(networks, real, config, weight=config.penalty_weight)
        generator_step(networks, config, real=real, ema_beta=0.9)
        times.append(time.perf_counter() - began)
    return statistics.median(times[3:])


def seconds_of(*command: str) -> float:
    """Median wall time of three runs of a command."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


@command_line
def main() -> None:
    content, index = load(), read_json("plan/index.json")
    lines = ["| cell | training s | of it dispatch | of it arithmetic |", "| --- | --- | --- | --- |"]
    total = dispatch = 0.0
    for cell in index["cells"]:
        record = Path("results") / cell["dataset"] / cell["variant"] / f"seed{cell['seed']}" / "run.json"
        if not record.is_file():
            raise UserError(f"{record}: no such file; run `make repro` first")
        resolved = resolve_cell(content, cell["dataset"], cell["variant"])
        share = min(
            1.0, step_seconds(resolved.network, resolved.train, 2) / step_seconds(resolved.network, resolved.train)
        )
        seconds = read_json(record)["seconds"]
        total, dispatch = total + seconds, dispatch + share * seconds
        lines.append(f"| {cell['variant']} | {seconds:,.0f} | {share:.0%} | {1 - share:.0%} |")
    lines.append(f"| all, one after the other | {total:,.0f} | {dispatch:,.0f} s | {total - dispatch:,.0f} s |")
    stages = 3 + 2 * len(index["datasets"]) + 2 * len(index["cells"])
    start = seconds_of(sys.executable, "-c", "import stages.train")
    idle = seconds_of(sys.executable, "-m", "dvc", "repro")
    lines += [
        "",
        f"Start of a stage's process (interpreter, torch): {start:.1f} s, "
        f"{stages - 1} stages: {start * (stages - 1):.0f} s.",
        f"`dvc repro` with nothing to do: {idle:.1f} s.",
    ]
    print("\n".join([str(facts(torch.device("cpu"))), *lines]))


if __name__ == "__main__":
    main()
