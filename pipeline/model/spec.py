"""What a configuration means: every block of both networks spelled out, in plain numbers, before torch is imported.

`resolve` turns settings into a `NetworkSpec`. It is canonical: settings that have no effect on the network do not
appear in it (grid attention below its threshold *is* standard attention), so two cells whose specs are equal are the
same network. The plan stage writes it; the networks are built from nothing else.
"""

from typing import Literal

from pipeline.errors import UserError
from pipeline.model.config import Attention, ModelConfig, Norm, Positive, Upsample
from pipeline.strict import Strict


class BlockSpec(Strict):
    """`depth` equal transformer blocks on a map of `side` x `side` tokens."""

    depth: Positive
    side: Positive
    width: Positive
    heads: Positive
    mlp_ratio: Positive
    norm: Norm
    attention: Attention
    window: int                 # tokens a side of the area inside which attention is computed; `side` unless grid
    landmarks: int              # 0 unless nystrom
    relative_position: bool
    noise: bool


class GeneratorStageSpec(Strict):
    upsample: Upsample
    blocks: list[BlockSpec]


class DiscriminatorStageSpec(Strict):
    """`patch` > 0: patches of that size are embedded to `embed_width` channels and join the tokens; 0: no patch scale
    here, and the same channels come from a linear layer on the pooled tokens instead (single-scale baseline)."""

    patch: int
    embed_width: int
    blocks: list[BlockSpec]


class GeneratorSpec(Strict):
    latent_dim: Positive
    stages: list[GeneratorStageSpec]


class DiscriminatorSpec(Strict):
    stages: list[DiscriminatorStageSpec]
    cls: BlockSpec


class NetworkSpec(Strict):
    resolution: Positive        # pixels a side of an image
    channels: Literal[1, 3]
    generator: GeneratorSpec
    discriminator: DiscriminatorSpec

    @property
    def batch_statistics(self) -> bool:
        """Whether a result depends on the other images of its batch, in either network."""
        networks = (self.generator, self.discriminator)
        blocks = [block for network in networks for stage in network.stages for block in stage.blocks]
        return any(block.norm == "batch" for block in [*blocks, self.discriminator.cls])


class Impossible(UserError):
    """Settings that are fine one by one and do not fit together; `key` is the setting to change."""

    def __init__(self, key: str, given: object, allowed: str):
        super().__init__(f"{key}: given {given!r}; allowed: {allowed}")
        self.key, self.given, self.allowed = key, given, allowed


def resolve(model: ModelConfig, *, resolution: int, channels: int) -> NetworkSpec:
    """Spell out both networks for images of `resolution` x `resolution` x `channels`.

    Errors: `Impossible` where a grid does not divide its map, heads do not divide a width, landmarks do not divide the
    tokens, patches do not divide the image, or the generator's stages do not end at the resolution.
    """
    return NetworkSpec(
        resolution=resolution,
        channels=channels,
        generator=_generator(model, resolution),
        discriminator=_discriminator(model, resolution),
    )


def _generator(model: ModelConfig, resolution: int) -> GeneratorSpec:
    settings = model.generator
    stages, side, width = [], settings.base_side, None
    for index, stage in enumerate(settings.stages):
        key = f"model.generator.stages.{index}"
        if (index == 0) != (stage.upsample == "none"):
            raise Impossible(f"{key}.upsample", stage.upsample, "none for the first stage, bicubic | pixel_shuffle after it")
        if stage.upsample == "bicubic" and stage.width != width:
            raise Impossible(f"{key}.width", stage.width, f"{width}: bicubic upsampling keeps the width")
        if stage.upsample == "pixel_shuffle" and stage.width * 4 != width:
            raise Impossible(f"{key}.width", stage.width, f"a quarter of {width}: pixel shuffle divides the width by 4")
        side, width = side * (1 if stage.upsample == "none" else 2), stage.width
        blocks = [_blocks(model, "generator", side=side, width=width, depth=stage.depth)]
        stages.append(GeneratorStageSpec(upsample=stage.upsample, blocks=blocks))
    if side != resolution:
        raise Impossible("model.generator.stages", f"stages that end at {side} x {side}", f"stages that end at the resolution, {resolution} x {resolution}")
    return GeneratorSpec(latent_dim=settings.latent_dim, stages=stages)


def _discriminator(model: ModelConfig, resolution: int) -> DiscriminatorSpec:
    settings = model.discriminator
    stages, patch, before = [], settings.patch, 0
    for index, stage in enumerate(settings.stages):
        key = f"model.discriminator.stages.{index}"
        if resolution % patch:
            raise Impossible("model.discriminator.patch", settings.patch, f"a size whose {patch}-pixel patches divide {resolution} pixels")
        if stage.full_blocks > stage.depth:
            raise Impossible(f"{key}.full_blocks", stage.full_blocks, f"at most the stage's depth, {stage.depth}")
        if stage.width < before:
            raise Impossible(f"{key}.width", stage.width, f"at least the width of the stage before, {before}")
        added = stage.width - before
        shape = {"side": resolution // patch, "width": stage.width}
        groups = [_blocks(model, "discriminator", depth=stage.depth - stage.full_blocks, **shape)] if stage.depth > stage.full_blocks else []
        if stage.full_blocks:
            groups.append(_blocks(model, "discriminator", depth=stage.full_blocks, attention="standard", **shape))
        if len(groups) == 2 and groups[0].attention == "standard":
            groups = [groups[0].model_copy(update={"depth": stage.depth})]
        scaled = index < model.scales and added > 0
        stages.append(DiscriminatorStageSpec(patch=patch if scaled else 0, embed_width=added, blocks=groups))
        patch, before = patch * 2, stage.width
    last = _blocks(model, "discriminator", side=shape["side"], width=before, depth=settings.cls_depth, attention="standard")
    # The [cls] token has no place on the map, so these blocks have no relative position (released code).
    return DiscriminatorSpec(stages=stages, cls=last.model_copy(update={"relative_position": False}))


def _blocks(model: ModelConfig, network: str, *, side: int, width: int, depth: int, attention: Attention | None = None) -> BlockSpec:
    heads, norm, window, noise = (_own(model, network, name) for name in ("heads", "norm", "window", "noise"))
    if width % heads[1]:
        raise Impossible(heads[0], heads[1], f"a divisor of the {network}'s width {width}")
    kind = attention or (model.attention if side >= model.attention_from else "standard")
    if kind == "grid" and side % window[1]:
        raise Impossible(window[0], window[1], f"a divisor of the {network}'s {side} x {side} feature map")
    if kind == "grid" and window[1] == side:
        kind = "standard"
    if kind == "nystrom" and model.landmarks >= side * side:
        kind = "standard"
    if kind == "nystrom" and (side * side) % model.landmarks:
        raise Impossible("model.landmarks", model.landmarks, f"a divisor of the {network}'s {side * side} tokens at {side} x {side}")
    if kind == "nystrom" and model.relative_position:
        raise Impossible("model.relative_position", True, "false with attention=nystrom, which never forms the token-by-token scores a bias is added to")
    return BlockSpec(
        depth=depth,
        side=side,
        width=width,
        heads=heads[1],
        mlp_ratio=model.mlp_ratio,
        norm=norm[1],
        attention=kind,
        window=window[1] if kind == "grid" else side,
        landmarks=model.landmarks if kind == "nystrom" else 0,
        relative_position=model.relative_position,
        noise=noise[1],
    )


def _own(model: ModelConfig, network: str, name: str) -> tuple[str, object]:
    """(key, value) of a setting that a network may set for itself."""
    value = getattr(getattr(model, network), name)
    return (f"model.{network}.{name}", value) if value is not None else (f"model.{name}", getattr(model, name))
