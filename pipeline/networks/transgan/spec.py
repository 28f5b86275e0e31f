"""TransGAN's networks resolved: every block spelled out, in plain numbers, before torch is imported.

Canonical: settings that have no effect do not appear (below its threshold, grid attention *is* standard attention).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.base.schema import Strict
from pipeline.networks import spec as base
from pipeline.networks.spec import Impossible
from pipeline.networks.transgan.config import (
    DISCRIMINATORS,
    GENERATORS,
    Attention,
    DiscriminatorSettings,
    GeneratorSettings,
    Norm,
    Positive,
    Preset,
    SharedSettings,
    Upsample,
)

GENERATOR = "pipeline.networks.transgan.networks:Generator"
DISCRIMINATOR = "pipeline.networks.transgan.networks:Discriminator"
ATTENTION = "pipeline.networks.transgan.attention_maps:attention_maps"
USES_SHARED = True
RECOMPUTES = True


class BlockSpec(Strict):
    """`depth` equal transformer blocks on a map of `side` x `side` tokens."""

    depth: Positive
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

    def describe(self) -> dict[str, Any]:
        return self.model_dump(exclude={"mlp_ratio"} if self.landmarks else {"mlp_ratio", "landmarks"})

    def line(self) -> str:
        window = f" in {self.window} x {self.window}" if self.attention == "grid" else ""
        extras = "".join(f", {name}" for name in ("relative_position", "noise") if getattr(self, name))
        return (
            f"{self.side:>4} x {self.side:<4} width {self.width:<5} {self.depth} x {self.attention} attention{window}, "
            f"{self.heads} heads, {self.norm} norm{extras}"
        )


def _lines(entry: str, blocks: list[BlockSpec]) -> list[str]:
    return [f"  {entry if index == 0 else '':<14}{group.line()}" for index, group in enumerate(blocks)]


class GeneratorStageSpec(Strict):
    """Blocks on one side of the map, and how the map gets there."""

    upsample: Upsample
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
    stages: list[GeneratorStageSpec]

    @property
    def batch_statistics(self) -> bool:
        return any(block.norm == "batch" for stage in self.stages for block in stage.blocks)

    def describe(self) -> dict[str, Any]:
        stages = [{"upsample": s.upsample, "blocks": [b.describe() for b in s.blocks]} for s in self.stages]
        return {"latent_dim": self.latent_dim, "stages": stages}

    def lines(self) -> list[str]:
        return [line for stage in self.stages for line in _lines(stage.upsample, stage.blocks)]


class DiscriminatorSpec(base.DiscriminatorSpec):
    """TransGAN's discriminator: its stages from the image on, and the blocks over the class token."""

    family: Literal["transgan"] = "transgan"
    stages: list[DiscriminatorStageSpec]
    cls: BlockSpec

    @property
    def batch_statistics(self) -> bool:
        return any(block.norm == "batch" for block in [*(b for s in self.stages for b in s.blocks), self.cls])

    def describe(self) -> dict[str, Any]:
        stages = [
            {"patch": s.patch or None, "embed_width": s.embed_width, "blocks": [b.describe() for b in s.blocks]}
            for s in self.stages
        ]
        return {"stages": [*stages, {"cls_token": True, "blocks": [self.cls.describe()]}]}

    def lines(self) -> list[str]:
        stages = [(f"patch {s.patch}" if s.patch else "no patches", s.blocks) for s in self.stages]
        return [line for entry, blocks in [*stages, ("[cls]", [self.cls])] for line in _lines(entry, blocks)]


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """A network's own settings and the shared ones. `key(name)` is where a setting was given."""

    network: Literal["generator", "discriminator"]
    shared: SharedSettings
    own: GeneratorSettings | DiscriminatorSettings

    def key(self, name: str) -> str:
        return f"model.{self.network}.{name}" if getattr(self.own, name) is not None else f"model.{name}"

    def __getitem__(self, name: str) -> Any:
        """The network's own value, or the shared one where it has none."""
        value = getattr(self.own, name)
        return value if value is not None else getattr(self.shared, name)


def resolve_generator(
    settings: GeneratorSettings, shared: SharedSettings, *, resolution: int, channels: int
) -> GeneratorSpec:
    """Spell out the generator for images of `resolution` x `resolution`.

    Errors: `Impossible` where a grid does not divide its map, heads do not divide a width, landmarks do not divide the
    tokens, or the stages do not end at the resolution.
    """
    both = _Settings(network="generator", shared=shared, own=settings)
    size = _size(both, GENERATORS, "latent_dim", "base_side", "stages")
    stages, side, width = [], size["base_side"], None
    for index, stage in enumerate(size["stages"]):
        key = f"model.generator.stages.{index}"
        if (index == 0) != (stage.upsample == "none"):
            raise Impossible(
                f"{key}.upsample", stage.upsample, "none for the first stage, bicubic | pixel_shuffle after it"
            )
        if stage.upsample == "bicubic" and stage.width != width:
            raise Impossible(f"{key}.width", stage.width, f"{width}: bicubic upsampling keeps the width")
        if stage.upsample == "pixel_shuffle" and stage.width * 4 != width:
            raise Impossible(f"{key}.width", stage.width, f"a quarter of {width}: pixel shuffle divides the width by 4")
        side, width = side * (1 if stage.upsample == "none" else 2), stage.width
        blocks = [_blocks(both, side=side, width=width, depth=stage.depth)]
        stages.append(GeneratorStageSpec(upsample=stage.upsample, blocks=blocks))
    if side != resolution:
        raise Impossible(
            "model.generator.stages",
            f"stages that end at {side} x {side}",
            f"stages that end at the resolution, {resolution} x {resolution}",
        )
    return GeneratorSpec(latent_dim=size["latent_dim"], stages=stages)


def resolve_discriminator(
    settings: DiscriminatorSettings, shared: SharedSettings, *, resolution: int, channels: int
) -> DiscriminatorSpec:
    """Spell out the discriminator for images of `resolution` x `resolution`.

    Errors: `Impossible` as for the generator, and where patches do not divide the image.
    """
    both = _Settings(network="discriminator", shared=shared, own=settings)
    size = _size(both, DISCRIMINATORS, "patch", "cls_depth", "stages")
    stages, patch, before = [], size["patch"], 0
    for index, stage in enumerate(size["stages"]):
        key = f"model.discriminator.stages.{index}"
        if resolution % patch:
            raise Impossible(
                "model.discriminator.patch",
                size["patch"],
                f"a size whose {patch}-pixel patches divide {resolution} pixels",
            )
        if stage.full_blocks > stage.depth:
            raise Impossible(f"{key}.full_blocks", stage.full_blocks, f"at most the stage's depth, {stage.depth}")
        if stage.width < before:
            raise Impossible(f"{key}.width", stage.width, f"at least the width of the stage before, {before}")
        added = stage.width - before
        shape: dict[str, Any] = {"side": resolution // patch, "width": stage.width}
        groups = (
            [_blocks(both, depth=stage.depth - stage.full_blocks, **shape)] if stage.depth > stage.full_blocks else []
        )
        if stage.full_blocks:
            groups.append(_blocks(both, depth=stage.full_blocks, attention="standard", **shape))
        if len(groups) == 2 and groups[0].attention == "standard":
            groups = [groups[0].model_copy(update={"depth": stage.depth})]
        scaled = index < shared.scales and added > 0
        stages.append(DiscriminatorStageSpec(patch=patch if scaled else 0, embed_width=added, blocks=groups))
        patch, before = patch * 2, stage.width
    last = _blocks(both, side=shape["side"], width=before, depth=size["cls_depth"], attention="standard")
    # The [cls] token has no place on the map, so these blocks have no relative position (released code).
    return DiscriminatorSpec(stages=stages, cls=last.model_copy(update={"relative_position": False}))


def _size(both: _Settings, known: Mapping[Preset, object], *names: str) -> dict[str, Any]:
    """The settings of these names, those of the preset where the network has none of its own."""
    preset = known[both.own.preset] if both.own.preset else None
    found = {name: getattr(both.own, name) or getattr(preset, name, None) for name in names}
    for name, value in found.items():
        if value is None:
            allowed = f"a value, or a preset: {' | '.join(known)}"
            raise Impossible(f"model.{both.network}.{name}", "nothing", allowed)
    return found


def _blocks(both: _Settings, *, side: int, width: int, depth: int, attention: Attention | None = None) -> BlockSpec:
    shared, network, window = both.shared, both.network, both["window"]
    if width % both["heads"]:
        raise Impossible(both.key("heads"), both["heads"], f"a divisor of the {network}'s width {width}")
    kind = attention or (shared.attention if side >= shared.attention_from else "standard")
    if kind == "grid" and side % window:
        raise Impossible(both.key("window"), window, f"a divisor of the {network}'s {side} x {side} feature map")
    if kind == "grid" and window == side:
        kind = "standard"
    if kind == "nystrom" and shared.landmarks >= side * side:
        kind = "standard"
    if kind == "nystrom":
        _check_nystrom(shared, network, side)
    return BlockSpec(
        depth=depth,
        side=side,
        width=width,
        heads=both["heads"],
        mlp_ratio=shared.mlp_ratio,
        norm=both["norm"],
        attention=kind,
        window=window if kind == "grid" else side,
        landmarks=shared.landmarks if kind == "nystrom" else 0,
        relative_position=shared.relative_position,
        noise=both["noise"],
    )


def _check_nystrom(shared: SharedSettings, network: str, side: int) -> None:
    if (side * side) % shared.landmarks:
        raise Impossible(
            "model.landmarks",
            shared.landmarks,
            f"a divisor of the {network}'s {side * side} tokens at {side} x {side}",
        )
    if shared.relative_position:
        raise Impossible(
            "model.relative_position",
            True,
            "false with attention=nystrom, which never forms the token-by-token scores a bias is added to",
        )
