"""Residual convolutional GANs (WGAN-GP's and SNGAN's ResNets, AutoGAN) resolved: every block in plain numbers.

Canonical: the preset's name does not appear, and what cannot matter has one value (how a 1 x 1 map is upsampled, how it
is pooled), so that equal networks have equal specs.
"""

from typing import Literal, TypeVar

from pipeline.base.schema import Strict
from pipeline.networks import spec as base
from pipeline.networks.resnet.config import (
    DISCRIMINATORS,
    GAINS,
    GENERATORS,
    Block,
    Cell,
    DiscriminatorSettings,
    Gain,
    GeneratorSettings,
    Init,
    Norm,
    Pooling,
    Positive,
    Upsample,
)
from pipeline.networks.spec import Impossible
from pipeline.networks.transgan.config import SharedSettings

GENERATOR = "pipeline.networks.resnet.networks:Generator"
DISCRIMINATOR = "pipeline.networks.resnet.networks:Discriminator"
USES_SHARED = False
RECOMPUTES = True

Part = TypeVar("Part", Cell, Block)


def _norm(kind: Norm) -> str:
    return "no norm" if kind == "none" else f"{kind} norm"


class CellSpec(Strict):
    """An up-block: `inputs` channels at half of `side` -> `width` channels at `side`."""

    side: Positive
    inputs: Positive
    width: Positive
    upsample: Upsample
    norm: Norm
    shortcut: bool
    skips: list[int]  # earlier cells, from 0

    def line(self) -> str:
        skips = f", skips from {', '.join(map(str, self.skips))}" if self.skips else ""
        shortcut = "shortcut" if self.shortcut else "no shortcut"
        size = f"{self.side:>4} x {self.side:<4} width {self.width:<5}"
        return f"{size} {self.upsample}, {_norm(self.norm)}, {shortcut}{skips}"


class BlockSpec(Strict):
    """A block of D: `inputs` channels at `side` -> `width` channels there, or at half of it with `downsample`."""

    side: Positive
    inputs: Positive
    width: Positive
    downsample: bool

    def line(self) -> str:
        size = f"{self.side:>4} x {self.side:<4} width {self.width}"
        return f"{size}, average pooling" if self.downsample else size


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

    def lines(self) -> list[str]:
        end = f"  {_norm(self.rgb_norm)}, RGB{', tanh' if self.tanh else ''}"
        return [
            f"  {self.base_side:>4} x {self.base_side:<4} width {self.width}",
            *("  " + c.line() for c in self.cells),
            end,
        ]


class DiscriminatorSpec(base.DiscriminatorSpec):
    """A residual discriminator, every number explicit."""

    family: Literal["resnet"] = "resnet"
    blocks: list[BlockSpec]
    spectral_norm: bool
    pooling: Pooling
    head_bias: bool
    init: Init
    residual_gain: Gain

    def lines(self) -> list[str]:
        end = f"  {self.pooling} over the pixels, linear{', spectral norm everywhere' if self.spectral_norm else ''}"
        return [*("  " + block.line() for block in self.blocks), end]


def resolve_generator(
    settings: GeneratorSettings, shared: SharedSettings, *, resolution: int, channels: int
) -> GeneratorSpec:
    """Spell out the generator for images of `resolution` x `resolution`.

    Errors: `Impossible` for a resolution that the preset does not have, cells that do not end there, a width that the
    preset's cells cannot keep their ratio to, and skips from cells that do not come before.
    """
    preset, key = GENERATORS[settings.preset], "model.generator"
    known = preset.at.get(resolution)
    if known is None and (settings.cells is None or settings.base_side is None):
        raise _no_geometry(key, settings.preset, list(preset.at), resolution, "base_side and cells of your own")
    cells, first = settings.cells, settings.width
    if cells is None:
        assert known is not None
        first = first or known.width
        cells = [_scaled(cell, first, known.width, f"{key}.width") for cell in known.cells]
    base_side = settings.base_side or (known.base_side if known else 0)
    if base_side * 2 ** len(cells) != resolution:
        allowed = f"a side that {len(cells)} doublings take to the resolution, {resolution}"
        raise Impossible(f"{key}.base_side", base_side, allowed)
    first, norm = first or cells[0].width, settings.norm or preset.norm
    inputs, resolved = first, []
    for index, cell in enumerate(cells):
        if sorted(set(cell.skips)) != cell.skips or any(skip >= index for skip in cell.skips):
            raise Impossible(f"{key}.cells.{index}.skips", cell.skips, "rising numbers of earlier cells, from 0")
        side = base_side * 2 ** (index + 1)
        resolved.append(
            CellSpec(
                side=side,
                inputs=inputs,
                width=cell.width,
                upsample=cell.upsample if side > 2 else "nearest",
                norm=norm,
                shortcut=cell.shortcut,
                skips=cell.skips,
            )
        )
        inputs = cell.width
    init = settings.init or preset.init
    return GeneratorSpec(
        latent_dim=settings.latent_dim or (known.latent_dim if known else 128),
        base_side=base_side,
        width=first,
        cells=resolved,
        rgb_norm=settings.rgb_norm or preset.rgb_norm,
        tanh=preset.tanh if settings.tanh is None else settings.tanh,
        init=init,
        residual_gain=settings.residual_gain or GAINS[init],
    )


def resolve_discriminator(
    settings: DiscriminatorSettings, shared: SharedSettings, *, resolution: int, channels: int
) -> DiscriminatorSpec:
    """Spell out the discriminator for images of `resolution` x `resolution`.

    Errors: `Impossible` as for the generator, and where a block would halve an odd side.
    """
    preset, key = DISCRIMINATORS[settings.preset], "model.discriminator"
    known, blocks = preset.at.get(resolution), settings.blocks
    if known is None and blocks is None:
        raise _no_geometry(key, settings.preset, list(preset.at), resolution, "blocks of your own")
    if blocks is not None and settings.width is not None:
        raise Impossible(f"{key}.width", settings.width, "null with blocks of your own, which have their widths")
    if blocks is None:
        assert known is not None
        last = known[-1].width
        blocks = [_scaled(block, settings.width or last, last, f"{key}.width") for block in known]
    side, inputs, resolved = resolution, channels, []
    for index, block in enumerate(blocks):
        if block.downsample and side % 2:
            raise Impossible(f"{key}.blocks.{index}.downsample", True, f"false: its map of {side} x {side} has no half")
        resolved.append(BlockSpec(side=side, inputs=inputs, width=block.width, downsample=block.downsample))
        side, inputs = side // (2 if block.downsample else 1), block.width
    init = settings.init or preset.init
    return DiscriminatorSpec(
        blocks=resolved,
        spectral_norm=preset.spectral_norm if settings.spectral_norm is None else settings.spectral_norm,
        pooling=(settings.pooling or preset.pooling) if side > 1 else "mean",
        head_bias=preset.head_bias if settings.head_bias is None else settings.head_bias,
        init=init,
        residual_gain=settings.residual_gain or GAINS[init],
    )


def _no_geometry(key: str, preset: str, sizes: list[int], resolution: int, otherwise: str) -> Impossible:
    have = " | ".join(map(str, sizes))
    allowed = f"images of {have} pixels a side, which presets are for, or {otherwise}; these have {resolution}"
    return Impossible(f"{key}.preset", preset, allowed)


def _scaled(part: Part, width: int, usual: int, key: str) -> Part:
    """`part` of a preset as wide in relation to `width` as it is to `usual`."""
    scaled, rest = divmod(part.width * width, usual)
    if rest or not scaled:
        raise Impossible(key, width, f"a width of which {part.width}/{usual} is a whole number of channels")
    return part.model_copy(update={"width": scaled})
