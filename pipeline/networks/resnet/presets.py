"""The published residual GANs, by resolution.

wgan_gp   Gulrajani et al. 2017, gan_cifar_resnet.py, its unconditional branch. No geometry for 48 x 48 was published:
          here it is that of 32 x 32 on a first map of 6 x 6.
sngan     Miyato et al. 2018, its ResNets for CIFAR-10 and for STL-10. The last linear layer has a bias, as in the
          mimicry library; the authors' program has none (`head_bias: false`).
autogan   Gong et al. 2019: the three cells that the search found, the same at 48 x 48 on a first map of 6 x 6.

At 8 x 8 they are small networks of the same make, for the digits.
"""

import math
from dataclasses import dataclass

from pipeline.networks.resnet.config import Block, Cell, Init, Norm, Pooling, Preset, Upsample

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
