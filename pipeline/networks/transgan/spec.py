"""TransGAN's networks: settings as a person writes them, published sizes, networks with every block in numbers.

A preset names a published size, by the data set it was made for; every other setting replaces the preset's value.

cifar10, stl10      the released code (Table 6 of the paper has the same widths and depths)
celeba128           the generator of Table 6 of arXiv 2102.07074v4 by a second-hand reading: 151,512,455 parameters
celeba64            neither was released: the generator of celeba128 without its last stage
celebahq256         the generator of June 2021 for CelebA-HQ and LSUN Church; D by the paper's figure
"""

from typing import Annotated, Any, ClassVar, Literal

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


class OwnSettings(Strict):
    """Settings of one network. Those that `SharedSettings` has too take the place of the shared one."""

    network: ClassVar[str]
    preset: Preset | None = None
    heads: Positive | None = None
    norm: Norm | None = None
    window: Positive | None = None
    noise: bool | None = None
    relative_position: bool | None = None

    def merged(self, shared: SharedSettings, presets: dict[Preset, dict[str, Any]]) -> dict[str, Any]:
        """All settings by name: the network's own, those of its preset, the shared ones, in this order."""
        values = dict(shared) | (presets[self.preset] if self.preset else {}) | given_values(self)
        for name in presets["cifar10"].keys() - values:
            allowed = f"a value, or a preset: {' | '.join(presets)}"
            raise Impossible(f"model.{self.network}.{name}", "nothing", allowed)
        return values

    def blocks(self, values: dict[str, Any], side: int, width: int, depth: int, kind: str | None = None) -> BlockSpec:
        """`depth` blocks. Errors: `Impossible` for heads, a window or landmarks that do not divide."""

        def refuse(name: str, allowed: str) -> Impossible:  # names the key where the setting was given
            prefix = "model" if getattr(self, name, None) is None else f"model.{self.network}"
            return Impossible(f"{prefix}.{name}", values[name], allowed)

        window, landmarks, tokens = values["window"], values["landmarks"], side * side
        if width % values["heads"]:
            raise refuse("heads", f"a divisor of the {self.network}'s width {width}")
        kind = kind or (values["attention"] if side >= values["attention_from"] else "standard")
        if kind == "grid" and side % window:
            raise refuse("window", f"a divisor of the {self.network}'s {side} x {side} feature map")
        if (kind == "grid" and window == side) or (kind == "nystrom" and landmarks >= tokens):
            kind = "standard"
        if kind == "nystrom" and tokens % landmarks:
            raise refuse("landmarks", f"a divisor of the {self.network}'s {tokens} tokens at {side} x {side}")
        if kind == "nystrom" and values["relative_position"]:
            allowed = "false with attention=nystrom, which never forms the token-by-token scores a bias is added to"
            raise refuse("relative_position", allowed)
        block = {name: value for name, value in values.items() if name in BlockSpec.model_fields}
        block |= {"depth": depth, "side": side, "width": width, "attention": kind}
        block |= {"window": window if kind == "grid" else side, "landmarks": landmarks if kind == "nystrom" else 0}
        return BlockSpec(**block)


class GeneratorStage(Strict):
    """One resolution of the generator; the side follows from `base_side` and the upsamplings before it."""

    upsample: Upsample  # on entering: bicubic keeps the width, pixel_shuffle divides it by 4
    width: Positive  # channels per token
    depth: NotNegative  # transformer blocks; 0: the position alone (first stage of October 2021)
    smooth: bool = False  # before the upsampling: 4x bicubic and pooled back, which blurs borders of grid cells


class GeneratorSettings(OwnSettings):
    """`model.generator.transgan`."""

    network: ClassVar[str] = "generator"
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

    network: ClassVar[str] = "discriminator"
    patch: Positive | None = None  # pixels a side of the finest patches, P; coarser scales are 2P, 4P
    overlap: NotNegative = 0  # pixels that the finest patches reach beyond P on each side
    stages: Annotated[list[DiscriminatorStage], Field(min_length=1)] | None = None
    cls_depth: Positive | None = None  # blocks after the [cls] token joined (1 in the released code)


def _generator(latent_dim: int, base_side: int, first: int, bicubic: int, *shuffled: int) -> dict[str, Any]:
    """1024 channels in `first` blocks and after `bicubic` upsamplings, 4 blocks each; a pixel shuffle per depth."""
    stages = [GeneratorStage(upsample="none", width=1024, depth=first)]
    stages += [GeneratorStage(upsample="bicubic", width=1024, depth=4)] * bicubic
    for number, depth in enumerate(shuffled, 1):
        stages.append(GeneratorStage(upsample="pixel_shuffle", width=1024 // 4**number, depth=depth))
    return {"latent_dim": latent_dim, "base_side": base_side, "stages": stages}


def _discriminator(patch: int, *stages: tuple[int, int]) -> dict[str, Any]:
    """Stages by (width, depth)."""
    listed = [DiscriminatorStage(width=width, depth=depth) for width, depth in stages]
    return {"patch": patch, "cls_depth": 1, "stages": listed}


GENERATORS: dict[Preset, dict[str, Any]] = {
    "cifar10": _generator(256, 8, 5, 0, 4, 2),
    "stl10": _generator(512, 12, 7, 0, 5, 3),
    "celeba64": _generator(512, 8, 5, 1, 4, 4),
    "celeba128": _generator(512, 8, 5, 1, 4, 4, 4),
    "celebahq256": _generator(512, 8, 5, 2, 4, 4, 4),
}
DISCRIMINATORS: dict[Preset, dict[str, Any]] = {
    "cifar10": _discriminator(2, (288, 3), (384, 3)),
    "stl10": _discriminator(2, (288, 3), (384, 3)),
    "celeba64": _discriminator(2, (96, 3), (192, 3), (384, 3)),
    "celeba128": _discriminator(2, (96, 3), (192, 3), (384, 4)),
    "celebahq256": _discriminator(4, (96, 3), (192, 3), (384, 4)),
}


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
        return self.stages[0].blocks[0].norm == "batch"  # one norm for the whole network


class DiscriminatorSpec(base.DiscriminatorSpec):
    """TransGAN's discriminator: its stages from the image on, and the blocks over the class token."""

    family: Literal["transgan"] = "transgan"
    overlap: int = 0
    stages: list[DiscriminatorStageSpec]
    cls: BlockSpec

    @property
    def batch_statistics(self) -> bool:
        return self.cls.norm == "batch"


def resolve_generator(own: GeneratorSettings, shared: SharedSettings, resolution: int, channels: int) -> GeneratorSpec:
    """Errors: `Impossible` where a grid does not divide its map, heads do not divide a width, landmarks do not divide
    the tokens, the stages do not end at the resolution, or a later stage has no blocks.
    """
    values = own.merged(shared, GENERATORS)
    stages, side, width = [], values["base_side"], None
    for index, stage in enumerate(values["stages"]):
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
        blocks = [own.blocks(values, side, width, stage.depth)]
        stages.append(GeneratorStageSpec(upsample=stage.upsample, smooth=stage.smooth, blocks=blocks))
    if side != resolution:
        allowed = f"stages that end at the resolution, {resolution} x {resolution}"
        raise Impossible("model.generator.stages", f"stages that end at {side} x {side}", allowed)
    return GeneratorSpec(latent_dim=values["latent_dim"], cross_attention=own.cross_attention, stages=stages)


def resolve_discriminator(
    own: DiscriminatorSettings, shared: SharedSettings, resolution: int, channels: int
) -> DiscriminatorSpec:
    """Errors: `Impossible` as for the generator, and where patches do not divide the image."""
    values = own.merged(shared, DISCRIMINATORS)
    stages, patch, before, side = [], values["patch"], 0, 0
    for index, stage in enumerate(values["stages"]):
        key = f"model.discriminator.stages.{index}"
        if resolution % patch:
            allowed = f"a size whose {patch}-pixel patches divide {resolution} pixels"
            raise Impossible("model.discriminator.patch", values["patch"], allowed)
        if stage.full_blocks > stage.depth:
            raise Impossible(f"{key}.full_blocks", stage.full_blocks, f"at most the stage's depth, {stage.depth}")
        if stage.width < before:
            raise Impossible(f"{key}.width", stage.width, f"at least the width of the stage before, {before}")
        side, added = resolution // patch, stage.width - before
        kinds = ((stage.depth - stage.full_blocks, None), (stage.full_blocks, "standard"))
        groups = [own.blocks(values, side, stage.width, depth, kind) for depth, kind in kinds if depth]
        if len(groups) == 2 and groups[0].attention == "standard":
            groups = [groups[0].model_copy(update={"depth": stage.depth})]
        scaled = index < shared.scales and added > 0
        stages.append(DiscriminatorStageSpec(patch=patch if scaled else 0, embed_width=added, blocks=groups))
        patch, before = patch * 2, stage.width
    # The [cls] token has no place on the map, so these blocks have no relative position (released code).
    last = own.blocks(values, side, before, values["cls_depth"], "standard")
    last = last.model_copy(update={"relative_position": False})
    return DiscriminatorSpec(overlap=own.overlap, stages=stages, cls=last)
