"""Settings of residual convolutional networks, as a person writes them in params.yaml, and the published networks.

`preset` names a published network; every other setting is null (what the preset has) or takes its place.

wgan_gp   Gulrajani et al. 2017, gan_cifar_resnet.py, its unconditional branch. No geometry for 48 x 48 was published:
          here it is that of 32 x 32 on a first map of 6 x 6.
sngan     Miyato et al. 2018, its ResNets for CIFAR-10 and for STL-10. The last linear layer has a bias, as in the
          mimicry library; the authors' program has none (`head_bias: false`).
autogan   Gong et al. 2019: the three cells that the search found, the same at 48 x 48 on a first map of 6 x 6.

At 8 x 8 they are small networks of the same make, for the digits.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from pipeline.base.schema import Strict

Preset = Literal["wgan_gp", "sngan", "autogan"]
Norm = Literal["batch", "none"]
Upsample = Literal["nearest", "bilinear"]
Pooling = Literal["mean", "sum"]
Init = Literal["he", "xavier"]
Positive = Annotated[int, Field(ge=1)]
Gain = Annotated[float, Field(gt=0)]


class Cell(Strict):
    """An up-block of the generator; it doubles the side."""

    width: Positive  # channels
    upsample: Upsample
    shortcut: bool  # a 1 x 1 convolution of the upsampled input, added to the output
    skips: list[
        Annotated[int, Field(ge=0)]
    ] = []  # earlier cells, from 0, whose first feature map is added to this one's


class Block(Strict):
    """A block of the discriminator."""

    width: Positive  # channels
    downsample: bool  # 2 x 2 average pooling at its end


class GeneratorSettings(Strict):
    """`model.generator.resnet`."""

    family: Literal["resnet"] = "resnet"
    preset: Preset
    latent_dim: Positive | None = None  # z ~ N(0, I); 128 (64 at 8 x 8)
    base_side: Positive | None = None  # pixels a side of the first feature map; 4 at 32 x 32, 6 at 48 x 48, 2 at 8 x 8
    width: Positive | None = None  # channels of the first feature map; the preset's cells keep their ratio to it
    cells: Annotated[list[Cell], Field(min_length=1)] | None = None
    norm: Norm | None = None  # before both convolutions of every cell
    rgb_norm: Norm | None = None  # before the convolution to RGB
    tanh: bool | None = None  # pixels squashed into (-1, 1)
    init: Init | None = None  # see `pipeline.networks.resnet.blocks.initialise`
    residual_gain: Gain | None = None  # of the 3 x 3 convolutions in cells; null with `init` given: that scheme's own


class DiscriminatorSettings(Strict):
    """`model.discriminator.resnet`."""

    family: Literal["resnet"] = "resnet"
    preset: Preset
    width: Positive | None = None  # channels of the last block; the preset's other blocks keep their ratio to it
    blocks: Annotated[list[Block], Field(min_length=1)] | None = None
    spectral_norm: bool | None = None  # every weight divided by its largest singular value (Miyato et al. 2018)
    pooling: Pooling | None = None  # of the last feature map, over its pixels
    head_bias: bool | None = None  # whether the last linear layer has one
    init: Init | None = None
    residual_gain: Gain | None = None


GAINS: dict[Init, float] = {"he": math.sqrt(2), "xavier": 1.0}  # of 3 x 3 convolutions inside blocks


@dataclass(frozen=True, kw_only=True)
class GeneratorGeometry:
    """Sizes of a published generator at one resolution."""

    latent_dim: int
    base_side: int
    width: int  # of the first feature map
    cells: list[Cell]


@dataclass(frozen=True, kw_only=True)
class GeneratorPreset:
    """What a published generator is at every resolution: norms, output, initial weights."""

    norm: Norm
    rgb_norm: Norm
    tanh: bool
    init: Init
    at: dict[int, GeneratorGeometry]  # resolution -> geometry


@dataclass(frozen=True, kw_only=True)
class DiscriminatorPreset:
    """What a published discriminator is at every resolution."""

    spectral_norm: bool
    pooling: Pooling
    head_bias: bool
    init: Init
    at: dict[int, list[Block]]  # resolution -> blocks


def _plain(*widths: int) -> list[Cell]:
    return [Cell(width=width, upsample="nearest", shortcut=True) for width in widths]


def _found(width: int, count: int = 3) -> list[Cell]:
    """The first `count` cells that AutoGAN's search found."""
    rows: list[tuple[Upsample, bool, list[int]]] = [
        ("nearest", True, []),
        ("bilinear", True, [0]),
        ("nearest", False, [0, 1]),
    ]
    return [
        Cell(width=width, upsample=upsample, shortcut=shortcut, skips=skips)
        for upsample, shortcut, skips in rows[:count]
    ]


def _geometry(base_side: int, width: int, cells: list[Cell], latent_dim: int = 128) -> GeneratorGeometry:
    return GeneratorGeometry(latent_dim=latent_dim, base_side=base_side, width=width, cells=cells)


def _blocks(*widths: int, down: int) -> list[Block]:
    """Blocks of these widths, the first `down` of them halving the side."""
    return [Block(width=width, downsample=index < down) for index, width in enumerate(widths)]


GENERATORS: dict[Preset, GeneratorPreset] = {
    "wgan_gp": GeneratorPreset(
        norm="batch",
        rgb_norm="batch",
        tanh=True,
        init="he",
        at={
            8: _geometry(2, 64, _plain(64, 64), latent_dim=64),
            32: _geometry(4, 128, _plain(128, 128, 128)),
            48: _geometry(6, 128, _plain(128, 128, 128)),
        },
    ),
    "sngan": GeneratorPreset(
        norm="batch",
        rgb_norm="batch",
        tanh=True,
        init="he",
        at={
            8: _geometry(2, 64, _plain(64, 64), latent_dim=64),
            32: _geometry(4, 256, _plain(256, 256, 256)),
            48: _geometry(6, 512, _plain(256, 128, 64)),
        },
    ),
    "autogan": GeneratorPreset(
        norm="none",
        rgb_norm="batch",
        tanh=True,
        init="xavier",
        at={
            8: _geometry(2, 64, _found(64, 2), latent_dim=64),
            32: _geometry(4, 256, _found(256)),
            48: _geometry(6, 256, _found(256)),
        },
    ),
}

_AT_32 = _blocks(128, 128, 128, 128, down=2)
_AT_8 = _blocks(64, 64, down=1)

DISCRIMINATORS: dict[Preset, DiscriminatorPreset] = {
    "wgan_gp": DiscriminatorPreset(
        spectral_norm=False, pooling="mean", head_bias=True, init="he", at={8: _AT_8, 32: _AT_32, 48: _AT_32}
    ),
    "sngan": DiscriminatorPreset(
        spectral_norm=True,
        pooling="sum",
        head_bias=True,
        init="he",
        at={8: _AT_8, 32: _AT_32, 48: _blocks(64, 128, 256, 512, 1024, down=4)},
    ),
    "autogan": DiscriminatorPreset(
        spectral_norm=True, pooling="sum", head_bias=False, init="xavier", at={8: _AT_8, 32: _AT_32, 48: _AT_32}
    ),
}
