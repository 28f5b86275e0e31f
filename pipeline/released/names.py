"""Tensor names of the released modules, and how this project's tensors become theirs and back.

The tables below give the released name of every tensor of ours. Shapes differ where the released code has a convolution
in place of a linear layer: `to_rgb` is one of 1 x 1, weight (3, C, 1, 1), and `patches` one of kernel = stride = P,
weight (C, 3, P, P).

The released modules also store tensors that are computed, not learned: `relative_position_index` of every attention,
and D's filter bank. They are dropped on the way in and made on the way out.
"""

import re
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pipeline.networks.interface import build_discriminator, build_generator
from pipeline.networks.spec import NetworkSpec
from pipeline.networks.transgan.attention import RelativePosition
from pipeline.networks.transgan.networks import PatchEmbedding

COMPUTED = re.compile(r"(.*\.)?(relative_position_index|Hz_fbank|Hz_geom)")
PREFIX = "module."  # of networks that were wrapped for several GPUs
State = dict[str, Tensor]
# The networks of a run, and of a released checkpoint.
STATES = {
    "generator_ema": "avg_gen_state_dict",
    "generator": "gen_state_dict",
    "discriminator": "dis_state_dict",
}
LARGE = 256  # pixels a side from which the released generator names its stages blocks_1 ... blocks_6

# Part of our name, where stages count from 1 -> part of the released name. All that match are replaced, in this order.
Names = dict[str, str]
BOTH: Names = {
    r"^stages\.(\d)\.position": r"pos_embed_\1",
    r"\.(norm[12])\.": r".\1.norm.",  # norms are wrapped twice
    r"(?<!cross_)attention\.": "attn.",
    r"relative_position\.table": "relative_position_bias_table",
    r"noise_strength$": "noise_strength_1",
}
GENERATOR: Names = BOTH | {
    r"^to_tokens\.": "l1.",
    r"^to_rgb\.": "deconv.0.",
    r"^to_sequence\.": "embedding_transform.",  # this and the rest are of October 2021
    r"^sequence_position": "embed_pos",
    r"\.query\.": ".q_transform.",
    r"\.key\.": ".k_transform.",
    r"\.value\.": ".v_transform.",
}
SMALL_GENERATOR: Names = GENERATOR | {
    r"^stages\.1\.blocks\.": "blocks.block.",
    r"^stages\.2\.blocks\.": "upsample_blocks.0.block.",
    r"^stages\.3\.blocks\.": "upsample_blocks.1.block.",
}
LARGE_GENERATOR: Names = GENERATOR | {r"^stages\.(\d)\.blocks\.": r"blocks_\1.block."}
DISCRIMINATOR: Names = BOTH | {
    r"^stages\.(\d)\.patches\.": r"fRGB_\1.",
    r"^stages\.(\d)\.blocks\.": r"blocks_\1.",
    r"^cls$": "cls_token",
    r"^cls_blocks\.": "last_block.",
    r"^norm\.": "norm.norm.",
}


class Place(NamedTuple):
    """Where a learned tensor of ours is in a released network."""

    name: str
    shape: tuple[int, ...]  # the same numbers in the same order as ours, perhaps with other brackets
    ours: tuple[int, ...]  # our shape


Places = dict[str, Place]  # by our names, for every tensor of a state dict


def places(spec: NetworkSpec, *, discriminator: bool) -> Places:
    """The places of one of the networks' tensors, which are not allocated."""
    names = SMALL_GENERATOR if spec.resolution < LARGE else LARGE_GENERATOR
    with torch.device("meta"):
        network = build_discriminator(spec) if discriminator else build_generator(spec)
    if discriminator:
        names = {}
        for number, stage in enumerate(getattr(spec.discriminator, "stages", ()), start=1):
            first, *second = stage.blocks  # the second attend over the whole map after grid blocks
            for block in range(second[0].depth if second else 0):
                names[rf"^stages\.{number}\.blocks\.{first.depth + block}\."] = f"blocks_{number}1.{block}."
        names |= DISCRIMINATOR
    patches = {name: part.patch for name, part in network.named_modules() if isinstance(part, PatchEmbedding)}
    found = {}
    for name, tensor in network.state_dict().items():
        released = re.sub(r"^stages\.(\d+)", lambda match: f"stages.{int(match[1]) + 1}", name)
        for ours, theirs in names.items():
            released = re.sub(ours, theirs, released)
        shape, patch = tuple(tensor.shape), patches.get(name.removesuffix(".weight"))
        if name == "to_rgb.weight":
            shape = (*shape, 1, 1)
        elif patch is not None:
            shape = (shape[0], shape[1] // patch**2, patch, patch)
        found[name] = Place(released, shape, tuple(tensor.shape))
    return found


def to_released(state: State, places: Places) -> State:
    """Our state dict in the released names and shapes."""
    return {place.name: state[name].reshape(place.shape) for name, place in places.items()}


def computed(network: nn.Module, places: Places) -> State:
    """The released `relative_position_index` tensors (n, n) of a network, by their released names."""
    found = {}
    for name, module in network.named_modules():
        if isinstance(module, RelativePosition):
            released = places[f"{name}.table"].name.removesuffix("_bias_table")
            found[f"{released}_index"] = module.index.unflatten(0, (module.height * module.width, -1)).clone()
    return found


def learned(state: State) -> State:
    """A released state dict without the prefix of several GPUs and without what is computed."""
    plain = {name.removeprefix(PREFIX): tensor for name, tensor in state.items()}
    return {name: tensor for name, tensor in plain.items() if not COMPUTED.fullmatch(name)}


def differences(state: State, places: Places) -> list[str]:
    """What keeps a learned state dict from fitting, a phrase each, in the network's order; empty where it fits."""
    found = []
    for place in places.values():
        tensor = state.get(place.name)
        if tensor is None:
            found.append(f"{place.name} {place.shape} is missing")
        elif tuple(tensor.shape) != place.shape:
            found.append(f"{place.name} is {tuple(tensor.shape)} instead of {place.shape}")
        elif not tensor.is_floating_point() and not place.name.endswith("num_batches_tracked"):
            found.append(f"{place.name} holds {tensor.dtype} instead of floating-point numbers")
        elif not tensor.isfinite().all():
            found.append(f"{place.name} has values that are not finite")
    known = {place.name for place in places.values()}
    return found + [f"{name} {tuple(tensor.shape)} is unknown" for name, tensor in state.items() if name not in known]
