"""Images a second in stage prepare, against a plain torchvision loop that does the same work.

    python -m benchmarks.prepare --source images.zip --resolution 64 [--rounds 5] [--count 3000]

The loop opens, converts to RGB, crops, resizes with the same filter and makes a tensor, one image after another, and
keeps the result in memory. Stage prepare reads, checks, decodes, resizes and writes the dataset with its hash. The two
take turns. Their results are compared pixel by pixel.
"""

import argparse
import platform
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, redirect_stdout
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
import torchvision
from PIL import Image
from torchvision.transforms import v2

from pipeline.base.errors import command_line
from pipeline.base.machine import processor
from pipeline.data.config import DataConfig
from pipeline.data.decode import LIBRARY
from pipeline.data.image_folder import find_images
from pipeline.data.prepare import prepare


def plain_loop(source: Path, resolution: int, folder: Path) -> np.ndarray:
    """(N, 3, H, W) uint8 by torchvision's own transforms, one image at a time, in memory."""
    with ExitStack() as stack:
        images = []
        for file in find_images(source, folder, stack).files:
            image = Image.open(BytesIO(file.read())).convert("RGB")
            steps = [
                v2.CenterCrop(min(image.size)),
                v2.Resize(resolution, interpolation=v2.InterpolationMode.LANCZOS, antialias=True),
                v2.PILToTensor(),
            ]
            images.append(v2.Compose(steps)(image).numpy())
        return np.stack(images)


def ours(source: Path, resolution: int, folder: Path) -> np.ndarray:
    with redirect_stdout(sys.stderr):
        prepare(DataConfig(source="folder", resolution=resolution, channels=3, path=str(source)), "benchmark", folder)
    return np.load(folder / "images.npy", mmap_mode="r")


SIDES = {"torchvision loop": plain_loop, "prepare": ours}


def subset(source: Path, count: int, folder: Path) -> Path:
    """The first `count` images of `source` as files in `folder`, so that both sides read the same."""
    with ExitStack() as stack:
        for index, file in enumerate(islice(find_images(source, folder, stack).files, count)):
            (folder / f"{index:06}{Path(file.name).suffix}").write_bytes(file.read())
    return folder


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prepare", description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="folder or zip of images")
    parser.add_argument("--resolution", type=int, required=True, help="pixels a side")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=3000, help="images a round")
    given = parser.parse_args()
    rates, cpu_times, pixels = {name: [] for name in SIDES}, {name: [] for name in SIDES}, {}
    with tempfile.TemporaryDirectory() as scratch:
        files, out = Path(scratch) / "files", Path(scratch) / "out"
        files.mkdir()
        source = subset(given.source, given.count, files)
        for _ in range(given.rounds + 1):
            for name, side in SIDES.items():
                began, cpu_began = time.perf_counter(), time.process_time()
                pixels[name] = side(source, given.resolution, out)
                rates[name].append(len(pixels[name]) / (time.perf_counter() - began))
                cpu_times[name].append((time.process_time() - cpu_began) / len(pixels[name]))
        count, same = len(pixels["prepare"]), np.array_equal(*pixels.values())
    print(
        f"{given.source.name}, {count:,} images -> {given.resolution} x {given.resolution}, "
        f"{given.rounds} rounds after a warm-up, the two in turn"
    )
    print(
        f"{processor()}; Python {platform.python_version()}, torchvision {torchvision.__version__}, {LIBRARY}; "
        f"{time.strftime('%Y-%m-%d')}"
    )
    for name in SIDES:
        values, spent = rates[name][1:], cpu_times[name][1:]
        print(
            f"{name:<18}{statistics.median(values):>8,.0f} images/s "
            f"(median; {min(values):,.0f} .. {max(values):,.0f}), "
            f"{statistics.median(spent) * 1e6:,.0f} us of processor time an image"
        )
    ratios = [mine / theirs for theirs, mine in zip(*(values[1:] for values in rates.values()), strict=True)]
    print(
        f"{'ratio':<18}{statistics.median(ratios):>8.2f} (median; {min(ratios):.2f} .. {max(ratios):.2f}); "
        f"pixels {'equal' if same else 'DIFFER'}"
    )


if __name__ == "__main__":
    main()
