"""StyleGAN2 (Karras et al. 2020): settings as a person writes them, presets, and networks resolved.

A preset names the whole network; every other setting is optional and replaces the preset's value.

diffaug   Zhao et al. 2020, the CIFAR config: half of StyleGAN2's usual width, its other defaults
ada       Karras et al. 2020 (StyleGAN2-ADA), config `cifar`: 512 channels everywhere, D without shortcuts
small     ours, for images of 8 x 8 on a CPU
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.base.schema import Strict
from pipeline.networks import spec as base
from pipeline.networks.spec import Impossible, Positive, given_values

GENERATOR = "pipeline.networks.stylegan2.networks:Generator"
DISCRIMINATOR = "pipeline.networks.stylegan2.networks:Discriminator"
USES_SHARED = False
RECOMPUTES = True

SIDES = (4, 8, 16, 32, 64, 128, 256)  # of the learned constant and of D's last map, then of an image

Preset = Literal["diffaug", "ada", "small"]
Group = Annotated[int, Field(ge=2)]  # images per minibatch standard deviation


class GeneratorSettings(Strict):
    """`model.generator.stylegan2`; `None` is the preset's value."""

    preset: Preset
    latent_dim: Positive | None = None  # z ~ N(0, I)
    style_dim: Positive | None = None  # width of the mapping network and of the style vector w
    mapping_layers: Positive | None = None  # linear layers from z to w
    channel_base: Positive | None = None  # channels at side s: min(channel_base / s, channel_max)
    channel_max: Positive | None = None


class DiscriminatorSettings(Strict):
    """`model.discriminator.stylegan2`; `None` is the preset's value."""

    preset: Preset
    channel_base: Positive | None = None
    channel_max: Positive | None = None
    minibatch_group: Group | None = None


GENERATORS: dict[Preset, dict[str, Any]] = {
    "diffaug": {"latent_dim": 512, "style_dim": 512, "mapping_layers": 8, "channel_base": 4096, "channel_max": 512},
    "ada": {"latent_dim": 512, "style_dim": 512, "mapping_layers": 2, "channel_base": 32768, "channel_max": 512},
    "small": {"latent_dim": 64, "style_dim": 96, "mapping_layers": 2, "channel_base": 384, "channel_max": 96},
}
DISCRIMINATORS: dict[Preset, dict[str, Any]] = {
    "diffaug": {"channel_base": 4096, "channel_max": 512, "residual": True, "minibatch_group": 4},
    "ada": {"channel_base": 32768, "channel_max": 512, "residual": False, "minibatch_group": 32},
    "small": {"channel_base": 256, "channel_max": 64, "residual": True, "minibatch_group": 4},
}


class StageSpec(Strict):
    """The convolutions at one side."""

    side: Positive
    width: Positive  # channels


class GeneratorSpec(base.GeneratorSpec):
    """A StyleGAN2 generator, every number explicit."""

    family: Literal["stylegan2"] = "stylegan2"
    style_dim: Positive
    mapping_layers: Positive
    stages: list[StageSpec] = Field(min_length=2)  # from 4 x 4 to the image


class DiscriminatorSpec(base.DiscriminatorSpec):
    """A StyleGAN2 discriminator, every number explicit."""

    family: Literal["stylegan2"] = "stylegan2"
    residual: bool  # a 1 x 1 shortcut around the convolutions of every side
    minibatch_group: Group
    stages: list[StageSpec] = Field(min_length=2)  # from the image to 4 x 4

    @property
    def batch_statistics(self) -> bool:
        return True

    @property
    def batch_unit(self) -> int:
        return self.minibatch_group


def resolve_generator(own: GeneratorSettings, shared: Any, resolution: int, channels: int) -> GeneratorSpec:
    """Errors: `Impossible` for a side that doubling from 4 does not reach, and for widths of less than one channel."""
    values = GENERATORS[own.preset] | given_values(own)
    return GeneratorSpec(stages=_stages("generator", values, resolution), **values)


def resolve_discriminator(own: DiscriminatorSettings, shared: Any, resolution: int, channels: int) -> DiscriminatorSpec:
    """Errors: `Impossible` as for the generator."""
    values = DISCRIMINATORS[own.preset] | given_values(own)
    return DiscriminatorSpec(stages=_stages("discriminator", values, resolution)[::-1], **values)


def _stages(network: str, values: dict[str, Any], resolution: int) -> list[StageSpec]:
    """Widths by the published rule, from 4 x 4 to the image; takes what they follow from out of `values`."""
    if resolution not in SIDES[1:]:
        allowed = f"a family for images of {resolution} x {resolution}; stylegan2 doubles from 4 x 4, to "
        raise Impossible(f"model.{network}.family", "stylegan2", allowed + " | ".join(map(str, SIDES[1:])))
    _, base, most = (values.pop(name) for name in ("preset", "channel_base", "channel_max"))
    if base < resolution:
        allowed = f"at least {resolution}: one channel at {resolution} x {resolution}"
        raise Impossible(f"model.{network}.channel_base", base, allowed)
    return [StageSpec(side=side, width=min(base // side, most)) for side in SIDES if side <= resolution]
