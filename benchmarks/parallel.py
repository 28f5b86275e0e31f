"""How much faster several GPUs train one cell: a model from step times and bytes, checked with real processes.

    python -m benchmarks.parallel --geometry cifar10 --seconds 2.0 --fixed 0.02 --bandwidth 100
    python -m benchmarks.parallel --geometry digits --measure 1 2

The first line predicts from the `seconds` that one device takes for an iteration, of which `fixed` do not depend on the
batch. The second measures both here, as well as real processes over gloo, and sets prediction against measurement.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from benchmarks.machine import facts
from pipeline.base.errors import UserError, command_line
from pipeline.networks.distributed import average
from pipeline.networks.interface import build_discriminator, build_generator
from pipeline.plan.config import ResolvedCell, load, resolve_cell
from pipeline.training.data import RealImages
from pipeline.training.state import build
from pipeline.training.step import iteration

PROCESSES = (1, 2, 4, 8, 16, 32)
LATENCY = 20e-6  # seconds a message; NCCL within a host has about as much
TURNS = 5


@dataclass(frozen=True)
class Cost:
    """What an iteration (all D steps and a G step) costs one device, and what processes exchange in it."""

    seconds: float  # of the whole batch on one device
    fixed: float  # of it, what does not shrink with the batch: optimisers, average, draws for the whole batch
    bytes_reduced: int
    reductions: int

    def predicted(self, processes: int, bandwidth: float) -> float:
        """Seconds of an iteration by `processes` devices that exchange `bandwidth` bytes/s in each direction.

        A ring reduces n bytes in 2 (p - 1) messages of n / p bytes each (Patarasuk, Yuan 2009). Nothing overlaps: the
        reduction comes when all gradients are there.
        """
        messages = 2 * (processes - 1)
        exchange = messages / processes * self.bytes_reduced / bandwidth + self.reductions * messages * LATENCY
        return self.fixed + (self.seconds - self.fixed) / processes + exchange


def traffic(cell: ResolvedCell) -> tuple[int, int]:
    """Bytes reduced in an iteration, and by how many reductions: gradients in fp32, D's also after a G step if kept."""
    with torch.device("meta"):
        g, d = build_generator(cell.network), build_discriminator(cell.network)
    of_g, of_d = (sum(weight.numel() for weight in network.parameters()) for network in (g, d))
    steps = cell.train.critic_steps
    return 4 * (of_g + of_d * (steps + int(cell.train.keep_generator_gradients))), steps + 1


def measured(cell: ResolvedCell, share: int = 1) -> float:
    """Median seconds of an iteration, of a batch that is `share` times smaller; by all processes that have joined."""
    config = cell.train
    sizes = {name: getattr(config, name) // share for name in ("batch_generator", "batch_discriminator")}
    config = config.model_copy(update=sizes)
    torch.manual_seed(0)
    networks = build(cell.network, config, torch.device("cpu"))
    side = cell.network.resolution
    images = np.random.default_rng(0).integers(0, 256, (512, cell.network.channels, side, side), dtype=np.uint8)
    data = RealImages(images, seed=0, flip=config.flip, device=torch.device("cpu"))
    seconds = []
    for step in range(1, TURNS + 2):
        began = time.perf_counter()
        iteration(networks, data, config, step)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def measured_bandwidth(size: int) -> float:
    """Bytes/s and direction of a reduction of `size` bytes by the two processes that have joined."""
    values = torch.zeros(size // 4)
    seconds = []
    for _ in range(TURNS + 1):
        began = time.perf_counter()
        average([values])
        seconds.append(time.perf_counter() - began)
    return size / statistics.median(seconds[1:])  # 2 (p - 1) / p is 1


def member(cell: ResolvedCell, rank: int, processes: int, store: str) -> None:
    """One of the processes that are measured; the first prints seconds and bandwidth."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.FileStore(store, processes), rank=rank, world_size=processes)
    seconds = measured(cell)
    bandwidth = measured_bandwidth(traffic(cell)[0]) if processes == 2 else 0.0
    if rank == 0:
        print(seconds, bandwidth)
    dist.destroy_process_group()


def by_processes(arguments: list[str], processes: int) -> tuple[float, float]:
    """Seconds of an iteration by that many processes over gloo, and the bandwidth they found."""
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "store")
        started = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.parallel", *arguments, "--member", f"{rank}/{processes}", store],
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(processes)
        ]
        said = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise UserError(f"{processes} processes: one has failed, see above")
    seconds, bandwidth = map(float, said[0].split())
    return seconds, bandwidth


def table(cost: Cost, bandwidth: float) -> list[str]:
    alone = cost.predicted(1, bandwidth)
    rows = [f"| {p} | {(now := cost.predicted(p, bandwidth)):.3f} | {alone / now:.1f} |" for p in PROCESSES]
    return ["| GPUs | s per iteration | speed-up |", "| --- | --- | --- |", *rows]


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parallel", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--geometry", default="cifar10")
    parser.add_argument("--variant", default="full")
    parser.add_argument("--seconds", type=float, help="of an iteration on one device")
    parser.add_argument("--fixed", type=float, default=0.0, help="of them, what does not shrink with the batch")
    parser.add_argument("--bandwidth", type=float, default=100.0, help="GB/s and direction between two devices")
    parser.add_argument("--measure", type=int, nargs="+", metavar="PROCESSES", help="measure on this machine's CPUs")
    parser.add_argument("--member", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    cell = resolve_cell(load(), given.geometry, given.variant)
    if given.member:
        rank, processes = map(int, given.member[0].split("/"))
        return member(cell, rank, processes, given.member[1])
    size, reductions = traffic(cell)
    print(f"{given.geometry}: {size / 1e6:,.1f} MB reduced an iteration, by {reductions} reductions")
    if not given.measure:
        if given.seconds is None:
            raise UserError("--seconds: given nothing; allowed: seconds of an iteration on one device, or --measure")
        print("\n".join(table(Cost(given.seconds, given.fixed, size, reductions), given.bandwidth * 1e9)))
        return None
    torch.set_num_threads(1)
    whole, half = measured(cell), measured(cell, share=2)
    cost = Cost(whole, max(2 * half - whole, 0.0), size, reductions)
    arguments = ["--geometry", given.geometry, "--variant", given.variant]
    found = {processes: by_processes(arguments, processes) for processes in given.measure}
    bandwidth = next((rate for _, rate in found.values() if rate), given.bandwidth * 1e9)
    print(facts(torch.device("cpu")))
    print(f"alone {whole:.3f} s, half a batch {half:.3f} s; gloo reduces {bandwidth / 1e9:.2f} GB/s")
    print("| processes | predicted s | measured s |\n| --- | --- | --- |")
    for processes, (seconds, _) in found.items():
        print(f"| {processes} | {cost.predicted(processes, bandwidth):.3f} | {seconds:.3f} |")


if __name__ == "__main__":
    main()
