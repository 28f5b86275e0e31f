"""Residual convolutional GANs: settings as a person writes them, the published networks, and networks resolved.

`preset` names a published network; the other settings replace parts of its geometry.

wgan_gp   Gulrajani et al. 2017, gan_cifar_resnet.py, its unconditional branch. No geometry for 48 x 48 was published:
          here it is that of 32 x 32 on a first map of 6 x 6.
sngan     Miyato et al. 2018, its ResNets for CIFAR-10 and for STL-10. The last linear layer has a bias, as in the
          mimicry library; the authors' program has none.
autogan   Gong et al. 2019: the three cells that the search found, the same at 48 x 48 on a first map of 6 x 6.

At 8 x 8 they are small networks of the same make, for the digits.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from pipeline.base.schema import Strict
from pipeline.networks import spec as base
from pipeline.networks.spec import Impossible, Positive

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

    batch_statistics: ClassVar[bool] = True  # a batch norm stands before the convolution to RGB


class DiscriminatorSpec(base.DiscriminatorSpec):
    """A residual discriminator, every number explicit."""

    family: Literal["resnet"] = "resnet"
    blocks: list[Block]
    spectral_norm: bool  # every weight divided by its largest singular value (Miyato et al. 2018)
    pooling: Literal["mean", "sum"]  # of the last feature map, over its pixels
    head_bias: bool  # whether the last linear layer has one
    init: Init


# What the three cells of AutoGAN change in a plain one: nearest, with a shortcut, without skips.
SEARCHED: list[dict[str, Any]] = [{}, {"upsample": "bilinear", "skips": [0]}, {"shortcut": False, "skips": [0, 1]}]
# Resolution -> channels of the first feature map and of every cell.
GENERATORS: dict[Preset, dict[int, tuple[int, ...]]] = {
    "wgan_gp": {8: (64, 64, 64), 32: (128, 128, 128, 128), 48: (128, 128, 128, 128)},
    "sngan": {8: (64, 64, 64), 32: (256, 256, 256, 256), 48: (512, 256, 128, 64)},
    "autogan": {8: (64, 64, 64), 32: (256, 256, 256, 256), 48: (256, 256, 256, 256)},
}
# Resolution -> how many of the blocks halve the side, the first ones, and channels of every block.
_BLOCKS = {8: (1, (64, 64)), 32: (2, (128, 128, 128, 128)), 48: (2, (128, 128, 128, 128))}
_DEEP = {48: (4, (64, 128, 256, 512, 1024))}
DISCRIMINATORS: dict[Preset, Any] = {"wgan_gp": _BLOCKS, "sngan": _BLOCKS | _DEEP, "autogan": _BLOCKS}


def resolve_generator(own: GeneratorSettings, shared: Any, resolution: int, channels: int) -> GeneratorSpec:
    """Errors: `Impossible` for a resolution that the preset does not have, cells that do not end there, and skips from
    cells that do not come before.
    """
    at, key, searched = GENERATORS[own.preset], "model.generator", own.preset == "autogan"
    if resolution not in at and (own.cells is None or own.base_side is None):
        raise _no_geometry(key, own.preset, at, resolution, "base_side and cells of your own")
    plain: dict[str, Any] = {"upsample": "nearest", "shortcut": True}
    cells = own.cells or [
        Cell(**plain | (SEARCHED[index] if searched else {}), width=width)
        for index, width in enumerate(at[resolution][1:])
    ]
    base_side = own.base_side or resolution // 2 ** len(cells)
    if base_side * 2 ** len(cells) != resolution:
        allowed = f"a side that {len(cells)} doublings take to the resolution, {resolution}"
        raise Impossible(f"{key}.base_side", base_side, allowed)
    for index, cell in enumerate(cells):
        if sorted(set(cell.skips)) != cell.skips or any(skip >= index for skip in cell.skips):
            raise Impossible(f"{key}.cells.{index}.skips", cell.skips, "rising numbers of earlier cells, from 0")
    return GeneratorSpec(
        latent_dim=own.latent_dim or (64 if resolution == 8 else 128),
        base_side=base_side,
        width=own.width or (cells[0].width if own.cells else at[resolution][0]),
        cells=cells,
        norm="none" if searched else "batch",
        init="xavier" if searched else "he",
    )


def resolve_discriminator(own: DiscriminatorSettings, shared: Any, resolution: int, channels: int) -> DiscriminatorSpec:
    """Errors: `Impossible` for a resolution that the preset does not have, and for a block that halves an odd side."""
    at, key, side, blocks = DISCRIMINATORS[own.preset], "model.discriminator", resolution, own.blocks
    if blocks is None and resolution not in at:
        raise _no_geometry(key, own.preset, at, resolution, "blocks of your own")
    if blocks is None:
        halving, widths = at[resolution]
        blocks = [Block(width=width, downsample=index < halving) for index, width in enumerate(widths)]
    for index, block in enumerate(blocks):
        if block.downsample and side % 2:
            raise Impossible(f"{key}.blocks.{index}.downsample", True, f"false: its map of {side} x {side} has no half")
        side //= 2 if block.downsample else 1
    return DiscriminatorSpec(
        blocks=blocks,
        spectral_norm=own.preset != "wgan_gp",
        pooling="mean" if own.preset == "wgan_gp" else "sum",
        head_bias=own.preset != "autogan",
        init="xavier" if own.preset == "autogan" else "he",
    )


def _no_geometry(key: str, preset: str, at: dict[int, Any], resolution: int, otherwise: str) -> Impossible:
    sizes = f"images of {' | '.join(map(str, at))} pixels a side, which presets are for"
    return Impossible(f"{key}.preset", preset, f"{sizes}, or {otherwise}; these have {resolution}")
