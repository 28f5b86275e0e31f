"""Residual convolutional GANs: settings as a person writes them, the published networks, and networks resolved.

`preset` names a published network; every other setting is null (what the preset has) or takes its place.

wgan_gp   Gulrajani et al. 2017, gan_cifar_resnet.py, its unconditional branch. No geometry for 48 x 48 was published:
          here it is that of 32 x 32 on a first map of 6 x 6.
sngan     Miyato et al. 2018, its ResNets for CIFAR-10 and for STL-10. The last linear layer has a bias, as in the
          mimicry library; the authors' program has none (`head_bias: false`).
autogan   Gong et al. 2019: the three cells that the search found, the same at 48 x 48 on a first map of 6 x 6.

At 8 x 8 they are small networks of the same make, for the digits. In a resolved network what cannot matter has one
value (how a 1 x 1 map is upsampled, how it is pooled), so that equal networks have equal specs.
"""

import math
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from pipeline.base.schema import Strict
from pipeline.networks import spec as base
from pipeline.networks.spec import Impossible, Positive, given_values
from pipeline.networks.transgan.spec import SharedSettings

GENERATOR = "pipeline.networks.resnet.networks:Generator"
DISCRIMINATOR = "pipeline.networks.resnet.networks:Discriminator"
USES_SHARED = False
RECOMPUTES = True

Preset = Literal["wgan_gp", "sngan", "autogan"]
Norm = Literal["batch", "none"]
Upsample = Literal["nearest", "bilinear"]
Pooling = Literal["mean", "sum"]
Init = Literal["he", "xavier"]
Gain = Annotated[float, Field(gt=0)]
GAINS: dict[Init, float] = {"he": math.sqrt(2), "xavier": 1.0}  # of 3 x 3 convolutions inside blocks


class Cell(Strict):
    """An up-block of the generator; it doubles the side."""

    width: Positive  # channels
    upsample: Upsample
    shortcut: bool  # a 1 x 1 convolution of the upsampled input, added to the output
    # Earlier cells, from 0, whose first feature map is added to this one's.
    skips: list[Annotated[int, Field(ge=0)]] = []


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


def _plain(*widths: int) -> list[Cell]:
    return [Cell(width=width, upsample="nearest", shortcut=True) for width in widths]


def _searched(width: int) -> list[Cell]:
    """The cells that AutoGAN's search found."""
    return [
        Cell(width=width, upsample="nearest", shortcut=True),
        Cell(width=width, upsample="bilinear", shortcut=True, skips=[0]),
        Cell(width=width, upsample="nearest", shortcut=False, skips=[0, 1]),
    ]


def _blocks(*widths: int, down: int) -> list[Block]:
    """Blocks of these widths, the first `down` of them halving the side."""
    return [Block(width=width, downsample=index < down) for index, width in enumerate(widths)]


_AT_8, _AT_32 = _blocks(64, 64, down=1), _blocks(128, 128, 128, 128, down=2)
# Preset -> what it is at every resolution, and by resolution: width of the first feature map, cells | blocks.
GENERATORS: dict[Preset, tuple[dict[str, Any], dict[int, tuple[int, list[Cell]]]]] = {
    "wgan_gp": (
        {"norm": "batch", "rgb_norm": "batch", "tanh": True, "init": "he"},
        {8: (64, _plain(64, 64)), 32: (128, _plain(128, 128, 128)), 48: (128, _plain(128, 128, 128))},
    ),
    "sngan": (
        {"norm": "batch", "rgb_norm": "batch", "tanh": True, "init": "he"},
        {8: (64, _plain(64, 64)), 32: (256, _plain(256, 256, 256)), 48: (512, _plain(256, 128, 64))},
    ),
    "autogan": (
        {"norm": "none", "rgb_norm": "batch", "tanh": True, "init": "xavier"},
        {8: (64, _searched(64)[:2]), 32: (256, _searched(256)), 48: (256, _searched(256))},
    ),
}
DISCRIMINATORS: dict[Preset, tuple[dict[str, Any], dict[int, list[Block]]]] = {
    "wgan_gp": (
        {"spectral_norm": False, "pooling": "mean", "head_bias": True, "init": "he"},
        {8: _AT_8, 32: _AT_32, 48: _AT_32},
    ),
    "sngan": (
        {"spectral_norm": True, "pooling": "sum", "head_bias": True, "init": "he"},
        {8: _AT_8, 32: _AT_32, 48: _blocks(64, 128, 256, 512, 1024, down=4)},
    ),
    "autogan": (
        {"spectral_norm": True, "pooling": "sum", "head_bias": False, "init": "xavier"},
        {8: _AT_8, 32: _AT_32, 48: _AT_32},
    ),
}


class CellSpec(Cell):
    """An up-block: `inputs` channels at half of `side` -> `width` channels at `side`."""

    side: Positive
    inputs: Positive
    norm: Norm


class BlockSpec(Block):
    """A block of D: `inputs` channels at `side` -> `width` channels there, or at half of it with `downsample`."""

    side: Positive
    inputs: Positive


class GeneratorSpec(base.GeneratorSpec):
    """A residual generator, every number explicit."""

    family: Literal["resnet"] = "resnet"
    base_side: Positive
    width: Positive  # of the first feature map
    cells: list[CellSpec]
    rgb_norm: Norm
    tanh: bool
    init: Init
    residual_gain: Gain

    @property
    def batch_statistics(self) -> bool:
        return self.rgb_norm == "batch" or any(cell.norm == "batch" for cell in self.cells)


class DiscriminatorSpec(base.DiscriminatorSpec):
    """A residual discriminator, every number explicit."""

    family: Literal["resnet"] = "resnet"
    blocks: list[BlockSpec]
    spectral_norm: bool
    pooling: Pooling
    head_bias: bool
    init: Init
    residual_gain: Gain


def resolve_generator(
    settings: GeneratorSettings, shared: SharedSettings, *, resolution: int, channels: int
) -> GeneratorSpec:
    """Spell out the generator for images of `resolution` x `resolution`.

    Errors: `Impossible` for a resolution that the preset does not have, cells that do not end there, a width that the
    preset's cells cannot keep their ratio to, and skips from cells that do not come before.
    """
    (preset, at), key = GENERATORS[settings.preset], "model.generator"
    if resolution not in at and (settings.cells is None or settings.base_side is None):
        raise _no_geometry(f"{key}.preset", settings.preset, [*at], resolution, "base_side and cells of your own")
    usual, cells = at.get(resolution, (0, []))
    latent_dim, base_side = 64 if resolution == 8 else 128, resolution // 2 ** len(cells)
    values = {"latent_dim": latent_dim, "base_side": base_side, **preset, **given_values(settings)}
    if settings.cells is None:
        values["width"] = settings.width or usual
        values["cells"] = [_scaled(cell, values["width"], usual, f"{key}.width") for cell in cells]
    cells, norm, base_side = values["cells"], values.pop("norm"), values["base_side"]
    if base_side * 2 ** len(cells) != resolution:
        allowed = f"a side that {len(cells)} doublings take to the resolution, {resolution}"
        raise Impossible(f"{key}.base_side", base_side, allowed)
    values.setdefault("width", cells[0].width)
    inputs, resolved = values["width"], []
    for index, cell in enumerate(cells):
        if sorted(set(cell.skips)) != cell.skips or any(skip >= index for skip in cell.skips):
            raise Impossible(f"{key}.cells.{index}.skips", cell.skips, "rising numbers of earlier cells, from 0")
        side, kept = base_side * 2 ** (index + 1), cell.model_dump()
        kept["upsample"] = cell.upsample if side > 2 else "nearest"
        resolved.append(CellSpec(side=side, inputs=inputs, norm=norm, **kept))
        inputs = cell.width
    return _complete(GeneratorSpec, values, cells=resolved)


def resolve_discriminator(
    settings: DiscriminatorSettings, shared: SharedSettings, *, resolution: int, channels: int
) -> DiscriminatorSpec:
    """Spell out the discriminator for images of `resolution` x `resolution`.

    Errors: `Impossible` as for the generator, and where a block would halve an odd side.
    """
    (preset, at), key = DISCRIMINATORS[settings.preset], "model.discriminator"
    blocks = settings.blocks
    if resolution not in at and blocks is None:
        raise _no_geometry(f"{key}.preset", settings.preset, [*at], resolution, "blocks of your own")
    if blocks is not None and settings.width is not None:
        raise Impossible(f"{key}.width", settings.width, "null with blocks of your own, which have their widths")
    if blocks is None:
        last = at[resolution][-1].width
        blocks = [_scaled(block, settings.width or last, last, f"{key}.width") for block in at[resolution]]
    side, inputs, resolved = resolution, channels, []
    for index, block in enumerate(blocks):
        if block.downsample and side % 2:
            raise Impossible(f"{key}.blocks.{index}.downsample", True, f"false: its map of {side} x {side} has no half")
        resolved.append(BlockSpec(side=side, inputs=inputs, **block.model_dump()))
        side, inputs = side // (2 if block.downsample else 1), block.width
    values = preset | given_values(settings)
    values.pop("width", None)
    if side == 1:
        values["pooling"] = "mean"
    return _complete(DiscriminatorSpec, values, blocks=resolved)


Spec = TypeVar("Spec", GeneratorSpec, DiscriminatorSpec)
Part = TypeVar("Part", Cell, Block)


def _complete(schema: type[Spec], values: dict[str, Any], **parts: Any) -> Spec:
    gain = {"residual_gain": GAINS[values["init"]]}
    return schema(**{name: value for name, value in (gain | values | parts).items() if name != "preset"})


def _no_geometry(key: str, preset: str, sizes: list[int], resolution: int, otherwise: str) -> Impossible:
    have = " | ".join(map(str, sizes))
    allowed = f"images of {have} pixels a side, which presets are for, or {otherwise}; these have {resolution}"
    return Impossible(key, preset, allowed)


def _scaled(part: Part, width: int, usual: int, key: str) -> Part:
    """`part` of a preset as wide in relation to `width` as it is to `usual`."""
    scaled, rest = divmod(part.width * width, usual)
    if rest or not scaled:
        raise Impossible(key, width, f"a width of which {part.width}/{usual} is a whole number of channels")
    return part.model_copy(update={"width": scaled})
