"""Residual convolutional GANs: settings as a person writes them, the published networks, and networks resolved.

`preset` names a published network; the other settings replace parts of its geometry.

wgan_gp   Gulrajani et al. 2017, gan_cifar_resnet.py, its unconditional branch. No geometry for 48 x 48 was published:
          here it is that of 32 x 32 on a first map of 6 x 6.
sngan     Miyato et al. 2018, its ResNets for CIFAR-10 and for STL-10. The last linear layer has a bias, as in the
          mimicry library; the authors' program has none.
autogan   Gong et al. 2019: the three cells that the search found, the same at 48 x 48 on a first map of 6 x 6.

At 8 x 8 they are small networks of the same make, for the digits.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.base.schema import Strict
from pipeline.networks import spec as base
from pipeline.networks.spec import Impossible, Positive, given_values

GENERATOR = "pipeline.networks.resnet.networks:Generator"
DISCRIMINATOR = "pipeline.networks.resnet.networks:Discriminator"
USES_SHARED = False
RECOMPUTES = True

Preset = Literal["wgan_gp", "sngan", "autogan"]
Init = Literal["he", "xavier"]


class Cell(Strict):
    """An up-block of the generator; it doubles the side."""

    width: Positive  # channels
    upsample: Literal["nearest", "bilinear"]
    shortcut: bool  # a 1 x 1 convolution of the upsampled input, added to the output
    # Earlier cells, from 0, whose first feature map is added to this one's.
    skips: list[Annotated[int, Field(ge=0)]] = []


class Block(Strict):
    """A block of the discriminator."""

    width: Positive  # channels
    downsample: bool  # 2 x 2 average pooling at its end


class GeneratorSettings(Strict):
    """`model.generator.resnet`."""

    preset: Preset
    latent_dim: Positive | None = None  # z ~ N(0, I); 128 (64 at 8 x 8)
    base_side: Positive | None = None  # pixels a side of the first feature map; 4 at 32 x 32, 6 at 48 x 48, 2 at 8 x 8
    width: Positive | None = None  # channels of the first feature map; null with `cells`: those of the first
    cells: Annotated[list[Cell], Field(min_length=1)] | None = None


class DiscriminatorSettings(Strict):
    """`model.discriminator.resnet`."""

    preset: Preset
    blocks: Annotated[list[Block], Field(min_length=1)] | None = None


class GeneratorSpec(base.GeneratorSpec):
    """A residual generator, every number explicit."""

    family: Literal["resnet"] = "resnet"
    base_side: Positive
    width: Positive  # of the first feature map
    cells: list[Cell]
    norm: Literal["batch", "none"]  # before both convolutions of every cell
    init: Init  # see `pipeline.networks.resnet.networks.initialise`

    @property
    def batch_statistics(self) -> bool:
        return True  # a batch norm stands before the convolution to RGB


class DiscriminatorSpec(base.DiscriminatorSpec):
    """A residual discriminator, every number explicit."""

    family: Literal["resnet"] = "resnet"
    blocks: list[Block]
    spectral_norm: bool  # every weight divided by its largest singular value (Miyato et al. 2018)
    pooling: Literal["mean", "sum"]  # of the last feature map, over its pixels
    head_bias: bool  # whether the last linear layer has one
    init: Init


def _cells(*widths: int, first: int) -> tuple[int, list[Cell]]:
    return first, [Cell(width=width, upsample="nearest", shortcut=True) for width in widths]


def _searched(width: int) -> tuple[int, list[Cell]]:
    """The cells that AutoGAN's search found."""
    cells = _cells(width, width, width, first=width)[1]
    second = cells[1].model_copy(update={"upsample": "bilinear", "skips": [0]})
    third = cells[2].model_copy(update={"shortcut": False, "skips": [0, 1]})
    return width, [cells[0], second, third]


def _blocks(*widths: int, down: int) -> list[Block]:
    """Blocks of these widths, the first `down` of them halving the side."""
    return [Block(width=width, downsample=index < down) for index, width in enumerate(widths)]


_G_8, _G_32 = _cells(64, 64, first=64), _cells(128, 128, 128, first=128)
_D_8, _D_32 = _blocks(64, 64, down=1), _blocks(128, 128, 128, 128, down=2)
# Preset -> what it is at every resolution, and by resolution: width of the first feature map and cells | blocks.
GENERATORS: dict[Preset, tuple[dict[str, Any], dict[int, tuple[int, list[Cell]]]]] = {
    "wgan_gp": ({"norm": "batch", "init": "he"}, {8: _G_8, 32: _G_32, 48: _G_32}),
    "sngan": (
        {"norm": "batch", "init": "he"},
        {8: _G_8, 32: _cells(256, 256, 256, first=256), 48: _cells(256, 128, 64, first=512)},
    ),
    "autogan": (
        {"norm": "none", "init": "xavier"},
        {8: (64, _searched(64)[1][:2]), 32: _searched(256), 48: _searched(256)},
    ),
}
DISCRIMINATORS: dict[Preset, tuple[dict[str, Any], dict[int, list[Block]]]] = {
    "wgan_gp": (
        {"spectral_norm": False, "pooling": "mean", "head_bias": True, "init": "he"},
        {8: _D_8, 32: _D_32, 48: _D_32},
    ),
    "sngan": (
        {"spectral_norm": True, "pooling": "sum", "head_bias": True, "init": "he"},
        {8: _D_8, 32: _D_32, 48: _blocks(64, 128, 256, 512, 1024, down=4)},
    ),
    "autogan": (
        {"spectral_norm": True, "pooling": "sum", "head_bias": False, "init": "xavier"},
        {8: _D_8, 32: _D_32, 48: _D_32},
    ),
}


def resolve_generator(own: GeneratorSettings, shared: Any, resolution: int, channels: int) -> GeneratorSpec:
    """Errors: `Impossible` for a resolution that the preset does not have, cells that do not end there, and skips from
    cells that do not come before.
    """
    (fixed, at), key = GENERATORS[own.preset], "model.generator"
    if resolution not in at and (own.cells is None or own.base_side is None):
        raise _no_geometry(key, own.preset, at, resolution, "base_side and cells of your own")
    width, cells = (own.cells[0].width, own.cells) if own.cells else at[resolution]
    sizes = {"latent_dim": 64 if resolution == 8 else 128, "base_side": resolution // 2 ** len(cells), "width": width}
    values = {**sizes, "cells": cells, **fixed, **given_values(own)}
    if values["base_side"] * 2 ** len(cells) != resolution:
        allowed = f"a side that {len(cells)} doublings take to the resolution, {resolution}"
        raise Impossible(f"{key}.base_side", values["base_side"], allowed)
    for index, cell in enumerate(cells):
        if sorted(set(cell.skips)) != cell.skips or any(skip >= index for skip in cell.skips):
            raise Impossible(f"{key}.cells.{index}.skips", cell.skips, "rising numbers of earlier cells, from 0")
    del values["preset"]
    return GeneratorSpec(**values)


def resolve_discriminator(own: DiscriminatorSettings, shared: Any, resolution: int, channels: int) -> DiscriminatorSpec:
    """Errors: `Impossible` for a resolution that the preset does not have, and for a block that halves an odd side."""
    (fixed, at), key, side = DISCRIMINATORS[own.preset], "model.discriminator", resolution
    if resolution not in at and own.blocks is None:
        raise _no_geometry(key, own.preset, at, resolution, "blocks of your own")
    blocks = own.blocks or at[resolution]
    for index, block in enumerate(blocks):
        if block.downsample and side % 2:
            raise Impossible(f"{key}.blocks.{index}.downsample", True, f"false: its map of {side} x {side} has no half")
        side //= 2 if block.downsample else 1
    return DiscriminatorSpec(blocks=blocks, **fixed)


def _no_geometry(key: str, preset: str, at: dict[int, Any], resolution: int, otherwise: str) -> Impossible:
    sizes = f"images of {' | '.join(map(str, at))} pixels a side, which presets are for"
    return Impossible(f"{key}.preset", preset, f"{sizes}, or {otherwise}; these have {resolution}")
