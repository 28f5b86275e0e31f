"""Memory and time of both networks against resolution, for every kind of attention.

    python -m benchmarks.growth --out pipeline/report/growth.csv --plot docs/growth.png

Geometry: the paper's figure (CelebA-HQ at 256, the same rule stopped earlier below), with the kind in force from 32 x
32 maps on. Memory is that of what the backward pass keeps for one image, weights apart: G's own pass with attention as
explicit matrix products, and D's penalty, which is differentiated twice. It is counted tensor by tensor on the meta
device, which allocates nothing, so that what fits nowhere has a number too; --check measures it on the CPU where it
fits. Time is measured on the CPU, one image, G forward and backward plus D's penalty, where the memory allows and the
operations promise less than --seconds.
"""

import argparse
import json
import multiprocessing
import time
from pathlib import Path
from queue import Empty
from typing import Any

import matplotlib
import pandas as pd
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import facts, matmul_peak
from benchmarks.reference import explicit_everywhere
from pipeline.base.errors import command_line
from pipeline.base.machine import peak_memory
from pipeline.networks.spec import NetworkSpec
from pipeline.networks.transgan.networks import Discriminator, Generator
from pipeline.networks.transgan.spec import GENERATORS
from pipeline.plan.config import load, resolve_cell

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

DATASETS = {32: "cifar10", 64: "celeba64", 128: "celeba128", 256: "celebahq256"}
KINDS = ("standard", "grid", "axis", "nystrom")
CARDS = (24, 80)  # GiB
COLOURS = {"standard": "#b5442d", "grid": "#1f6f8b", "axis": "#6b8e23", "nystrom": "#7a5195"}


def network(resolution: int, kind: str) -> NetworkSpec:
    """The full model at `resolution`, `kind` from 32 x 32 maps on; relative position where the kind has it."""
    content = load()
    name = DATASETS[resolution]
    model: dict[str, Any] = {"attention": kind, "attention_from": 32, "relative_position": kind != "nystrom"}
    if resolution == 32:  # the script's sizes narrow earlier; here those of celeba64, three stages of it
        stages = [stage.model_dump() for stage in GENERATORS["celeba64"]["stages"][:3]]
        model["generator"] = {"transgan": {"stages": stages}}
    content["variants"] = {"growth": {"model": model}}
    return resolve_cell(content, name, "growth").network


class Kept:
    """Bytes of the distinct tensors that autograd keeps while active, parameters apart."""

    def __init__(self, parameters: list[Tensor]):
        self.weights = {parameter.untyped_storage()._cdata for parameter in parameters}
        self.storages: dict[int, torch.UntypedStorage] = {}
        self.hooks = torch.autograd.graph.saved_tensors_hooks(self.keep, lambda tensor: tensor)

    def keep(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self.weights:
            self.storages[storage._cdata] = storage  # held, so that no address is used twice
        return tensor

    def bytes(self) -> int:
        return sum(storage.nbytes() for storage in self.storages.values())


def passes(spec: NetworkSpec, device: str) -> tuple[list[Tensor], list]:
    """Parameters, and the two passes as functions without arguments; each returns a scalar to differentiate."""
    explicit_everywhere()
    with torch.device(device):
        generator, discriminator = Generator(spec), Discriminator(spec)
        latents = torch.randn(1, generator.latent_dim)
        images = torch.randn(1, spec.channels, spec.resolution, spec.resolution)

    def generate() -> Tensor:
        return generator(latents).square().mean()

    def penalise() -> Tensor:
        between = images.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(discriminator(between * 1, twice=True).sum(), between, create_graph=True)
        return (gradient.flatten(1).norm(dim=1) - 1).square().mean()

    return [*generator.parameters(), *discriminator.parameters()], [generate, penalise]


def count(spec: NetworkSpec) -> dict[str, float]:
    """GiB kept per image by each pass and GFLOP of both with their backward passes, on the meta device."""
    parameters, (generate, penalise) = passes(spec, "meta")
    found = {}
    for name, function in (("g", generate), ("d", penalise)):
        kept = Kept(parameters)
        with FlopCounterMode(display=False) as counter:
            with kept.hooks:
                value = function()
            value.backward()
        found |= {f"{name}_gib": kept.bytes() / 2**30, f"{name}_gflop": counter.get_total_flops() / 1e9}
    return found


def measured(spec: NetworkSpec, threads: int, queue: multiprocessing.Queue) -> None:
    """In a process of its own: seconds and GiB beyond what the process held before, for both passes of one image."""
    torch.set_num_threads(threads)
    parameters, functions = passes(spec, "cpu")
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    found = {}
    for name, function in zip("gd", functions, strict=True):
        before, began = peak_memory(torch.device("cpu")), time.perf_counter()
        function().backward()
        found |= {
            f"{name}_seconds": time.perf_counter() - began,
            f"{name}_gib_measured": (peak_memory(torch.device("cpu")) - before) / 1024,
        }
    queue.put(found)


def run_measured(spec: NetworkSpec, threads: int) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=measured, args=(spec, threads, queue))
    process.start()
    while True:
        try:
            return queue.get(timeout=1)
        except Empty:
            if not process.is_alive():  # killed, for memory most likely: nothing measured
                return {}


def plot(rows: pd.DataFrame, path: Path) -> None:
    """Memory of G and of D, and operations, against resolution; lines of 24 and 80 GiB."""
    rows = rows.assign(tflop=(rows["g_gflop"] + rows["d_gflop"]) / 1000)
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    columns = (
        ("g_gib", "G, one image: GiB kept for backward"),
        ("d_gib", "D's penalty, one image: GiB kept"),
        ("tflop", "TFLOP, one image, both with backward"),
    )
    for axis, (column, title) in zip(axes, columns, strict=True):
        for kind, part in rows.groupby("attention", sort=False):
            axis.plot(part["resolution"], part[column], "o-", color=COLOURS[kind], label=kind)
        if column != "tflop":
            for card in CARDS:
                axis.axhline(card, color="grey", linestyle=":")
                axis.text(32, card * 1.05, f"{card} GiB", color="grey", fontsize=8)
        axis.set(
            xscale="log",
            yscale="log",
            title=title,
            xlabel="resolution",
            xticks=list(DATASETS),
            xticklabels=list(DATASETS),
        )
        axis.minorticks_off()
    axes[0].legend()
    figure.savefig(path, dpi=110)


def markdown(rows: pd.DataFrame) -> str:
    lines = [
        "| attention | resolution | G: GiB per image | D's penalty: GiB per image "
        "| images in 24 GiB | in 80 GiB | TFLOP | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows.itertuples():
        most = max(row.g_gib, row.d_gib)
        fits = [f"{int(card // most)}" if most <= card else "does not fit" for card in CARDS]
        seconds = f"{row.seconds:.1f}" if row.seconds == row.seconds else "not run"
        lines.append(
            f"| {row.attention} | {row.resolution} | {row.g_gib:.2f} | {row.d_gib:.2f} | {fits[0]} | {fits[1]} "
            f"| {(row.g_gflop + row.d_gflop) / 1000:.2f} | {seconds} |"
        )
    return "\n".join(lines)


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="CSV of every number")
    parser.add_argument("--plot", type=Path, help="PNG")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--seconds",
        type=float,
        default=60,
        help="longest measurement to try, guessed from the operations (60); 0: count only",
    )
    parser.add_argument("--memory", type=float, default=10, help="GiB a measurement may take (10)")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    rate, rows = matmul_peak(torch.device("cpu"), torch.float32) * 0.3, []
    for kind in KINDS:
        for resolution in DATASETS:
            spec = network(resolution, kind)
            row = {"attention": kind, "resolution": resolution, **count(spec)}
            if (
                row["g_gib"] + row["d_gib"] < given.memory
                and (row["g_gflop"] + row["d_gflop"]) * 1e9 / rate < given.seconds
            ):
                row |= run_measured(spec, given.threads)
                row |= {"seconds": row["g_seconds"] + row["d_seconds"]} if "g_seconds" in row else {}
            rows.append(row)
            print(
                {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()},
                flush=True,
            )
    table = pd.DataFrame(rows).reindex(
        columns=[
            *dict.fromkeys(name for row in rows for name in row),
            *(["seconds"] if not any("seconds" in row for row in rows) else []),
        ]
    )
    print(json.dumps(facts(torch.device("cpu"))))
    print(markdown(table))
    if given.out:
        table.to_csv(given.out, index=False, float_format="%.5g")
    if given.plot:
        plot(table, given.plot)


if __name__ == "__main__":
    main()
