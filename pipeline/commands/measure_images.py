"""The command `transgan measure`: a table of every protocol for images from anywhere.

transgan measure --images samples/ --against cifar10
transgan measure --images samples.zip --against photos/ --metrics fid_train_clean,kid --json measured.json
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch

from pipeline.base.errors import UserError, command_line
from pipeline.base.files import write_json
from pipeline.commands.image_metrics import measure_images
from pipeline.commands.image_sources import read_images
from pipeline.metrics.registry import column, parse
from pipeline.plan.config import PARAMS

DEFAULT = ("fid_train_legacy", "fid_train_clean", "is", "kid", "pr3")


def full_names(given: str | None, n: int) -> list[str]:
    """The metrics of --metrics, separated by commas, each with its count. Errors: `UserError` for an unknown name."""
    names = list(DEFAULT) if given is None else [name.strip() for name in given.split(",")]
    found = []
    for name in names:
        try:
            found.append(parse(name).resolved(n).name)
        except ValueError as problem:
            raise UserError(f"--metrics: given {name!r}; allowed: {problem}") from None
    if len(set(found)) != len(found):
        raise UserError(f"--metrics: given {given!r}; allowed: every metric once")
    return found


def table(report: dict[str, Any]) -> list[str]:
    """The report as lines for a terminal."""
    rows = [("protocol", "value", "real against real", "what it is")]
    for name, facts in report["metrics"].items():
        kind = column(name)
        spread = "" if facts["std"] is None else f" ± {facts['std']:.2g}"
        known = "too few images" if facts["real_against_real"] is None else f"{facts['real_against_real']:.4g}"
        words = f"{kind.label}, {'lower' if kind.lower else 'higher'} is better" if kind else ""
        rows.append((name, f"{facts['value']:.4g}{spread}", f"{known} (n={facts['n_real_against_real']:,})", words))
    rows += [(name, why, "", "") for name, why in report["unavailable"].items()]
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    head = f"{report['n_images']:,} images of {report['images']} against {report['n_real']:,} of {report['against']}"
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    ]
    return [head, "", *(line.rstrip() for line in lines)]


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="transgan measure", description="FID, KID, Inception score, precision and recall of images from anywhere."
    )
    parser.add_argument("--images", required=True, help="what is measured: a folder, a zip, or an .npz of uint8 images")
    parser.add_argument("--against", required=True, help="real images: a dataset of params.yaml, a folder, zip or .npz")
    parser.add_argument("--metrics", help=f"names of protocols, separated by commas ({','.join(DEFAULT)})")
    parser.add_argument("--n", type=int, help="measure the first so many images (all)")
    parser.add_argument("--seed", type=int, default=0, help="of the kernel distance's subsets and of the halves (0)")
    parser.add_argument("--weights", help="file of Inception weights (caches, official address, package)")
    parser.add_argument("--threads", type=int, help="CPU threads (as many as PyTorch takes)")
    parser.add_argument("--json", type=Path, help="also write values, known answers and protocols to this file")
    parser.add_argument("--params", default=PARAMS, help="parameter file (params.yaml)")
    given = parser.parse_args()
    for name, least in (("n", 2), ("threads", 1), ("seed", 0)):
        value = getattr(given, name)
        if value is not None and value < least:
            raise UserError(f"--{name}: given {value}; allowed: {least} or more")
    full_names(given.metrics, 2)  # a typo ends before any image is read
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory(prefix="transgan-measure-") as folder:
        scratch = Path(folder)
        real = read_images(given.against, scratch / "real", params=given.params)
        images = read_images(given.images, scratch / "images", params=given.params)
        if given.n is not None and given.n > len(images.images):
            raise UserError(f"--n: given {given.n}; allowed: at most {len(images.images)}, the images of {images.name}")
        names = full_names(given.metrics, given.n or len(images.images))
        report = measure_images(
            images, real, names, scratch=scratch / "features", weights_file=given.weights, seed=given.seed
        )
    print("\n".join(table(report)))
    if given.json is not None:
        write_json(given.json, report)


if __name__ == "__main__":
    main()
