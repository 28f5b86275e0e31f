"""A trained generator for other programs: transgan export --run RUN --layout torch --out generator.pt2

torch       a torch.export program, latents (B, latent_dim) -> images (B, C, H, W) of about [-1, 1]; it needs PyTorch
            alone, not this project: torch.export.load("generator.pt2").module()(z)
released    a checkpoint of the released code (pipeline.released.export_weights)

safetensors are what a run has anyway: generator_ema.safetensors.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.export import Dim

from pipeline.base.errors import UserError, command_line
from pipeline.base.files import atomic_write
from pipeline.generators.library import load_generator
from pipeline.generators.pretrained import find_run
from pipeline.networks import linear
from pipeline.released.export_weights import export_released

ENDINGS = {"torch": ".pt2", "released": ".pth"}


def export_program(run: str | Path, out: Path) -> None:
    """Write the averaged generator of `run` as a torch.export program for any batch size.

    Errors: `UserError` where the folder is no finished run.
    """
    generator = load_generator(run).network
    # A batch of one would be taken for a constant.
    example = torch.zeros(2, generator.latent_dim)
    with torch.no_grad(), _plain_products():
        program = torch.export.export(generator, (example,), dynamic_shapes=({0: Dim("batch")},))
    with atomic_write(out) as temporary:
        torch.export.save(program, temporary)


@contextmanager
def _plain_products() -> Iterator[None]:
    """PyTorch's own linear layers: which kernel is faster depends on the batch's size, and the program takes any."""
    before = linear.AVAILABLE
    linear.AVAILABLE = False
    try:
        yield
    finally:
        linear.AVAILABLE = before


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(prog="transgan export", description="A trained generator for other programs.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run", help="folder of a finished run, runs/<dataset>/<variant>/seed<k>")
    source.add_argument("--pretrained", metavar="NAME", help="network kept under pretrained/, such as digits/full")
    parser.add_argument("--layout", choices=ENDINGS, default="torch", help="torch: a torch.export program (default)")
    parser.add_argument("--out", required=True, type=Path, help="file to write: .pt2 (torch) or .pth (released)")
    parser.add_argument("--filter-bank", action="store_true", help="released: add D's filter bank, as CelebA-HQ's has")
    arguments = parser.parse_args()
    ending = ENDINGS[arguments.layout]
    if arguments.out.suffix != ending:
        raise UserError(f"--out: given {str(arguments.out)!r}; allowed: a name that ends in {ending}")
    run = find_run(arguments.run or arguments.pretrained)
    if arguments.layout == "torch":
        export_program(run, arguments.out)
    else:
        export_released(run, arguments.out, filter_bank=arguments.filter_bank)
    print(f"export: {run} -> {arguments.out}")


if __name__ == "__main__":
    main()
