"""TransGAN's networks: settings as a person writes them, published sizes, networks with every block in numbers.

A preset names a published size, by the data set it was made for; every other setting replaces the preset's value.

cifar10, stl10      the released code (Table 6 of the paper has the same widths and depths)
celeba128           the generator of Table 6 of arXiv 2102.07074v4 by a second-hand reading: 151,512,455 parameters
celeba64            neither was released: the generator of celeba128 without its last stage
celebahq256         the generator of June 2021 for CelebA-HQ and LSUN Church; D by the paper's figure
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.base.schema import Strict
from pipeline.networks import spec as base
from pipeline.networks.spec import Impossible, Positive, given_values

GENERATOR = "pipeline.networks.transgan.networks:Generator"
DISCRIMINATOR = "pipeline.networks.transgan.networks:Discriminator"
ATTENTION = "pipeline.networks.transgan.attention_maps:attention_maps"
USES_SHARED = True
RECOMPUTES = True

Attention = Literal["standard", "grid", "nystrom", "axis"]
Norm = Literal["token", "layer", "batch", "instance", "none"]
Upsample = Literal["none", "bicubic", "pixel_shuffle"]
Preset = Literal["cifar10", "stl10", "celeba64", "celeba128", "celebahq256"]
NotNegative = Annotated[int, Field(ge=0)]


class SharedSettings(Strict):
    """What stands directly under `model`: settings of both networks where they are transformers."""

    attention: Attention  # used on maps of at least `attention_from` tokens a side (paper 4.3)
    attention_from: Positive  # 64 in the paper; below it attention is standard
    window: Positive  # tokens a side of a grid cell; 16 in the paper
    landmarks: Positive  # Nystroem landmarks; 64 in Xiong et al. 2021
    norm: Norm  # token: y = x / sqrt(mean(x^2) + 1e-8) (paper 5.3)
    relative_position: bool  # learned bias on attention scores, beside the absolute embedding (paper 5.2)
    scales: Annotated[int, Field(ge=1, le=3)]  # patch scales P, 2P, 4P; at most one per discriminator stage (paper 4.2)
    noise: bool  # per-token noise x learned scalar before attention (released code only)
    heads: Positive  # 4 everywhere in the released code
    mlp_ratio: Positive  # hidden width of the MLP over token width; 4


class OwnSettings(Strict):
    """Settings of one network. Those that `SharedSettings` has too take the place of the shared one."""

    family: Literal["transgan"] = "transgan"
    preset: Preset | None = None
    heads: Positive | None = None
    norm: Norm | None = None
    window: Positive | None = None
    noise: bool | None = None
    relative_position: bool | None = None


class GeneratorStage(Strict):
    """One resolution of the generator; the side follows from `base_side` and the upsamplings before it."""

    upsample: Upsample  # on entering: bicubic keeps the width, pixel_shuffle divides it by 4
    width: Positive  # channels per token
    depth: NotNegative  # transformer blocks; 0: the position alone (first stage of October 2021)
    smooth: bool = False  # before the upsampling: 4x bicubic and pooled back, which blurs borders of grid cells


class GeneratorSettings(OwnSettings):
    """`model.generator.transgan`."""

    latent_dim: Positive | None = None  # z ~ N(0, I); 256 for CIFAR-10, 512 elsewhere (released code)
    base_side: Positive | None = None  # side of the first token map, 8 (12 for STL-10)
    stages: Annotated[list[GeneratorStage], Field(min_length=1)] | None = None
    cross_attention: bool = False  # of every block, to z as a sequence (October 2021)


class DiscriminatorStage(Strict):
    """One resolution of the discriminator; the first has resolution / patch tokens a side, each next one half."""

    width: Positive  # channels per token, after a coarser patch scale was concatenated
    depth: Positive  # transformer blocks
    full_blocks: NotNegative = 0  # the last so many attend over the whole map (released Church-256: 1)


class DiscriminatorSettings(OwnSettings):
    """`model.discriminator.transgan`."""

    patch: Positive | None = None  # pixels a side of the finest patches, P; coarser scales are 2P, 4P
    overlap: NotNegative = 0  # pixels that the finest patches reach beyond P on each side
    stages: Annotated[list[DiscriminatorStage], Field(min_length=1)] | None = None
    cls_depth: Positive | None = None  # blocks after the [cls] token joined (1 in the released code)


def _generator(latent_dim: int, base_side: int, *stages: tuple[Upsample, int, int]) -> GeneratorSettings:
    listed = [GeneratorStage(upsample=upsample, width=width, depth=depth) for upsample, width, depth in stages]
    return GeneratorSettings(latent_dim=latent_dim, base_side=base_side, stages=listed)


def _discriminator(patch: int, *stages: tuple[int, int]) -> DiscriminatorSettings:
    listed = [DiscriminatorStage(width=width, depth=depth) for width, depth in stages]
    return DiscriminatorSettings(patch=patch, cls_depth=1, stages=listed)


_FIRST: tuple[Upsample, int, int] = ("none", 1024, 5)
_LARGER: tuple[Upsample, int, int] = ("bicubic", 1024, 4)
_SHUFFLED: list[tuple[Upsample, int, int]] = [("pixel_shuffle", width, 4) for width in (256, 64, 16)]
GENERATORS: dict[str, GeneratorSettings] = {
    "cifar10": _generator(256, 8, _FIRST, ("pixel_shuffle", 256, 4), ("pixel_shuffle", 64, 2)),
    "stl10": _generator(512, 12, ("none", 1024, 7), ("pixel_shuffle", 256, 5), ("pixel_shuffle", 64, 3)),
    "celeba64": _generator(512, 8, _FIRST, _LARGER, *_SHUFFLED[:2]),
    "celeba128": _generator(512, 8, _FIRST, _LARGER, *_SHUFFLED),
    "celebahq256": _generator(512, 8, _FIRST, _LARGER, _LARGER, *_SHUFFLED),
}
DISCRIMINATORS: dict[str, DiscriminatorSettings] = {
    "cifar10": _discriminator(2, (288, 3), (384, 3)),
    "stl10": _discriminator(2, (288, 3), (384, 3)),
    "celeba64": _discriminator(2, (96, 3), (192, 3), (384, 3)),
    "celeba128": _discriminator(2, (96, 3), (192, 3), (384, 4)),
    "celebahq256": _discriminator(4, (96, 3), (192, 3), (384, 4)),
}


class BlockSpec(Strict):
    """`depth` equal transformer blocks on a map of `side` x `side` tokens."""

    depth: NotNegative
    side: Positive
    width: Positive
    heads: Positive
    mlp_ratio: Positive
    norm: Norm
    attention: Attention
    window: int  # tokens a side of the area inside which attention is computed; `side` unless grid
    landmarks: int  # 0 unless nystrom
    relative_position: bool
    noise: bool


class GeneratorStageSpec(Strict):
    """Blocks on one side of the map, and how the map gets there."""

    upsample: Upsample
    smooth: bool = False
    blocks: list[BlockSpec]


class DiscriminatorStageSpec(Strict):
    """`patch` > 0: patches of that size are embedded to `embed_width` channels and join the tokens; 0: no patch scale
    here, and the same channels come from a linear layer on the pooled tokens instead (single-scale baseline)."""

    patch: int
    embed_width: int
    blocks: list[BlockSpec]


class GeneratorSpec(base.GeneratorSpec):
    """TransGAN's generator: its stages, first to last."""

    family: Literal["transgan"] = "transgan"
    cross_attention: bool = False
    stages: list[GeneratorStageSpec]

    @property
    def batch_statistics(self) -> bool:
        return any(block.norm == "batch" for stage in self.stages for block in stage.blocks)


class DiscriminatorSpec(base.DiscriminatorSpec):
    """TransGAN's discriminator: its stages from the image on, and the blocks over the class token."""

    family: Literal["transgan"] = "transgan"
    overlap: int = 0
    stages: list[DiscriminatorStageSpec]
    cls: BlockSpec

    @property
    def batch_statistics(self) -> bool:
        return any(block.norm == "batch" for block in [*(b for s in self.stages for b in s.blocks), self.cls])


@dataclass(frozen=True)
class _Settings:
    """The settings of one network: its own, those of its preset, the shared ones, in this order."""

    network: Literal["generator", "discriminator"]
    own: GeneratorSettings | DiscriminatorSettings
    values: dict[str, Any]

    def refuse(self, name: str, allowed: str) -> Impossible:
        """Names the key where the setting was given."""
        prefix = f"model.{self.network}" if getattr(self.own, name, None) is not None else "model"
        return Impossible(f"{prefix}.{name}", self.values[name], allowed)

    def blocks(self, side: int, width: int, depth: int, attention: Attention | None = None) -> BlockSpec:
        """`depth` blocks. Errors: `Impossible` for heads, a window or landmarks that do not divide."""
        v = self.values
        if width % v["heads"]:
            raise self.refuse("heads", f"a divisor of the {self.network}'s width {width}")
        kind = attention or (v["attention"] if side >= v["attention_from"] else "standard")
        if kind == "grid" and side % v["window"]:
            raise self.refuse("window", f"a divisor of the {self.network}'s {side} x {side} feature map")
        if (kind == "grid" and v["window"] == side) or (kind == "nystrom" and v["landmarks"] >= side * side):
            kind = "standard"
        if kind == "nystrom" and (side * side) % v["landmarks"]:
            allowed = f"a divisor of the {self.network}'s {side * side} tokens at {side} x {side}"
            raise self.refuse("landmarks", allowed)
        if kind == "nystrom" and v["relative_position"]:
            allowed = "false with attention=nystrom, which never forms the token-by-token scores a bias is added to"
            raise self.refuse("relative_position", allowed)
        same = {name: v[name] for name in ("heads", "mlp_ratio", "norm", "relative_position", "noise")}
        window, landmarks = v["window"] if kind == "grid" else side, v["landmarks"] if kind == "nystrom" else 0
        sizes: dict[str, Any] = {"depth": depth, "side": side, "width": width, "window": window, "landmarks": landmarks}
        return BlockSpec(**sizes, **same, attention=kind)


def _settings(network: Any, own: Any, shared: SharedSettings, presets: dict[str, Any], *required: str) -> _Settings:
    values = dict(shared) | (given_values(presets[own.preset]) if own.preset else {}) | given_values(own)
    for name in required:
        if name not in values:
            raise Impossible(f"model.{network}.{name}", "nothing", f"a value, or a preset: {' | '.join(presets)}")
    return _Settings(network, own, values)


def resolve_generator(own: GeneratorSettings, shared: SharedSettings, resolution: int, channels: int) -> GeneratorSpec:
    """Errors: `Impossible` where a grid does not divide its map, heads do not divide a width, landmarks do not divide
    the tokens, the stages do not end at the resolution, or a later stage has no blocks.
    """
    whole = _settings("generator", own, shared, GENERATORS, "latent_dim", "base_side", "stages")
    stages, side, width = [], whole.values["base_side"], None
    for index, stage in enumerate(whole.values["stages"]):
        key, first = f"model.generator.stages.{index}", index == 0
        if first != (stage.upsample == "none"):
            allowed = "none for the first stage, bicubic | pixel_shuffle after it"
            raise Impossible(f"{key}.upsample", stage.upsample, allowed)
        if stage.upsample == "bicubic" and stage.width != width:
            raise Impossible(f"{key}.width", stage.width, f"{width}: bicubic upsampling keeps the width")
        if stage.upsample == "pixel_shuffle" and stage.width * 4 != width:
            raise Impossible(f"{key}.width", stage.width, f"a quarter of {width}: pixel shuffle divides the width by 4")
        if not (first or stage.depth):
            raise Impossible(f"{key}.depth", 0, "at least 1; 0 in the first stage alone")
        if first and stage.smooth:
            raise Impossible(f"{key}.smooth", True, "false in a stage that does not upsample")
        side, width = side * (1 if first else 2), stage.width
        blocks = [whole.blocks(side, width, stage.depth)]
        stages.append(GeneratorStageSpec(upsample=stage.upsample, smooth=stage.smooth, blocks=blocks))
    if side != resolution:
        allowed = f"stages that end at the resolution, {resolution} x {resolution}"
        raise Impossible("model.generator.stages", f"stages that end at {side} x {side}", allowed)
    return GeneratorSpec(latent_dim=whole.values["latent_dim"], cross_attention=own.cross_attention, stages=stages)


def resolve_discriminator(
    own: DiscriminatorSettings, shared: SharedSettings, resolution: int, channels: int
) -> DiscriminatorSpec:
    """Errors: `Impossible` as for the generator, and where patches do not divide the image."""
    whole = _settings("discriminator", own, shared, DISCRIMINATORS, "patch", "cls_depth", "stages")
    stages, patch, before, side = [], whole.values["patch"], 0, 0
    for index, stage in enumerate(whole.values["stages"]):
        key = f"model.discriminator.stages.{index}"
        if resolution % patch:
            allowed = f"a size whose {patch}-pixel patches divide {resolution} pixels"
            raise Impossible("model.discriminator.patch", whole.values["patch"], allowed)
        if stage.full_blocks > stage.depth:
            raise Impossible(f"{key}.full_blocks", stage.full_blocks, f"at most the stage's depth, {stage.depth}")
        if stage.width < before:
            raise Impossible(f"{key}.width", stage.width, f"at least the width of the stage before, {before}")
        side, added = resolution // patch, stage.width - before
        kinds: list[tuple[int, Attention | None]]
        kinds = [(stage.depth - stage.full_blocks, None), (stage.full_blocks, "standard")]
        groups = [whole.blocks(side, stage.width, depth, kind) for depth, kind in kinds if depth]
        if len(groups) == 2 and groups[0].attention == "standard":
            groups = [groups[0].model_copy(update={"depth": stage.depth})]
        scaled = index < shared.scales and added > 0
        stages.append(DiscriminatorStageSpec(patch=patch if scaled else 0, embed_width=added, blocks=groups))
        patch, before = patch * 2, stage.width
    last = whole.blocks(side, before, whole.values["cls_depth"], "standard")
    # The [cls] token has no place on the map, so these blocks have no relative position (released code).
    last = last.model_copy(update={"relative_position": False})
    return DiscriminatorSpec(overlap=own.overlap, stages=stages, cls=last)
