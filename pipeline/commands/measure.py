"""The command `transgan measure`: a table of every protocol for images from anywhere.

transgan measure --images samples/ --against cifar10
transgan measure --images samples.zip --against photos/ --metrics fid_train_clean,kid --json measured.json
"""

import argparse
import tempfile
from pathlib import Path

from pipeline.base.errors import ArgumentParser, UserError, command_line
from pipeline.base.files import add_number, check_output, existing_path, expand_home, user_path, write_json
from pipeline.metrics.extractors.registry import NETWORKS
from pipeline.metrics.registry import ALLOWED, DEFAULT, SPLITS, extractors, parse


def full_names(given: str | None, n: int) -> list[str]:
    """The metrics of --metrics, separated by commas, each with its count; by default those that `n` images can have.

    Errors: `UserError` for an unknown name.
    """
    names = []
    for name in DEFAULT if given is None else map(str.strip, given.split(",")):
        try:
            protocol = parse(name).resolved(n)
        except ValueError as problem:
            raise UserError(f"--metrics: given {name!r}; allowed: {problem}") from None
        if NETWORKS[protocol.extractor].own:
            others = ALLOWED.partition("; or ")[0]
            raise UserError(f"--metrics: given {name}, measured by `dvc repro` alone; allowed: {others}")
        if given is not None or protocol.least(SPLITS, 2) <= max(n, 2):
            names.append(protocol.name)
    if len(set(names)) != len(names):
        raise UserError(f"--metrics: given {given!r}; allowed: every metric once")
    return names


def parse_options() -> argparse.Namespace:
    about = "FID, KID, Inception score, precision and recall of images from anywhere."
    parser = ArgumentParser(prog="transgan measure", description=about)
    made = "what is measured: a folder, a zip, or an .npz of uint8 images"
    parser.add_argument("--images", required=True, type=existing_path, help=made)
    real = "real images: a dataset of params.yaml, a folder, zip or .npz"
    parser.add_argument("--against", required=True, type=existing_path, help=real)
    parser.add_argument("--metrics", help=f"names of protocols, separated by commas ({','.join(DEFAULT)})")
    add_number(parser, "--n", 2, help="measure the first so many images (all)")
    add_number(parser, "--seed", 0, default=0, help="of the kernel distance's subsets and of the floor (0)")
    weights = "file of Inception weights (caches, package, official address)"
    parser.add_argument("--weights", type=existing_path, help=weights)
    add_number(parser, "--threads", 1, help="CPU threads (as many as PyTorch takes)")
    parser.add_argument("--json", type=user_path, help="also write values, known answers and protocols to this file")
    return parser.parse_args()


@command_line
def main() -> None:
    options = parse_options()
    from pipeline.commands.image_sources import dataset_settings, read_images

    # What ends in an error ends before any image of the real side is read, prepared or fetched.
    names = full_names(options.metrics, 2 if options.metrics else SPLITS)
    if options.json is not None:
        check_output(options.json, option="--json")
    config = None if expand_home(options.against).exists() else dataset_settings(options.against)

    import torch  # takes seconds

    from pipeline.commands.measure_images import measure_images, table
    from pipeline.metrics.extractors import weights

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(prefix="transgan-measure-") as folder:
        scratch = Path(folder)
        images = read_images(options.images, scratch / "images")
        if options.n is not None and options.n > len(images.images):
            most = f"at most {len(images.images)}, the images of {images.name}"
            raise UserError(f"--n: given {options.n}; allowed: {most}")
        for network in extractors(names):
            weights.find(network, options.weights, setting="--weights")
        real = read_images(options.against, scratch / "real", config)
        names = full_names(options.metrics, options.n or len(images.images))
        report = measure_images(images, real, names, weights_file=options.weights, seed=options.seed)
    try:
        if options.json is not None:
            write_json(options.json, report)
    finally:  # a disk that is full by now costs the file, not the values
        print("\n".join(table(report)), flush=True)
