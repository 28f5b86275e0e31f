"""Tensor names of the released modules, and how this project's tensors become theirs and back.

Names and shapes as in the released code. What differs:

    ours                                       released
    to_tokens, to_rgb                          l1, deconv.0 (a 1x1 convolution: weight (3, C, 1, 1))
    stages.S.position                          pos_embed_<S + 1>
    G stages.S.blocks.J at 32 and 48 pixels    blocks.block.J for S = 0, upsample_blocks.<S - 1>.block.J after it
    G stages.S.blocks.J at 256 pixels          blocks_<S + 1>.block.J
    D stages.S.patches                         fRGB_<S + 1> (a convolution of kernel = stride = P: weight (C, 3, P, P))
    D stages.S.blocks.J                        blocks_<S + 1>.J; blocks that attend over the whole map after grid blocks
                                               are a list of their own, blocks_<S + 1>1
    D cls, cls_blocks, norm                    cls_token, last_block, norm.norm
    attention                                  attn; relative_position.table = relative_position_bias_table,
                                               noise_strength = noise_strength_1
    norm1.weight                               norm1.norm.weight (norms are wrapped twice)
    G to_sequence, sequence_position           embedding_transform, embed_pos (October 2021, as the next line)
    cross_attention                            query = q_transform, key = k_transform, value = v_transform

The released modules also store tensors that are computed, not learned: `relative_position_index` of every attention,
and D's filter bank. They are dropped on the way in and made on the way out.
"""

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.networks.spec import NetworkSpec
from pipeline.networks.transgan.attention import RelativePosition
from pipeline.networks.transgan.networks import PatchEmbedding

COMPUTED = re.compile(r"(.*\.)?(relative_position_index|Hz_fbank|Hz_geom)")
PREFIX = "module."  # of networks that were wrapped for several GPUs
LARGE = 256  # pixels a side from which the released generator names its stages blocks_1 ... blocks_6
OUTER = {  # of the generator; the last two in October 2021
    "to_rgb.": "deconv.0.",
    "to_tokens.": "l1.",
    "to_sequence.": "embedding_transform.",
    "sequence_position": "embed_pos",
}


@dataclass(frozen=True)
class Place:
    """A learned tensor in the released layout."""

    name: str
    shape: tuple[int, ...]  # the same numbers in the same order as ours, perhaps with other brackets


def generator_places(generator: nn.Module, spec: NetworkSpec) -> dict[str, Place]:
    """Our name -> place in the released generator, for every tensor of the state dict."""
    return {
        name: Place(_generator_name(name, large=spec.resolution >= LARGE), _unflattened(name, tensor, 1))
        for name, tensor in generator.state_dict().items()
    }


def discriminator_places(discriminator: nn.Module, spec: NetworkSpec) -> dict[str, Place]:
    """Our name -> place in the released discriminator, for every tensor of the state dict."""
    network: Any = spec.discriminator
    first_groups = [stage.blocks[0].depth if len(stage.blocks) > 1 else None for stage in network.stages]
    sizes = {
        f"{name}.weight": module.patch
        for name, module in discriminator.named_modules()
        if isinstance(module, PatchEmbedding)
    }
    return {
        name: Place(_discriminator_name(name, first_groups), _unflattened(name, tensor, sizes.get(name)))
        for name, tensor in discriminator.state_dict().items()
    }


def computed(network: nn.Module, places: dict[str, Place]) -> dict[str, Tensor]:
    """The released `relative_position_index` tensors (n, n) of a network, by their released names."""
    found = {}
    for name, module in network.named_modules():
        if isinstance(module, RelativePosition):
            released = places[f"{name}.table"].name.removesuffix("_bias_table")
            found[f"{released}_index"] = module.index.unflatten(0, (module.height * module.width, -1)).clone()
    return found


def to_released(state: dict[str, Tensor], places: dict[str, Place]) -> dict[str, Tensor]:
    """Our state dict in the released names and shapes."""
    return {place.name: state[name].reshape(place.shape) for name, place in places.items()}


def from_released(state: dict[str, Tensor], places: dict[str, Place], ours: dict[str, torch.Size]) -> dict[str, Tensor]:
    """A released state dict in our names and shapes. `ours`: our shapes by name."""
    return {name: state[place.name].reshape(ours[name]).contiguous() for name, place in places.items()}


def learned(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A released state dict without the prefix of several GPUs and without what is computed."""
    plain = {name.removeprefix(PREFIX): tensor for name, tensor in state.items()}
    return {name: tensor for name, tensor in plain.items() if not COMPUTED.fullmatch(name)}


def differences(state: dict[str, Tensor], places: dict[str, Place]) -> list[str]:
    """What keeps a learned state dict from fitting, a phrase each, in the network's order; empty where it fits."""
    known = {place.name for place in places.values()}
    found = []
    for place in places.values():
        if place.name not in state:
            found.append(f"{place.name} {place.shape} is missing")
        elif tuple(state[place.name].shape) != place.shape:
            found.append(f"{place.name} is {tuple(state[place.name].shape)} instead of {place.shape}")
        elif not state[place.name].is_floating_point() and not place.name.endswith("num_batches_tracked"):
            found.append(f"{place.name} holds {state[place.name].dtype} instead of floating-point numbers")
        elif not state[place.name].isfinite().all():
            found.append(f"{place.name} has values that are not finite")
    return found + [f"{name} {tuple(state[name].shape)} is unknown" for name in state if name not in known]


def _unflattened(name: str, tensor: Tensor, patch: int | None) -> tuple[int, ...]:
    """The released shape: convolutions instead of linear layers where pixels are read or made."""
    if name == "to_rgb.weight":
        return (*tensor.shape, 1, 1)
    if name.endswith(".patches.weight") and patch:
        return (tensor.shape[0], tensor.shape[1] // patch**2, patch, patch)
    return tuple(tensor.shape)


def _generator_name(name: str, *, large: bool) -> str:
    if match := re.fullmatch(r"stages\.(\d+)\.blocks\.(\d+)\.(.+)", name):
        stage, block, rest = int(match[1]), match[2], match[3]
        small = "blocks" if stage == 0 else f"upsample_blocks.{stage - 1}"
        return f"{f'blocks_{stage + 1}' if large else small}.block.{block}.{_block_name(rest)}"
    if match := re.fullmatch(r"stages\.(\d+)\.position", name):
        return f"pos_embed_{int(match[1]) + 1}"
    found = next((own for own in OUTER if name.startswith(own)), "")
    return OUTER.get(found, "") + name.removeprefix(found)


def _discriminator_name(name: str, first_groups: list[int | None]) -> str:
    if match := re.fullmatch(r"stages\.(\d+)\.blocks\.(\d+)\.(.+)", name):
        stage, block, rest = int(match[1]), int(match[2]), match[3]
        first = first_groups[stage]
        second = first is not None and block >= first
        index = block - first if first is not None and second else block
        return f"blocks_{stage + 1}{'1' if second else ''}.{index}.{_block_name(rest)}"
    if match := re.fullmatch(r"cls_blocks\.(\d+)\.(.+)", name):
        return f"last_block.{match[1]}.{_block_name(match[2])}"
    if match := re.fullmatch(r"stages\.(\d+)\.position", name):
        return f"pos_embed_{int(match[1]) + 1}"
    if match := re.fullmatch(r"stages\.(\d+)\.patches\.(.+)", name):
        return f"fRGB_{int(match[1]) + 1}.{match[2]}"
    return re.sub(r"^norm\.", "norm.norm.", "cls_token" if name == "cls" else name)


def _block_name(rest: str) -> str:
    """Of a tensor inside a block."""
    rest = re.sub(r"^(norm[12])\.", r"\1.norm.", rest)
    rest = re.sub(r"^attention\.", "attn.", rest).replace("relative_position.table", "relative_position_bias_table")
    rest = re.sub(r"^cross_attention\.(q|k|v)(uery|ey|alue)\.", r"cross_attention.\1_transform.", rest)
    return rest.replace("noise_strength", "noise_strength_1")
