"""The command `transgan measure`: a table of every protocol for images from anywhere.

transgan measure --images samples/ --against cifar10
transgan measure --images samples.zip --against photos/ --metrics fid_train_clean,kid --json measured.json
"""

import argparse

from pipeline.base.errors import UserError, command_line
from pipeline.base.files import existing_path, user_path
from pipeline.metrics.registry import DEFAULT
from pipeline.plan.config import PARAMS


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="transgan measure",
        description="FID, KID, Inception score, precision and recall of images from anywhere.",
    )
    parser.add_argument(
        "--images",
        required=True,
        type=existing_path,
        help="what is measured: a folder, a zip, or an .npz of uint8 images",
    )
    parser.add_argument(
        "--against",
        required=True,
        type=existing_path,
        help="real images: a dataset of params.yaml, a folder, zip or .npz",
    )
    parser.add_argument("--metrics", help=f"names of protocols, separated by commas ({','.join(DEFAULT)})")
    parser.add_argument("--n", type=int, help="measure the first so many images (all)")
    parser.add_argument("--seed", type=int, default=0, help="of the kernel distance's subsets and of the floor (0)")
    parser.add_argument(
        "--weights", type=existing_path, help="file of Inception weights (caches, package, official address)"
    )
    parser.add_argument("--threads", type=int, help="CPU threads (as many as PyTorch takes)")
    parser.add_argument("--json", type=user_path, help="also write values, known answers and protocols to this file")
    parser.add_argument("--params", default=PARAMS, help="parameter file (params.yaml)")
    given = parser.parse_args()
    for name, least in (("n", 2), ("threads", 1), ("seed", 0)):
        value = getattr(given, name)
        if value is not None and value < least:
            raise UserError(f"--{name}: given {value}; allowed: {least} or more")
    from pipeline.commands.measure_images import run  # imports torch

    run(given)


if __name__ == "__main__":
    main()
