"""A trained generator for other programs.

torch       a torch.export program, latents (B, latent_dim) -> images (B, C, H, W) of about [-1, 1]; it needs PyTorch
            alone, not this project: torch.export.load("generator.pt2").module()(z)
released    a checkpoint of the released code

safetensors are what a run has anyway: generator_ema.safetensors.
"""

import argparse
from pathlib import Path

from pipeline.base.errors import UserError, command_line
from pipeline.base.files import atomic_write, check_output, user_path
from pipeline.generators.pretrained import add_network, find_run

ENDINGS = {"torch": ".pt2", "released": ".pth"}


def export_program(run: str | Path, out: Path) -> None:
    """Write the averaged generator of `run` as a torch.export program for any batch size.

    Errors: `UserError` where the folder is no finished run; `OSError` of the file system.
    """
    import torch

    from pipeline.networks.sampling import load_generator

    generator = load_generator(run)
    with torch.no_grad():
        example = torch.zeros(2, generator.latent_dim)  # a batch of one would be taken for a constant
        program = torch.export.export(generator, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    with atomic_write(out) as temporary, open(temporary, "wb") as file:
        torch.export.save(program, file)  # into a file object: a full disk is an OSError then


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(prog="transgan export", description="A trained generator for other programs.")
    add_network(parser)
    parser.add_argument("--layout", choices=ENDINGS, default="torch", help="torch: a torch.export program (default)")
    parser.add_argument("--out", required=True, type=user_path, help="file to write: .pt2 (torch) or .pth (released)")
    parser.add_argument("--filter-bank", action="store_true", help="released: add D's filter bank, as CelebA-HQ's has")
    options = parser.parse_args()
    if options.out.suffix != ENDINGS[options.layout]:
        raise UserError(f"--out: given {str(options.out)!r}; allowed: a name that ends in {ENDINGS[options.layout]}")
    run = find_run(options.network)
    check_output(options.out, option="--out")
    if options.layout == "torch":
        export_program(run, options.out)
    else:
        from pipeline.released.export_weights import export_released

        export_released(run, options.out, filter_bank=options.filter_bank)
    print(f"export: {options.network} -> {options.out}")


if __name__ == "__main__":
    main()
