"""From settings to specs: presets filled in, widths by the published rule, impossible geometries refused."""

from typing import Any, TypeVar

from pipeline.networks.spec import Impossible
from pipeline.networks.stylegan2.config import (
    DISCRIMINATORS,
    GENERATORS,
    DiscriminatorPreset,
    DiscriminatorSettings,
    GeneratorPreset,
    GeneratorSettings,
)
from pipeline.networks.stylegan2.spec import DiscriminatorSpec, GeneratorSpec, StageSpec
from pipeline.networks.transgan.config import SharedSettings

FIRST_SIDE = 4  # of the learned constant, and of D's last map
SIDES = (8, 16, 32, 64, 128, 256)  # of an image

Preset = TypeVar("Preset", GeneratorPreset, DiscriminatorPreset)


def resolve_generator(
    settings: GeneratorSettings, shared: SharedSettings, *, resolution: int, channels: int
) -> GeneratorSpec:
    """Spell out the generator for images of `resolution` x `resolution`.

    Errors: `Impossible` for a resolution that doubling from 4 does not reach, and for widths of less than one channel.
    """
    whole = _filled(GENERATORS[settings.preset], settings)
    stages = _stages("generator", whole, resolution)
    return GeneratorSpec(**whole.model_dump(exclude={"channel_base", "channel_max"}), stages=stages)


def resolve_discriminator(
    settings: DiscriminatorSettings, shared: SharedSettings, *, resolution: int, channels: int
) -> DiscriminatorSpec:
    """Spell out the discriminator for images of `resolution` x `resolution`.

    Errors: `Impossible` as for the generator, and for groups of a single image, whose deviation is always 0.
    """
    whole = _filled(DISCRIMINATORS[settings.preset], settings)
    if whole.minibatch_group == 1:
        raise Impossible("model.discriminator.minibatch_group", 1, "0 (none), or at least 2 images")
    stages = _stages("discriminator", whole, resolution)[::-1]
    return DiscriminatorSpec(**whole.model_dump(exclude={"channel_base", "channel_max"}), stages=stages)


def _filled(preset: Preset, settings: GeneratorSettings | DiscriminatorSettings) -> Preset:
    """The preset with what the settings give in its place."""
    given: dict[str, Any] = settings.model_dump(exclude={"family", "preset"}, exclude_none=True)
    return preset.model_copy(update=given)


def _stages(network: str, whole: GeneratorPreset | DiscriminatorPreset, resolution: int) -> list[StageSpec]:
    """Widths by the rule of the published code, channels halving as the side doubles, from 4 x 4 to the image."""
    if resolution not in SIDES:
        allowed = f"a family for images of {resolution} x {resolution}; stylegan2 doubles from 4 x 4, to "
        raise Impossible(f"model.{network}.family", "stylegan2", allowed + " | ".join(map(str, SIDES)))
    if whole.channel_base < resolution:
        allowed = f"at least {resolution}: one channel at {resolution} x {resolution}"
        raise Impossible(f"model.{network}.channel_base", whole.channel_base, allowed)
    sides = [FIRST_SIDE, *(side for side in SIDES if side <= resolution)]
    return [StageSpec(side=side, width=min(whole.channel_base // side, whole.channel_max)) for side in sides]
