"""Draw samples of a trained generator: a grid, single files, an array, or a video.

What is written follows from the name: .png one picture, .npz an array, .zip or a folder single PNG files (which FID
tools read), .gif or .mp4 a walk through the latents.
"""

import argparse
import math
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.errors import UserError, command_line
from pipeline.base.files import check_output, user_path
from pipeline.generators.pretrained import add_network, find_run

if TYPE_CHECKING:  # torch is imported once the arguments are known to be good
    import numpy as np

    from pipeline.generators.library import TrainedGenerator

FILES, VIDEOS = (".png", ".npz", ".zip"), (".gif", ".mp4")
FORMATS = f"{', '.join(FILES + VIDEOS)}, or no ending (a folder)"
MOST_SEEDS = 1_000_000


@command_line
def main() -> None:
    arguments = _arguments()
    run = find_run(arguments.network)
    kind = _kind(arguments)
    check_output(arguments.out, option="--out", folder=kind == "folder")

    from pipeline.generators.library import load_generator

    generator = load_generator(run)
    if kind in VIDEOS:
        count, noun = _write_walk(generator, arguments), "frames"
    else:
        count, noun = _write_images(generator, arguments, kind), "samples"
    seeds = f"seed {arguments.seed}" if arguments.seeds is None else f"{len(arguments.seeds)} seeds"
    print(f"{count} {noun} of {arguments.network}, {seeds} -> {arguments.out}")


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
    add_network(parser)
    parser.add_argument("--n", type=int, default=64, help="number of images (64)")
    parser.add_argument("--seed", type=int, default=0, help="of the latents (0)")
    parser.add_argument("--seeds", help="one image per seed instead of --n and --seed: 0-15,20")
    parser.add_argument("--truncation", type=float, help="cut latents off at so many standard deviations (not at all)")
    parser.add_argument("--out", required=True, type=user_path, help=f"what to write: {FORMATS}")
    parser.add_argument("--columns", type=int, help="images per row (about the square root of their number)")
    parser.add_argument("--scale", type=int, help="enlarge every pixel so many times (to at least 32 pixels an image)")
    parser.add_argument("--batch", type=int, default=64, help="images at a time (64)")
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


def _kind(arguments: argparse.Namespace) -> str:
    """What --out asks for: one of FILES or VIDEOS, or `folder`. Errors: `UserError` for a name with another ending."""
    ending = arguments.out.suffix.lower()
    if ending in VIDEOS:
        if arguments.seeds is not None and len(arguments.seeds) < 2:
            raise UserError(f"--seeds: given {len(arguments.seeds)} for a video; allowed: 2 or more")
        if ending == ".mp4" and find_spec("imageio_ffmpeg") is None:
            raise UserError(
                f"{arguments.out}: .mp4 needs the package imageio-ffmpeg (pip install imageio-ffmpeg); or write a .gif"
            )
        return ending
    if ending in FILES:
        return ending
    if re.fullmatch(r"\.[a-z]{1,4}\d?", ending) and not arguments.out.is_dir():  # samples_t0.7 is a folder
        raise UserError(f"--out: given {str(arguments.out)!r}; allowed: a name that ends in {FORMATS}")
    return "folder"


def _write_images(generator: "TrainedGenerator", arguments: argparse.Namespace, kind: str) -> int:
    """The images as one picture, an array or single files; returns their number. On a terminal with a progress bar."""
    from tqdm import tqdm

    from pipeline.generators import write_images

    seeds, count = arguments.seeds, arguments.n if arguments.seeds is None else len(arguments.seeds)

    def drawn() -> "Iterator[np.ndarray]":
        with tqdm(total=count, desc="generate", unit="image", disable=None) as bar:
            if seeds is None:
                latents = generator.latents(count, arguments.seed, arguments.truncation)
                parts = generator.batches(latents, seed=arguments.seed, batch=arguments.batch)
            else:
                parts = (generator.sample(1, seed, arguments.truncation) for seed in seeds)
            for images in parts:
                yield images
                bar.update(len(images))

    names = (
        [f"{index:06d}.png" for index in range(count)] if seeds is None else [f"seed{seed:05d}.png" for seed in seeds]
    )
    out: Path = arguments.out
    if kind == ".png":
        return write_images.write_grid(out, drawn(), (arguments.columns, arguments.scale))
    if kind == ".npz":
        return write_images.write_array(out, drawn())
    return (write_images.write_zip if kind == ".zip" else write_images.write_folder)(out, drawn(), names)


def _write_walk(generator: "TrainedGenerator", arguments: argparse.Namespace) -> int:
    """Without --seeds: a grid of --n images, each on a walk of its own. With: one image that passes every seed."""
    import numpy as np
    from tqdm import tqdm

    from pipeline.generators.library import walk
    from pipeline.generators.write_images import write_video

    if arguments.seeds is not None:
        frames = generator.interpolate(
            arguments.seeds, arguments.steps, loop=True, truncation=arguments.truncation, batch=arguments.batch
        )[:, None]
    else:
        stations = generator.latents(arguments.keyframes * arguments.n, arguments.seed, arguments.truncation)
        path = walk(stations.unflatten(0, (arguments.keyframes, arguments.n)), arguments.steps, loop=True)
        parts = generator.batches(path.flatten(0, 1), seed=arguments.seed, batch=arguments.batch)
        total = -(-path.shape[0] * arguments.n // arguments.batch)
        drawn = np.concatenate(list(tqdm(parts, desc="generate", unit="batch", total=total, disable=None)))
        frames = drawn.reshape(len(path), arguments.n, *drawn.shape[1:])
    write_video(arguments.out, frames, (arguments.columns, arguments.scale), fps=arguments.fps)
    return len(frames)


if __name__ == "__main__":
    main()
