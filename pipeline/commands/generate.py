"""Draw samples of a trained generator: a grid, single files, an array, or a video.

    python -m pipeline.commands.generate --run runs/digits/full/seed0 --n 64 --seed 0 --out grid.png
    python -m pipeline.commands.generate --pretrained digits/full --seeds 0-15,20 --out pictures/      one file per seed

What is written follows from the name: .png one picture, .npz an array, .zip or a folder single PNG files (which FID
tools read), .gif or .mp4 a walk through the latents.
"""

import argparse
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.base.errors import UserError, command_line
from pipeline.generators.library import BATCH, TrainedGenerator, load_generator, walk
from pipeline.generators.write_images import write_array, write_folder, write_grid, write_video, write_zip

Images = Iterator[np.ndarray]  # uint8 (N, H, W, C), a batch at a time
FORMATS = ".png, .npz, .zip, .gif, .mp4, or without an ending (a folder)"
MOST_SEEDS = 1_000_000


@command_line
def main() -> None:
    arguments = _arguments()
    write = _writer(arguments)
    generator = load_generator(arguments.run or arguments.pretrained)
    count, said = write(generator)
    print(f"{count} {said} of {arguments.run or arguments.pretrained}, {_said_seeds(arguments)} -> {arguments.out}")


def parse_seeds(text: str) -> list[int]:
    """`0-15,20` -> [0, ..., 15, 20], in the order given.

    Errors: `UserError` for anything else, a range that runs backwards, a seed given twice, and too many of them.
    """
    allowed = "numbers and ranges such as 0-15,20, each seed once"
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first or last >= 2**63 or len(seeds) + last - first >= MOST_SEEDS:
            raise UserError(f"--seeds: given {text!r}; allowed: {allowed}, {MOST_SEEDS:,} at most")
        seeds += range(first, last + 1)
    if len(set(seeds)) != len(seeds):
        raise UserError(f"--seeds: given {text!r}; allowed: {allowed}")
    return seeds


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="transgan generate", description="Samples of a weight-averaged generator.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", help="folder of a finished run, runs/<dataset>/<variant>/seed<k>")
    source.add_argument("--pretrained", metavar="NAME", help="network kept under pretrained/, such as digits/full")
    parser.add_argument("--n", type=int, default=64, help="number of images (64)")
    parser.add_argument("--seed", type=int, default=0, help="of the latents (0)")
    parser.add_argument("--seeds", help="one image per seed instead of --n and --seed: 0-15,20")
    parser.add_argument("--truncation", type=float, help="cut latents off at so many standard deviations (not at all)")
    parser.add_argument("--out", required=True, type=Path, help=f"what to write: {FORMATS}")
    parser.add_argument("--columns", type=int, help="images per row (about the square root of their number)")
    parser.add_argument("--scale", type=int, help="enlarge every pixel so many times (to at least 32 pixels an image)")
    parser.add_argument("--batch", type=int, default=BATCH, help=f"images at a time ({BATCH})")
    parser.add_argument("--keyframes", type=int, default=4, help="video: latents that every image passes (4)")
    parser.add_argument("--steps", type=int, default=24, help="video: frames from one latent to the next (24)")
    parser.add_argument("--fps", type=int, default=24, help="video: frames a second (24)")
    arguments = parser.parse_args()
    for name in ("n", "columns", "scale", "batch", "steps", "fps"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise UserError(f"--{name}: given {value}; allowed: 1 or more")
    if arguments.keyframes < 2:
        raise UserError(f"--keyframes: given {arguments.keyframes}; allowed: 2 or more")
    if not 0 <= arguments.seed < 2**63:
        raise UserError(f"--seed: given {arguments.seed}; allowed: 0 to 2^63 - 1")
    if arguments.truncation is not None and not 0 < arguments.truncation < math.inf:
        raise UserError(f"--truncation: given {arguments.truncation}; allowed: more than 0, in standard deviations")
    arguments.seeds = None if arguments.seeds is None else parse_seeds(arguments.seeds)
    return arguments


def _writer(arguments: argparse.Namespace) -> Callable[[TrainedGenerator], tuple[int, str]]:
    """What --out asks for. Errors: `UserError` for a name with another ending."""
    out: Path = arguments.out
    ending = out.suffix.lower()
    if ending in (".gif", ".mp4"):
        if arguments.seeds is not None and len(arguments.seeds) < 2:
            raise UserError(f"--seeds: given {len(arguments.seeds)} for a video; allowed: 2 or more")
        return lambda generator: (_write_walk(generator, arguments), "frames")
    if ending == ".png":
        return lambda generator: (write_grid(out, _shown(generator, arguments), _layout(arguments)), "samples")
    if ending == ".npz":
        return lambda generator: (write_array(out, _shown(generator, arguments)), "samples")
    if ending == ".zip":
        return lambda generator: (write_zip(out, _shown(generator, arguments), _names(arguments)), "samples")
    if ending == "" or out.is_dir():
        return lambda generator: (write_folder(out, _shown(generator, arguments), _names(arguments)), "samples")
    raise UserError(f"--out: given {str(out)!r}; allowed: a name that ends in {FORMATS}")


def _count(arguments: argparse.Namespace) -> int:
    return arguments.n if arguments.seeds is None else len(arguments.seeds)


def _images(generator: TrainedGenerator, arguments: argparse.Namespace) -> Images:
    if arguments.seeds is not None:
        for seed in arguments.seeds:
            yield generator.sample(1, seed, arguments.truncation)
    else:
        latents = generator.latents(arguments.n, arguments.seed, arguments.truncation)
        yield from generator.batches(latents, seed=arguments.seed, batch=arguments.batch)


def _shown(generator: TrainedGenerator, arguments: argparse.Namespace) -> Images:
    """The images; on a terminal with a progress bar."""
    with tqdm(total=_count(arguments), desc="generate", unit="image", disable=None) as bar:
        for images in _images(generator, arguments):
            yield images
            bar.update(len(images))


def _write_walk(generator: TrainedGenerator, arguments: argparse.Namespace) -> int:
    """Without --seeds: a grid of --n images, each on a walk of its own. With: one image that passes every seed."""
    if arguments.seeds is not None:
        frames = generator.interpolate(
            arguments.seeds, arguments.steps, loop=True, truncation=arguments.truncation, batch=arguments.batch
        )[:, None]
    else:
        stations = generator.latents(arguments.keyframes * arguments.n, arguments.seed, arguments.truncation)
        path = walk(stations.unflatten(0, (arguments.keyframes, arguments.n)), arguments.steps, loop=True)
        frames = np.concatenate(
            list(
                tqdm(
                    generator.batches(path.flatten(0, 1), seed=arguments.seed, batch=arguments.batch),
                    desc="generate",
                    unit="batch",
                    total=-(-path.shape[0] * arguments.n // arguments.batch),
                    disable=None,
                )
            )
        ).reshape(len(path), arguments.n, generator.resolution, generator.resolution, generator.channels)
    write_video(arguments.out, frames, _layout(arguments), fps=arguments.fps)
    return len(frames)


def _layout(arguments: argparse.Namespace) -> tuple[int | None, int | None]:
    return arguments.columns, arguments.scale


def _names(arguments: argparse.Namespace) -> list[str]:
    if arguments.seeds is not None:
        return [f"seed{seed:05d}.png" for seed in arguments.seeds]
    return [f"{index:06d}.png" for index in range(arguments.n)]


def _said_seeds(arguments: argparse.Namespace) -> str:
    return f"seed {arguments.seed}" if arguments.seeds is None else f"{len(arguments.seeds)} seeds"


if __name__ == "__main__":
    main()
