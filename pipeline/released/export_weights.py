"""A run of this project as a checkpoint of the released code.

The file has the keys that the released code writes for networks: gen_state_dict, avg_gen_state_dict, dis_state_dict and
epoch, with the prefix `module.`. Each loads into the released module with load_state_dict. Optimiser states are left
out, so the released training script cannot go on from the file.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.base.errors import UserError
from pipeline.base.files import atomic_write
from pipeline.networks.interface import build_discriminator, build_generator
from pipeline.networks.sampling import read_networks
from pipeline.networks.spec import NetworkSpec
from pipeline.networks.transgan.attention import AxisAttention
from pipeline.released.names import PREFIX, STATES, computed, places, to_released
from pipeline.training.augment import band_filters

FILTER = "Hz_fbank"  # D's filter bank, there in models trained with the augmentation `filter`


def export_released(run: Path, out: Path, *, filter_bank: bool = False) -> list[str]:
    """Write the networks of `run` to `out`, .pth; returns the keys written. `filter_bank`: D's, as CelebA-HQ's has it.

    Errors: `UserError` where the run is of another family or has a part that the released modules lack.
    """
    spec = read_networks(run)
    _check_expressible(spec, run)
    content: dict[str, object] = {"epoch": 0}
    for name, key in STATES.items():
        if (weights := run / f"{name}.safetensors").is_file():
            content[key] = _released_state(weights, spec, discriminator=name == "discriminator")
        elif name == "generator_ema":
            raise UserError(f"{run}: the run left no generator ({weights.name} is missing)")
    bank = content.get(STATES["discriminator"])
    if filter_bank and isinstance(bank, dict):
        bank[f"{PREFIX}{FILTER}"] = band_filters().float()
    with atomic_write(out) as temporary, open(temporary, "wb") as file:
        torch.save(content, file)  # into a file object: a full disk is an OSError then
    return [key for key in content if key != "epoch"]


def _released_state(path: Path, spec: NetworkSpec, *, discriminator: bool) -> dict[str, Tensor]:
    network: nn.Module = build_discriminator(spec) if discriminator else build_generator(spec)
    fitting, state = places(spec, discriminator=discriminator), load_file(path)
    if state.keys() != fitting.keys():
        raise UserError(f"{path}: does not fit network.yaml")
    found = to_released(state, fitting) | computed(network, fitting)
    return {f"{PREFIX}{name}": tensor.contiguous() for name, tensor in found.items()}


def _check_expressible(spec: NetworkSpec, run: Path) -> None:
    families = (spec.generator.family, spec.discriminator.family)
    if families != ("transgan", "transgan"):
        allowed = "the released layout is that of two networks of transgan"
        raise UserError(f"{run}: networks of the families {' and '.join(families)}; {allowed}")
    with torch.device("meta"):
        networks = (build_generator(spec), build_discriminator(spec))
    if any(isinstance(module, AxisAttention) for network in networks for module in network.modules()):
        raise UserError(f"{run}: axis attention; the released modules have none")
    if any(".widen." in name for name in networks[1].state_dict()):
        raise UserError(f"{run}: a discriminator with fewer patch scales than stages; the released modules have none")
