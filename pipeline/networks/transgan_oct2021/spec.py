"""The networks of October 2021 resolved, by the rules of the family transgan; see pipeline.networks.transgan.spec."""

from typing import Any, Literal

from pydantic import Field

from pipeline.base.schema import Strict
from pipeline.networks import spec as base
from pipeline.networks.spec import Impossible
from pipeline.networks.transgan import config as plain_config
from pipeline.networks.transgan import spec as plain
from pipeline.networks.transgan.config import Positive, SharedSettings, Upsample
from pipeline.networks.transgan.spec import BlockSpec, DiscriminatorStageSpec
from pipeline.networks.transgan_oct2021.config import DiscriminatorSettings, GeneratorSettings


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
