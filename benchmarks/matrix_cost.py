"""The paper's matrix on 1, 8 and 64 GPUs, on paper: hours, GPU hours, bytes, from counted operations and a pace.

    python -m benchmarks.matrix_cost --tflops 50 [--gpus 1 8 64] [--seeds 3]
    python -m benchmarks.matrix_cost --ladder [cifar10 ...] [--pace 40 200]

Operations of a training: `pipeline/report/cost.py`. `--tflops` is the pace that one GPU keeps over a whole
step; it is an assumption until `benchmarks.train_step` has measured it on the GPU at hand. Trainings are handed out
longest first, whole, one GPU each. Nothing is trained.

`--ladder` prints what a single training of `full` costs by data set and machine instead (`benchmarks/ladder.py`,
docs/notes/costs.md).
"""

import argparse
import heapq

from benchmarks import ladder
from pipeline.base.errors import UserError, choices, command_line
from pipeline.base.schema import dump
from pipeline.plan.config import load, resolve_cell
from pipeline.plan.fingerprint import fingerprint
from pipeline.report.cost import flops_per_kimg, forward_flops
from pipeline.training.config import TrainPlan, effective_settings

DATASETS = {"cifar10": 50_000, "stl10": 105_000, "celeba64": 202_599}  # and their training images
ROWS = [
    "standard_attention",
    "nystrom_attention",
    "axis_attention",
    "grid_attention",
    "multiscale",
    "token_norm",
    "full",
    "no_augment",
]


def trainings(seeds: int) -> list[tuple[str, float, float]]:
    """(dataset, FLOP, bytes to push) of every training; twins count once."""
    content = load("params.yaml") | {"profile": "paper"}
    found: dict[str, tuple[str, float, float]] = {}
    for dataset in DATASETS:
        for variant in ROWS:
            cell = resolve_cell(content, dataset, variant)
            train = effective_settings(cell.train)
            # Rows that were not counted have the sizes of `full`: other norms, fewer scales of D.
            flops = forward_flops(dataset, variant) or forward_flops(dataset, "full")
            per_kimg = flops_per_kimg(flops, train.model_dump())
            if per_kimg is None or train.kimg is None:
                raise SystemExit(f"{dataset}/{variant}: its operations are not known")
            code = fingerprint(cell.network, train)
            for seed in range(seeds):
                key = dataset + dump(TrainPlan(network=cell.network, train=train, seed=seed, code=code))
                found.setdefault(
                    key, (dataset, per_kimg * train.kimg, size(cell, train.snapshots, train.snapshot_images))
                )
    return list(found.values())


def size(cell, snapshots: int, images: int) -> float:
    """Bytes of a run: G, its average and D in fp32, and the grids of fixed latents; the rest is small."""
    import torch

    from pipeline.networks.interface import build_discriminator, build_generator

    with torch.device("meta"):
        networks = build_generator(cell.network), build_discriminator(cell.network)
    g, d = (sum(parameter.numel() for parameter in network.parameters()) for network in networks)
    pixels = cell.network.channels * cell.network.resolution**2
    return 4.0 * (2 * g + d) + (snapshots + 1) * images * pixels


def hours(lengths: list[float], gpus: int) -> float:
    """When the last of so many GPUs is done, longest training first."""
    busy = [0.0] * gpus
    for length in sorted(lengths, reverse=True):
        heapq.heappush(busy, heapq.heappop(busy) + length)
    return max(busy)


def matrix(tflops: float, gpu_counts: list[int], seeds: int) -> None:
    """Print what the whole matrix costs."""
    rows = trainings(seeds)
    lengths = [flop / (tflops * 1e12) / 3600 for _, flop, _ in rows]
    for dataset in DATASETS:
        of = [(length, row[1]) for length, row in zip(lengths, rows, strict=True) if row[0] == dataset]
        print(
            f"{dataset}: {len(of)} trainings, the longest {max(f for _, f in of) / 1e18:.1f} EFLOP "
            f"and {max(h for h, _ in of):.0f} h"
        )
    pushed = sum(row[2] for row in rows)
    resolutions = {"cifar10": 32, "stl10": 48, "celeba64": 64}
    inputs = {name: count * 3 * resolutions[name] ** 2 for name, count in DATASETS.items()}
    print(
        f"{len(rows)} trainings, {sum(lengths):,.0f} GPU hours, "
        f"{pushed / 2**30:.1f} GiB of runs pushed and pulled by the head"
    )
    print(f"prepared images: {', '.join(f'{name} {count / 2**30:.2f} GiB' for name, count in inputs.items())}")
    for gpus in gpu_counts:
        took = hours(lengths, gpus)
        used = sum(lengths) / (took * gpus)
        pulled = sum(inputs.values()) * min(gpus, len(rows))
        print(
            f"{gpus} GPUs: {took:,.0f} h, {100 * used:.0f} % at work, up to {pulled / 2**30:.1f} GiB of images pulled"
        )


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.matrix_cost",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tflops", type=float, help="assumed pace of one GPU over whole steps, TFLOP/s")
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ladder", nargs="*", metavar="DATASET", help="one training on three machines")
    parser.add_argument(
        "--pace",
        type=float,
        nargs=2,
        default=[40, 200],
        metavar="TFLOPS",
        help="of a consumer GPU and an H200 (40 200)",
    )
    options = parser.parse_args()
    if options.ladder is not None:
        for name in options.ladder:
            if name not in ladder.DATASETS:
                raise UserError(f"--ladder: given {name!r}; allowed: {choices(ladder.DATASETS, name)}")
        print("\n".join(ladder.table(options.ladder or list(ladder.DATASETS), *options.pace)))
    elif options.tflops is None:
        raise UserError("--tflops: given nothing; allowed: the pace of one GPU in TFLOP/s, or --ladder")
    else:
        matrix(options.tflops, options.gpus, options.seeds)


if __name__ == "__main__":
    main()
