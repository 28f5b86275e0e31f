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
from pipeline.released.names import PREFIX, computed, discriminator_places, generator_places, to_released
from pipeline.training.augment import band_filters

FILES = {
    "avg_gen_state_dict": "generator_ema.safetensors",
    "gen_state_dict": "generator.safetensors",
    "dis_state_dict": "discriminator.safetensors",
}
FILTER = "Hz_fbank"  # D's filter bank, there in models trained with the augmentation `filter`


def export_released(run: Path, out: Path, *, filter_bank: bool = False) -> list[str]:
    """Write the networks of `run` to `out`, .pth; returns the keys written. `filter_bank`: D's, as CelebA-HQ's has it.

    Errors: `UserError` where the run is of another family or has a part that the released modules lack.
    """
    spec = read_networks(run)
    _check_expressible(spec, run)
    content: dict[str, object] = {"epoch": 0}
    for key, name in FILES.items():
        if (run / name).is_file():
            content[key] = _released_state(run / name, spec, discriminator=key == "dis_state_dict")
    if "avg_gen_state_dict" not in content:
        raise UserError(f"{run}: the run left no generator ({FILES['avg_gen_state_dict']} is missing)")
    bank = content.get("dis_state_dict")
    if filter_bank and isinstance(bank, dict):
        bank[f"{PREFIX}{FILTER}"] = band_filters().float()
    with atomic_write(out) as temporary, open(temporary, "wb") as file:
        torch.save(content, file)  # into a file object: a full disk is an OSError then
    return [key for key in content if key != "epoch"]


def _released_state(path: Path, spec: NetworkSpec, *, discriminator: bool) -> dict[str, Tensor]:
    network: nn.Module = build_discriminator(spec) if discriminator else build_generator(spec)
    places = (discriminator_places if discriminator else generator_places)(network, spec)
    state = load_file(path)
    if state.keys() != places.keys():
        raise UserError(f"{path}: does not fit network.yaml")
    found = to_released(state, places) | computed(network, places)
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
