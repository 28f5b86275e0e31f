"""What one training of `full` costs by data set and machine, computed: `python -m benchmarks.matrix_cost --ladder`.

Operations come from the networks and the recipe (`pipeline/report/cost.py`), memory from `benchmarks.growth`,
the exchange of gradients between GPUs from `benchmarks.parallel`. The pace of a GPU is assumed. Nothing is trained.
"""

import math
from dataclasses import dataclass

from benchmarks.growth import count
from benchmarks.parallel import Cost, traffic
from pipeline.base.errors import ConfigError
from pipeline.networks.interface import build_discriminator, build_generator
from pipeline.plan.config import ResolvedCell, load, resolve_cell
from pipeline.report.cost import flops_per_kimg, forward_flops
from pipeline.training.config import effective_settings

DATASETS = ("cifar10", "celeba64", "celeba128", "church256")
PROFILES = ("paper", "short")
LAUNCHES = 0.1  # seconds of launches and optimisers an iteration and part of a batch; assumed (docs/notes/costs.md)
RESERVE = 2.0  # GiB for driver, libraries and allocator; assumed


@dataclass(frozen=True)
class Machine:
    """GPUs of one kind."""

    name: str
    gpus: int
    tflops: float  # bf16, of one GPU while it computes: assumed
    gib: float  # memory of one GPU
    bandwidth: float = 100e9  # bytes/s and direction between two GPUs (NVLink)


@dataclass(frozen=True)
class Memory:
    """GiB of a training on one GPU: `fixed` for weights, gradients, optimisers and average; `image` for one image."""

    fixed: float
    image: float

    def images(self, gib: float) -> int:
        """Images whose activations fit beside the weights."""
        return max(int((gib - RESERVE - self.fixed) / self.image), 0)

    def parts(self, batch: int, gib: float) -> int | None:
        """The least `train.accumulate`, a power of two, with which a batch fits; None where no image does."""
        fits = self.images(gib)
        return 1 << max(math.ceil(math.log2(batch / fits)), 0) if fits else None


def machines(consumer: float, h200: float) -> list[Machine]:
    """The three machines of the ladder, at a pace in TFLOP/s for each kind of GPU."""
    return [
        Machine("one consumer GPU", 1, consumer, 24),
        Machine("one H200", 1, h200, 139),
        Machine("eight H200", 8, h200, 139),
    ]


def memory(cell: ResolvedCell) -> Memory:
    """Counted on the meta device: fp32, attention as explicit products, G's pass and D's penalty held at once.

    An upper bound: fused attention keeps less, bf16 about half.
    """
    kept = count(cell.network)
    networks = build_generator(cell.network), build_discriminator(cell.network)
    g, d = (sum(weight.numel() for weight in network.parameters()) for network in networks)
    # G: weights, gradients, two moments, average; D: the same without an average.
    return Memory(fixed=4 * (5 * g + 4 * d) / 2**30, image=kept["g_gib"] + kept["d_gib"])


def work(cell: ResolvedCell) -> tuple[float, float]:
    """Iterations (critic steps and one generator step each) and TFLOP an iteration of a cell's training."""
    train = effective_settings(cell.train)
    flops = flops_per_kimg(forward_flops(cell.dataset, cell.variant), train.model_dump())
    if flops is None or train.kimg is None:
        raise ConfigError("params.yaml", f"datasets.{cell.dataset}", cell.variant, "a cell of cost_geometry.csv")
    kimg = train.batch_discriminator * train.critic_steps / 1000
    return train.kimg / kimg, flops * kimg / 1e12


def seconds(cell: ResolvedCell, machine: Machine, tflop: float, parts: int) -> float:
    """Seconds of an iteration: arithmetic divided over the GPUs, launches of every part, exchange; none overlap."""
    fixed = LAUNCHES * parts
    cost = Cost(tflop / machine.tflops + fixed, fixed, *traffic(cell))
    return cost.predicted(machine.gpus, machine.bandwidth)


def row(cell: ResolvedCell, profile: str, machine: Machine, needed: Memory) -> str:
    """A line of the table: the cell's training on that machine."""
    iterations, tflop = work(cell)
    parts = needed.parts(max(cell.train.batch_generator, cell.train.batch_discriminator) // machine.gpus, machine.gib)
    start = f"| {cell.dataset} | {profile} | {iterations * tflop / 1e6:.2f} | {machine.name} "
    if parts is None:
        return start + "| does not fit | | | | |"
    step = seconds(cell, machine, tflop, parts)
    hours = iterations * step / 3600
    images, days = needed.images(machine.gib), f"{hours / 24:,.2f}"
    return start + f"| {images:,} | {parts} | {step:.2f} | {hours:,.1f} | {days} |"


def table(datasets: list[str], consumer: float, h200: float) -> list[str]:
    """The ladder as Markdown: every data set with the profile `paper`, then with `short`."""
    lines = [
        "| data set | profile | EFLOP | machine | images a GPU | `accumulate` | s per iteration | hours | days |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    content = load("params.yaml")
    needed = {name: memory(resolve_cell(content, name, "full")) for name in datasets}
    for profile in PROFILES:
        for name in datasets:
            cell = resolve_cell(content | {"profile": profile}, name, "full")
            lines += [row(cell, profile, machine, needed[name]) for machine in machines(consumer, h200)]
    return lines
