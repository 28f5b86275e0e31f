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


def _cells(*widths: int) -> list[Cell]:
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
_BATCH_NORM = {"norm": "batch", "rgb_norm": "batch", "tanh": True, "init": "he"}
_NO_NORM = {"norm": "none", "rgb_norm": "batch", "tanh": True, "init": "xavier"}
_MEAN = {"spectral_norm": False, "pooling": "mean", "head_bias": True, "init": "he"}
_SUM = {"spectral_norm": True, "pooling": "sum"}
# Preset -> what it is at every resolution, and by resolution: width of the first feature map and cells | blocks.
GENERATORS: dict[Preset, tuple[dict[str, Any], dict[int, tuple[int, list[Cell]]]]] = {
    "wgan_gp": (_BATCH_NORM, {8: (64, _cells(64, 64)), **{side: (128, _cells(128, 128, 128)) for side in (32, 48)}}),
    "sngan": (
        _BATCH_NORM,
        {8: (64, _cells(64, 64)), 32: (256, _cells(256, 256, 256)), 48: (512, _cells(256, 128, 64))},
    ),
    "autogan": (_NO_NORM, {8: (64, _searched(64)[:2]), 32: (256, _searched(256)), 48: (256, _searched(256))}),
}
DISCRIMINATORS: dict[Preset, tuple[dict[str, Any], dict[int, list[Block]]]] = {
    "wgan_gp": (_MEAN, {8: _AT_8, 32: _AT_32, 48: _AT_32}),
    "sngan": (
        {**_SUM, "head_bias": True, "init": "he"},
        {8: _AT_8, 32: _AT_32, 48: _blocks(64, 128, 256, 512, 1024, down=4)},
    ),
    "autogan": ({**_SUM, "head_bias": False, "init": "xavier"}, {8: _AT_8, 32: _AT_32, 48: _AT_32}),
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


def resolve_generator(own: GeneratorSettings, shared: Any, resolution: int, channels: int) -> GeneratorSpec:
    """Errors: `Impossible` for a resolution that the preset does not have, cells that do not end there, a width that
    the preset's cells cannot keep their ratio to, and skips from cells that do not come before.
    """
    (preset, at), key = GENERATORS[own.preset], "model.generator"
    if resolution not in at and (own.cells is None or own.base_side is None):
        raise _no_geometry(key, own, at, resolution, "base_side and cells of your own")
    usual, cells = at.get(resolution, (0, []))
    sizes = {"latent_dim": 64 if resolution == 8 else 128, "base_side": resolution // 2 ** len(cells)}
    values = {**sizes, **preset, **given_values(own)}
    if own.cells is None:
        values["width"] = own.width or usual
        values["cells"] = [_scaled(cell, values["width"], usual, key) for cell in cells]
    cells, norm, base_side = values.pop("cells"), values.pop("norm"), values["base_side"]
    if base_side * 2 ** len(cells) != resolution:
        allowed = f"a side that {len(cells)} doublings take to the resolution, {resolution}"
        raise Impossible(f"{key}.base_side", base_side, allowed)
    inputs = values.setdefault("width", cells[0].width)
    resolved = []
    for index, cell in enumerate(cells):
        if sorted(set(cell.skips)) != cell.skips or any(skip >= index for skip in cell.skips):
            raise Impossible(f"{key}.cells.{index}.skips", cell.skips, "rising numbers of earlier cells, from 0")
        side = base_side * 2 ** (index + 1)
        upsample = {} if side > 2 else {"upsample": "nearest"}
        resolved.append(CellSpec(side=side, inputs=inputs, norm=norm, **cell.model_dump() | upsample))
        inputs = cell.width
    return GeneratorSpec(**_with_gain(values), cells=resolved)


def resolve_discriminator(own: DiscriminatorSettings, shared: Any, resolution: int, channels: int) -> DiscriminatorSpec:
    """Errors: `Impossible` as for the generator, and where a block would halve an odd side."""
    (preset, at), key, blocks = DISCRIMINATORS[own.preset], "model.discriminator", own.blocks
    if resolution not in at and blocks is None:
        raise _no_geometry(key, own, at, resolution, "blocks of your own")
    if blocks is not None and own.width is not None:
        raise Impossible(f"{key}.width", own.width, "null with blocks of your own, which have their widths")
    if blocks is None:
        last = at[resolution][-1].width
        blocks = [_scaled(block, own.width or last, last, key) for block in at[resolution]]
    side, inputs, resolved = resolution, channels, []
    for index, block in enumerate(blocks):
        if block.downsample and side % 2:
            raise Impossible(f"{key}.blocks.{index}.downsample", True, f"false: its map of {side} x {side} has no half")
        resolved.append(BlockSpec(side=side, inputs=inputs, **block.model_dump()))
        side, inputs = side // (2 if block.downsample else 1), block.width
    values = preset | given_values(own) | ({"pooling": "mean"} if side == 1 else {})
    values = {name: value for name, value in values.items() if name not in ("width", "blocks")}
    return DiscriminatorSpec(**_with_gain(values), blocks=resolved)


def _with_gain(values: dict[str, Any]) -> dict[str, Any]:
    """A spec's values: the gain of the scheme of the initial weights where none is given, and no preset."""
    gain = values.get("residual_gain") or GAINS[values["init"]]
    return {name: value for name, value in values.items() if name != "preset"} | {"residual_gain": gain}


def _no_geometry(key: str, own: Any, at: dict[int, Any], resolution: int, otherwise: str) -> Impossible:
    sizes = f"images of {' | '.join(map(str, at))} pixels a side, which presets are for"
    return Impossible(f"{key}.preset", own.preset, f"{sizes}, or {otherwise}; these have {resolution}")


def _scaled(part: Any, width: int, usual: int, key: str) -> Any:
    """The `Cell` or `Block` of a preset, as wide in relation to `width` as it is to `usual`."""
    scaled, rest = divmod(part.width * width, usual)
    if rest or not scaled:
        allowed = f"a width of which {part.width}/{usual} is a whole number of channels"
        raise Impossible(f"{key}.width", width, allowed)
    return part.model_copy(update={"width": scaled})
