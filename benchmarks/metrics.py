"""Time and memory of the metrics, and what our extraction costs beside the bare network.

    python -m benchmarks.metrics [--samples 50000] [--features 2048] [--threads 2] [--images 32] [--device cpu]

First half: random features, the real side as the `reference` stage keeps it (statistics), then both Fréchet distances,
kernel distance and precision/recall of generated features. Neighbours are found on --device. Second half:
Inception on random images of 32 pixels, bare (the network on resized batches) and through `Extractor.extract`, taking
turns, on one thread; it needs weights.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from pipeline.base.errors import UserError
from pipeline.metrics.config import MeasurePlan
from pipeline.metrics.extractors import weights
from pipeline.metrics.extractors.extractor import Features
from pipeline.metrics.extractors.inception import RESIZES, load_network
from pipeline.metrics.registry import parse
from pipeline.metrics.suite import measure

ROUNDS = 7
PLAN = {"seed": 0, "batch": 64, "splits": 10, "subsets": 100, "subset_size": 1000}


def timed(name: str, work: Callable[[], object]) -> tuple[object, np.ndarray]:
    start, busy = time.perf_counter(), time.process_time()
    found = work()
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{name:<44} {seconds:8.1f} s, {busy:6.1f} s of processor time   peak {peak:5.2f} GiB", flush=True)
    return found, np.array([seconds, busy])


def features(path: Path, count: int, width: int, seed: int) -> np.ndarray:
    """Random features (count, width), memory-mapped; the eigenvalues fall like those of images' (1 / rank)."""
    random, scale = np.random.default_rng(seed), (1 + np.arange(width, dtype=np.float32)) ** -0.5
    rows = np.lib.format.open_memmap(path, "w+", np.float32, (count, width))
    for start in range(0, count, 1000):
        rows[start : start + 1000] = random.standard_normal((min(1000, count - start), width), dtype=np.float32) * scale
    rows.flush()
    return np.load(path, mmap_mode="r")


def benchmark_metrics(count: int, width: int, threads: int, device: str) -> None:
    names = [
        parse(name).resolved(count).name for name in ("fid_train_clean", "fid_train_legacy", "kid", "pr3_inception")
    ]
    with tempfile.TemporaryDirectory() as folder:
        real, generated = (features(Path(folder) / f"{seed}.npy", count, width, seed) for seed in (0, 1))
        side = Features(real)
        timed("reference: statistics", lambda: side.gaussian)
        networks = ("inception_clean", "inception_legacy")
        sides = {(name, "train"): side for name in networks}
        both = dict.fromkeys(networks, Features(generated))
        total = np.zeros(2)
        for name in names:
            plan = MeasurePlan(metrics=[name], n_gen=count, threads=threads, curve=[], **PLAN)
            _, seconds = timed(
                f"measure: {name}",
                lambda plan=plan: measure(plan, sides, both, device=device),
            )
            total += seconds
        print(f"{'measure: all of them':<44} {total[0]:8.1f} s, {total[1]:6.1f} s of processor time", flush=True)


def benchmark_extraction(count: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    for name, (resize, _) in RESIZES.items():
        try:
            extractor = load_network(name, weights.find(name, None))
        except UserError as error:
            print(f"extraction not measured: {error}")
            return
        inputs = (resize(torch.from_numpy(images)) - 128) / 128

        @torch.inference_mode()
        def bare(extractor=extractor, inputs=inputs) -> None:
            for part in inputs.split(8):
                extractor.network.body(part)

        def ours(extractor=extractor) -> None:
            extractor.extract(images, 8)

        times: dict[Callable, list[float]] = {bare: [], ours: []}
        for turn in range(ROUNDS + 2):
            for work, found in times.items():
                start = time.process_time()
                work()
                if turn > 1:  # the first turns compile
                    found.append((time.process_time() - start) / count)
        one, two = (statistics.median(found) for found in times.values())
        times_ = f"bare {1e3 * one:.1f} ms, ours {1e3 * two:.1f} ms of processor time an image"
        print(f"{name}: {times_}, {two / one - 1:+.1%}; medians of {ROUNDS}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metrics", description="Time and memory of the metrics.")
    for name, value in (("samples", 50_000), ("features", 2048), ("threads", 2), ("images", 32)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", default="cpu", help="of the neighbours: cpu | cuda")
    given = parser.parse_args()
    libraries = f"torch {torch.__version__}, numpy {np.__version__}"
    processor = torch.cpu.get_capabilities()["cpu_name"]
    print(f"{processor}, {given.threads} threads, {libraries}, {time.strftime('%Y-%m-%d')}")
    torch.set_num_threads(1)
    if given.images:
        benchmark_extraction(given.images)
    torch.set_num_threads(given.threads)
    benchmark_metrics(given.samples, given.features, given.threads, given.device)


if __name__ == "__main__":
    main()
