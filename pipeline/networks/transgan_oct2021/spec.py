"""The CelebA-HQ networks that were released in October 2021, after the paper: settings, and networks resolved.

What stands directly under `model` (attention, norm, window, ...) means the same here as in the family transgan, whose
rules resolve both networks. The module of the networks says what is different.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.base.schema import Strict
from pipeline.networks import spec as base
from pipeline.networks.spec import Impossible
from pipeline.networks.transgan import config as plain_config
from pipeline.networks.transgan import spec as plain
from pipeline.networks.transgan.config import DiscriminatorStage, Norm, Positive, SharedSettings, Upsample
from pipeline.networks.transgan.spec import BlockSpec, DiscriminatorStageSpec

GENERATOR = "pipeline.networks.transgan_oct2021.networks:Generator"
DISCRIMINATOR = "pipeline.networks.transgan_oct2021.networks:Discriminator"
ATTENTION = "pipeline.networks.transgan.attention_maps:attention_maps"
USES_SHARED = True
RECOMPUTES = True


class GeneratorStage(Strict):
    """One resolution of the generator; the side follows from `base_side` and the upsamplings before it."""

    upsample: Upsample  # on entering: bicubic keeps the width, pixel_shuffle divides it by 4
    width: Positive  # channels per token
    depth: Annotated[int, Field(ge=0)]  # blocks with cross-attention; 0, the first stage alone: only its position
    smooth: bool = False  # before the upsampling: 4x bicubic and pooled back, which blurs borders of grid cells


class GeneratorSettings(Strict):
    """`model.generator.transgan_oct2021`."""

    family: Literal["transgan_oct2021"] = "transgan_oct2021"
    latent_dim: Positive  # z ~ N(0, I); 512
    base_side: Positive  # side of the first token map and of the latent sequence, 8
    stages: Annotated[list[GeneratorStage], Field(min_length=2)]
    heads: Positive | None = None  # None: the shared setting of the same name
    norm: Norm | None = None
    window: Positive | None = None
    noise: bool | None = None


class DiscriminatorSettings(Strict):
    """`model.discriminator.transgan_oct2021`."""

    family: Literal["transgan_oct2021"] = "transgan_oct2021"
    patch: Positive  # pixels between the finest patches, P; coarser scales are 2P, 4P and do not overlap
    overlap: Annotated[int, Field(ge=0)]  # pixels that the finest patches reach beyond P on each side; P / 2
    stages: Annotated[list[DiscriminatorStage], Field(min_length=1)]
    cls_depth: Positive  # blocks after the [cls] token joined
    relative_position: bool  # off in the released code, on in its generator
    heads: Positive | None = None
    norm: Norm | None = None
    window: Positive | None = None
    noise: bool | None = None


class GeneratorStageSpec(Strict):
    upsample: Upsample
    smooth: bool
    side: Positive
    width: Positive
    blocks: list[BlockSpec]  # [] in the first stage of the released generator


class GeneratorSpec(base.GeneratorSpec):
    """The latent sequence has the tokens and the width of the first stage."""

    family: Literal["transgan_oct2021"] = "transgan_oct2021"
    stages: list[GeneratorStageSpec] = Field(min_length=2)

    @property
    def batch_statistics(self) -> bool:
        return any(block.norm == "batch" for stage in self.stages for block in stage.blocks)

    def describe(self) -> dict[str, Any]:
        stages = [{**s.model_dump(exclude={"blocks"}), "blocks": [b.describe() for b in s.blocks]} for s in self.stages]
        return {"latent_dim": self.latent_dim, "cross_attention": True, "stages": stages}

    def lines(self) -> list[str]:
        first = self.stages[0]
        latents = f"  {'latents':<14}{first.side:>4} x {first.side:<4} width {first.width}, for cross-attention"
        found = [latents]
        for stage in self.stages:
            entry = f"{'smooth, ' if stage.smooth else ''}{stage.upsample}"
            blocks = [block.line() for block in stage.blocks] or [
                f"{stage.side:>4} x {stage.side:<4} width {stage.width:<5} no blocks"
            ]
            found += [f"  {entry if index == 0 else '':<22}{line}" for index, line in enumerate(blocks)]
        return found


class DiscriminatorSpec(base.DiscriminatorSpec):
    family: Literal["transgan_oct2021"] = "transgan_oct2021"
    overlap: int = Field(ge=0)
    stages: list[DiscriminatorStageSpec]
    cls: BlockSpec

    @property
    def plain(self) -> plain.DiscriminatorSpec:
        """The same network with patches that do not overlap."""
        return plain.DiscriminatorSpec(stages=self.stages, cls=self.cls)

    @property
    def batch_statistics(self) -> bool:
        return self.plain.batch_statistics

    def describe(self) -> dict[str, Any]:
        return {"overlap": self.overlap, **self.plain.describe()}

    def lines(self) -> list[str]:
        return [f"  the finest patches reach {self.overlap} pixels beyond their own on each side", *self.plain.lines()]


def resolve_generator(
    settings: GeneratorSettings, shared: SharedSettings, *, resolution: int, channels: int
) -> GeneratorSpec:
    """Spell out the generator for images of `resolution` x `resolution`.

    Errors: `Impossible` as for the family transgan, and for a later stage without blocks.
    """
    for index, stage in enumerate(settings.stages):
        if index and not stage.depth:
            raise Impossible(f"model.generator.stages.{index}.depth", 0, "at least 1; 0 in the first stage alone")
        if stage.smooth and stage.upsample == "none":
            raise Impossible(f"model.generator.stages.{index}.smooth", True, "false in a stage that does not upsample")
    stages = [
        plain_config.GeneratorStage(upsample=stage.upsample, width=stage.width, depth=max(stage.depth, 1))
        for stage in settings.stages
    ]
    own = settings.model_dump(include={"latent_dim", "base_side", "heads", "norm", "window", "noise"})
    whole = plain_config.GeneratorSettings(family="transgan", stages=stages, **own)
    resolved = plain.resolve_generator(whole, shared, resolution=resolution, channels=channels)
    return GeneratorSpec(
        latent_dim=settings.latent_dim,
        stages=[
            GeneratorStageSpec(
                upsample=stage.upsample,
                smooth=given.smooth,
                side=stage.blocks[0].side,
                width=given.width,
                blocks=stage.blocks if given.depth else [],
            )
            for given, stage in zip(settings.stages, resolved.stages, strict=True)
        ],
    )


def resolve_discriminator(
    settings: DiscriminatorSettings, shared: SharedSettings, *, resolution: int, channels: int
) -> DiscriminatorSpec:
    """Spell out the discriminator for images of `resolution` x `resolution`.

    Errors: `Impossible` as for the family transgan.
    """
    own = settings.model_dump(exclude={"family", "overlap", "relative_position"})
    whole = plain_config.DiscriminatorSettings(family="transgan", **own)
    shared = shared.model_copy(update={"relative_position": settings.relative_position})
    resolved = plain.resolve_discriminator(whole, shared, resolution=resolution, channels=channels)
    return DiscriminatorSpec(overlap=settings.overlap, stages=resolved.stages, cls=resolved.cls)
