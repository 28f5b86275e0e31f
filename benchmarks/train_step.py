"""Our training step against one in the style of the released loop, interleaved in one run.

    python -m benchmarks.train_step --geometry cifar10 --device cpu --batch 16/32
    python -m benchmarks.train_step --geometry cifar10 --device cuda --batch 64/128 --modes fp32 bf16_compiled

One process per mode, so that each has its own peak memory; they take turns, one generator iteration (critic steps and a
G step) at a time, so that a busy machine slows all of them. Batch: of D / of G.
"""

import argparse
import json
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import facts, matmul_peak, summary, synchronize
from benchmarks.reference import Reference
from pipeline.base.errors import UserError, choices, command_line
from pipeline.base.machine import has_bf16, peak_memory
from pipeline.plan.config import load, resolve_cell
from pipeline.training.config import TrainPlan
from pipeline.training.data import RealImages
from pipeline.training.state import build
from pipeline.training.step import iteration

MODES = {
    "reference": {},
    "fp32": {},
    "bf16": {"precision": "bf16"},
    "fp32_compiled": {"execution": "compiled"},
    "bf16_compiled": {"precision": "bf16", "execution": "compiled"},
    "bf16_graphs": {"precision": "bf16", "execution": "compiled_graphs"},  # on a GPU alone
    "fp32_recomputed": {"recompute": True},
    "fp32_divided": {"accumulate": 4},
}


def without_emulation(modes: list[str], device: str) -> list[str]:
    """`modes` without bf16 where the CPU would emulate it: an iteration would take many minutes."""
    if device != "cpu" or has_bf16():
        return modes
    kept = [mode for mode in modes if MODES[mode].get("precision") != "bf16"]
    for mode in modes:
        if mode not in kept:
            print(f"{mode}: skipped, this processor has no bf16 and would emulate it", flush=True)
    if not kept:
        raise UserError(f"--modes: given {' '.join(modes)}; allowed on a processor without bf16: modes in fp32")
    return kept


def make_plan(geometry: str, variant: str, batch: str, mode: str) -> TrainPlan:
    """The cell's plan with the batch sizes and the mode's settings."""
    cell = resolve_cell(load(), geometry, variant)
    of_d, of_g = map(int, batch.split("/"))
    changes = {"batch_discriminator": of_d, "batch_generator": of_g, "flip": True, **MODES[mode]}
    return TrainPlan(network=cell.network, train=cell.train.model_copy(update=changes), seed=0, code={})


def worker(pipe: Connection, plan: TrainPlan, mode: str, device_name: str, threads: int) -> None:
    """Answer every message with the seconds of one iteration; the last answer is the peak memory in MiB."""
    torch.set_num_threads(threads)
    device = torch.device(device_name)
    side = plan.network.resolution
    images = np.random.default_rng(0).integers(0, 256, (512, plan.network.channels, side, side), dtype=np.uint8)
    if mode == "reference":
        run = Reference(plan, images, device).iteration
    else:
        torch.manual_seed(0)
        networks, data, step = (
            build(plan.network, plan.train, device),
            RealImages(images, seed=0, flip=True, device=device),
            iter(range(1, 10**6)),
        )

        def run() -> None:
            iteration(networks, data, plan.train, next(step))

    while pipe.recv():
        synchronize(device)
        began = time.perf_counter()
        run()
        synchronize(device)
        pipe.send(time.perf_counter() - began)
    pipe.send(peak_memory(device))


def step_flops(plan: TrainPlan) -> int:
    """Floating-point operations of the matrix products in one iteration of the reference, on the meta device."""
    # Counted on the smallest batch, to which they are proportional. The caller does it in a process of its own, as the
    # reference changes modules.
    small = plan.model_copy(
        update={
            "train": plan.train.model_copy(update={"batch_discriminator": 1, "batch_generator": 2, "critic_steps": 1})
        }
    )
    side = plan.network.resolution
    reference = Reference(small, np.zeros((2, plan.network.channels, side, side), dtype=np.uint8), torch.device("cpu"))
    with FlopCounterMode(display=False) as counter:
        reference.discriminator_step(torch.zeros(1, plan.network.channels, side, side))
    of_d = counter.get_total_flops()
    with FlopCounterMode(display=False) as counter:
        reference.generator_step()
    config = plan.train
    return (
        of_d * config.batch_discriminator * config.critic_steps
        + counter.get_total_flops() * config.batch_generator // 2
    )


def measure(plans: dict[str, TrainPlan], device: str, threads: int, repeats: int) -> dict[str, dict[str, Any]]:
    """Seconds of every iteration after the first, the first apart (compilation), and peak memory, per mode."""
    context = multiprocessing.get_context("spawn")
    pipes = {}
    for mode, plan in plans.items():
        pipes[mode], theirs = context.Pipe()
        context.Process(target=worker, args=(theirs, plan, mode, device, threads), daemon=True).start()
        theirs.close()
    found: dict[str, dict[str, Any]] = {mode: {"seconds": []} for mode in plans}
    for turn in range(repeats + 1):
        for mode, pipe in pipes.items():
            if "failed" in found[mode]:
                continue
            try:
                pipe.send(True)
                seconds = pipe.recv()
            except (EOFError, BrokenPipeError):  # its process has ended, out of memory perhaps, and has said why
                found[mode]["failed"] = f"after {turn} iterations"
                continue
            print(f"{turn if turn else 'first'}: {mode}: {seconds:.2f} s", flush=True)
            found[mode] |= {"first": seconds} if not turn else {"seconds": [*found[mode]["seconds"], seconds]}
    for mode, pipe in pipes.items():
        if "failed" not in found[mode]:
            pipe.send(False)
            found[mode]["peak_mib"] = pipe.recv()
    return found


def report(found: dict[str, dict[str, Any]], plan: TrainPlan, flops: int, peaks: dict[str, float]) -> list[str]:
    """The table, in Markdown."""
    images = plan.train.critic_steps * plan.train.batch_discriminator
    base = found.get("reference", {"failed": "not run"})
    lines = [
        "| mode | s per iteration: median (least .. most) | real images/s | times the reference | peak memory GiB "
        "| TFLOP/s | of matmul peak | first iteration s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for mode, values in found.items():
        if "failed" in values:
            lines.append(f"| {mode} | failed {values['failed']} |" + " |" * 6)
            continue
        median = statistics.median(values["seconds"])
        ratios = (
            []
            if "failed" in base
            else [theirs / ours for theirs, ours in zip(base["seconds"], values["seconds"], strict=True)]
        )
        peak = peaks["bf16" if "bf16" in mode else "fp32"]
        lines.append(
            f"| {mode} | {summary(values['seconds'])} | {images / median:.1f} "
            f"| {summary(ratios) if ratios else 'not run'} | {values['peak_mib'] / 1024:.2f} "
            f"| {flops / median / 1e12:.3f} | {flops / median / peak:.0%} | {values['first']:.0f} |"
        )
    return lines


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train_step",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--geometry", default="cifar10", help="a dataset of params.yaml (cifar10)")
    parser.add_argument("--variant", default="full")
    parser.add_argument("--device", default="cpu", help="cpu | cuda")
    parser.add_argument("--batch", default="16/32", help="of D / of G (16/32)")
    parser.add_argument(
        "--modes", nargs="+", default=["reference", "fp32", "bf16", "bf16_compiled"], help=" ".join(MODES)
    )
    parser.add_argument("--repeats", type=int, default=5, help="iterations measured per mode (5)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write every number there")
    given = parser.parse_args()
    for mode in given.modes:
        if mode not in MODES:
            raise UserError(f"--modes: given {mode!r}; allowed: {choices(MODES, mode)}")
    if given.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no GPU here")
    torch.set_num_threads(given.threads)
    modes = without_emulation(given.modes, given.device)
    plans = {mode: make_plan(given.geometry, given.variant, given.batch, mode) for mode in modes}
    plan, device = next(iter(plans.values())), torch.device(given.device)
    found = measure(plans, given.device, given.threads, given.repeats)
    peaks = {name: matmul_peak(device, dtype) for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))}
    flops = step_flops(plan)
    known = {
        **facts(device),
        "geometry": given.geometry,
        "variant": given.variant,
        "batch": given.batch,
        "matmul_tflops": {name: round(rate / 1e12, 3) for name, rate in peaks.items()},
        "step_tflop": round(flops / 1e12, 3),
    }
    table = report(found, plan, flops, peaks)
    print("\n".join([json.dumps(known), *table]))
    if given.json:
        given.json.write_text(json.dumps({**known, "modes": found, "table": table}, indent=2) + "\n")


if __name__ == "__main__":
    main()
