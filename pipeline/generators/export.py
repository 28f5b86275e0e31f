"""A trained generator for other programs.

torch       a torch.export program, latents (B, latent_dim) -> images (B, C, H, W) of about [-1, 1]; it needs PyTorch
            alone, not this project: torch.export.load("generator.pt2").module()(z)
released    a checkpoint of the released code: gen_state_dict, avg_gen_state_dict, dis_state_dict and epoch, with the
            prefix `module.`. Each loads into the released module with load_state_dict. Optimiser states are left out,
            so the released training script cannot go on from the file.

safetensors are what a run has anyway: generator_ema.safetensors.
"""

from pathlib import Path

from pipeline.base.errors import ArgumentParser, UserError, command_line
from pipeline.base.files import atomic_write, check_output, user_path
from pipeline.generators.pretrained import WEIGHTS, add_network, find_run

ENDINGS = {"torch": ".pt2", "released": ".pth"}
FILTER = "Hz_fbank"  # D's filter bank, there in models trained with the augmentation `filter`


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


def export_released(run: Path, out: Path, *, filter_bank: bool = False) -> list[str]:
    """Write the networks of `run` as a checkpoint of the released code; returns the keys written.

    `filter_bank`: with D's, as CelebA-HQ's has it. Errors: `UserError` where the run is of another family or has a part
    that the released modules lack.
    """
    import torch
    from safetensors.torch import load_file

    from pipeline.networks.interface import build_discriminator, build_generator
    from pipeline.networks.sampling import read_networks
    from pipeline.networks.transgan.attention import AxisAttention
    from pipeline.released.names import PREFIX, STATES, computed, places, to_released
    from pipeline.training.augment import band_filters

    spec = read_networks(run)
    families = [spec.generator.family, spec.discriminator.family]
    if {*families} != {"transgan"}:
        allowed = "the released layout is that of two networks of transgan"
        raise UserError(f"{run}: networks of the families {' and '.join(families)}; {allowed}")
    generator, discriminator = build_generator(spec), build_discriminator(spec)
    if any(isinstance(part, AxisAttention) for network in (generator, discriminator) for part in network.modules()):
        raise UserError(f"{run}: axis attention; the released modules have none")
    if any(".widen." in name for name in discriminator.state_dict()):
        raise UserError(f"{run}: a discriminator with fewer patch scales than stages; the released modules have none")
    if not (run / WEIGHTS).is_file():
        raise UserError(f"{run}: the run left no generator ({WEIGHTS} is missing)")
    content = {}
    for name, key in STATES.items():
        weights, network = run / f"{name}.safetensors", discriminator if name == "discriminator" else generator
        if weights.is_file():
            fitting, state = places(spec, discriminator=network is discriminator), load_file(weights)
            if state.keys() != fitting.keys():
                raise UserError(f"{weights}: does not fit network.yaml")
            tensors = to_released(state, fitting) | computed(network, fitting)
            tensors |= {FILTER: band_filters().float()} if filter_bank and network is discriminator else {}
            content[key] = {f"{PREFIX}{name}": tensor.contiguous() for name, tensor in tensors.items()}
    with atomic_write(out) as temporary, open(temporary, "wb") as file:
        torch.save({"epoch": 0, **content}, file)  # into a file object: a full disk is an OSError then
    return list(content)


@command_line
def main() -> None:
    parser = ArgumentParser(prog="transgan export", description="A trained generator for other programs.")
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
        export_released(run, options.out, filter_bank=options.filter_bank)
    print(f"export: {options.network} -> {options.out}")
