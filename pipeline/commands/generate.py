"""Draw samples of a trained generator: a grid, single files, an array, or a video.

What is written follows from the name: .png one picture, .npz an array, .zip or a folder single PNG files (which FID
tools read), .gif or .mp4 a walk through the latents.
"""

import argparse
import math
import re
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from pipeline.base.errors import ArgumentParser, UserError, command_line
from pipeline.base.files import add_number, check_output, user_path
from pipeline.generators import write_images
from pipeline.generators.pretrained import add_network, find_run

if TYPE_CHECKING:  # torch is imported once the options are known to be good
    from pipeline.generators.library import TrainedGenerator

FILES, VIDEOS = (".png", ".npz", ".zip"), (".gif", ".mp4")
FORMATS = f"{', '.join(FILES + VIDEOS)}, or no ending (a folder)"
MOST_SEEDS = 1_000_000


@command_line
def main() -> None:
    options = parse_options()
    run, kind = find_run(options.network), _kind(options)
    check_output(options.out, option="--out", folder=kind == "folder")

    from pipeline.generators.library import load_generator

    generator = load_generator(run)
    drawn = (_write_walk if kind in VIDEOS else _write_images)(generator, options, kind)
    seeds = f"seed {options.seed}" if options.seeds is None else f"{len(options.seeds)} seeds"
    print(f"{drawn} of {options.network}, {seeds} -> {options.out}")


def parse_seeds(text: str) -> list[int]:
    """`0-15,20` -> [0, ..., 15, 20], in the order given.

    Errors: `UserError` for anything else, a range that runs backwards, a seed given twice, and too many of them.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first or last >= 2**63 or len(seeds) + last - first >= MOST_SEEDS:
            break
        seeds += range(first, last + 1)
    else:
        if len(set(seeds)) == len(seeds):
            return seeds
    allowed = f"numbers and ranges such as 0-15,20, each seed once, {MOST_SEEDS:,} at most"
    raise UserError(f"--seeds: given {text!r}; allowed: {allowed}")


def parse_options() -> argparse.Namespace:
    parser = ArgumentParser(prog="transgan generate", description="Samples of a weight-averaged generator.")
    add_network(parser)
    add_number(parser, "--n", 1, default=64, help="number of images (64)")
    add_number(parser, "--seed", 0, default=0, help="of the latents (0)")
    parser.add_argument("--seeds", type=parse_seeds, help="one image per seed instead of --n and --seed: 0-15,20")
    parser.add_argument("--truncation", type=float, help="cut latents off at so many standard deviations (not at all)")
    parser.add_argument("--out", required=True, type=user_path, help=f"what to write: {FORMATS}")
    add_number(parser, "--columns", 1, help="images per row (about the square root of their number)")
    add_number(parser, "--scale", 1, help="enlarge every pixel so many times (to at least 32 pixels an image)")
    add_number(parser, "--batch", 1, default=64, help="images at a time (64)")
    add_number(parser, "--keyframes", 2, default=4, help="video: latents that every image passes (4)")
    add_number(parser, "--steps", 1, default=24, help="video: frames from one latent to the next (24)")
    add_number(parser, "--fps", 1, default=24, help="video: frames a second (24)")
    options = parser.parse_args()
    if options.truncation is not None and not 0 < options.truncation < math.inf:
        raise UserError(f"--truncation: given {options.truncation}; allowed: more than 0, in standard deviations")
    return options


def _kind(options: argparse.Namespace) -> str:
    """What --out asks for: one of FILES or VIDEOS, or `folder`. Errors: `UserError` for a name with another ending."""
    ending = options.out.suffix.lower()
    if ending in VIDEOS and options.seeds is not None and len(options.seeds) < 2:
        raise UserError(f"--seeds: given {len(options.seeds)} for a video; allowed: 2 or more")
    write_images.check_mp4(options.out)
    if ending in FILES + VIDEOS:
        return ending
    if re.fullmatch(r"\.[a-z]{1,4}\d?", ending) and not options.out.is_dir():  # samples_t0.7 is a folder
        raise UserError(f"--out: given {str(options.out)!r}; allowed: a name that ends in {FORMATS}")
    return "folder"


def _write_images(generator: "TrainedGenerator", options: argparse.Namespace, kind: str) -> str:
    """The images as one picture, an array or single files, on a terminal with a progress bar; what was drawn."""
    from tqdm import tqdm

    if options.seeds is not None:
        names = [f"seed{seed:05d}.png" for seed in options.seeds]
        parts: Iterator[np.ndarray] = (generator.sample(1, seed, options.truncation) for seed in options.seeds)
    else:
        names = [f"{index:06d}.png" for index in range(options.n)]
        latents = generator.latents(options.n, options.seed, options.truncation)
        parts = generator.batches(latents, seed=options.seed, batch=options.batch)
    images = tqdm(chain.from_iterable(parts), total=len(names), desc="generate", unit="image", disable=None)
    if kind == ".png":
        write_images.write_grid(options.out, images, (options.columns, options.scale))
    elif kind == ".npz":
        write_images.write_array(options.out, images)
    else:
        (write_images.write_zip if kind == ".zip" else write_images.write_folder)(options.out, images, names)
    return f"{len(names)} samples"


def _write_walk(generator: "TrainedGenerator", options: argparse.Namespace, _: str) -> str:
    """Without --seeds: a grid of --n images, each on a walk of its own. With: one image that passes every seed."""
    from pipeline.generators.library import walk

    if options.seeds is not None:
        how = {"loop": True, "truncation": options.truncation, "batch": options.batch}
        frames = generator.interpolate(options.seeds, options.steps, **how)[:, None]
    else:
        stations = generator.latents(options.keyframes * options.n, options.seed, options.truncation)
        path = walk(stations.unflatten(0, (options.keyframes, options.n)), options.steps, loop=True)
        drawn = generator.draw(path.flatten(0, 1), seed=options.seed, batch=options.batch)
        frames = drawn.reshape(len(path), options.n, *drawn.shape[1:])
    write_images.write_video(options.out, frames, (options.columns, options.scale), fps=options.fps)
    return f"{len(frames)} frames"
