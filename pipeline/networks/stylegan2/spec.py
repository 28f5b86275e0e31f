"""StyleGAN2 (Karras et al. 2020): settings as a person writes them, presets, and networks resolved.

A preset names the whole network; every other setting is optional and replaces the preset's value.

diffaug   Zhao et al. 2020, the CIFAR config: half of StyleGAN2's usual width, its other defaults
ada       Karras et al. 2020 (StyleGAN2-ADA), config `cifar`: 512 channels everywhere, D without shortcuts
small     ours, for images of 8 x 8 on a CPU
"""

from typing import Annotated, Any, ClassVar, Literal

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
Widths = Annotated[list[Positive], Field(min_length=2)]  # channels at 4 x 4, 8 x 8 and so on to the image's side


class Settings(Strict):
    """Of either network."""

    preset: Preset
    channel_base: Positive | None = None  # channels at side s: min(channel_base / s, channel_max)
    channel_max: Positive | None = None


class GeneratorSettings(Settings):
    """`model.generator.stylegan2`."""

    latent_dim: Positive | None = None  # z ~ N(0, I)
    style_dim: Positive | None = None  # width of the mapping network and of the style vector w
    mapping_layers: Positive | None = None  # linear layers from z to w


class DiscriminatorSettings(Settings):
    """`model.discriminator.stylegan2`."""

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


class GeneratorSpec(base.GeneratorSpec):
    """A StyleGAN2 generator, every number explicit."""

    family: Literal["stylegan2"] = "stylegan2"
    style_dim: Positive
    mapping_layers: Positive
    widths: Widths


class DiscriminatorSpec(base.DiscriminatorSpec):
    """A StyleGAN2 discriminator, every number explicit."""

    family: Literal["stylegan2"] = "stylegan2"
    residual: bool  # a 1 x 1 shortcut around the convolutions of every side
    minibatch_group: Group
    widths: Widths

    batch_statistics: ClassVar[bool] = True

    @property
    def batch_unit(self) -> int:
        return self.minibatch_group


def resolve_generator(own: GeneratorSettings, shared: Any, resolution: int, channels: int) -> GeneratorSpec:
    """Errors: `Impossible` for a side that doubling from 4 does not reach, and for widths of less than one channel."""
    return GeneratorSpec(**_with_widths("generator", GENERATORS[own.preset] | given_values(own), resolution))


def resolve_discriminator(own: DiscriminatorSettings, shared: Any, resolution: int, channels: int) -> DiscriminatorSpec:
    """Errors: `Impossible` as for the generator."""
    return DiscriminatorSpec(
        **_with_widths("discriminator", DISCRIMINATORS[own.preset] | given_values(own), resolution)
    )


def _with_widths(network: str, values: dict[str, Any], resolution: int) -> dict[str, Any]:
    """`values` with the widths by the published rule in place of the settings that they follow from."""
    if resolution not in SIDES[1:]:
        allowed = f"a family for images of {resolution} x {resolution}; stylegan2 doubles from 4 x 4, to "
        raise Impossible(f"model.{network}.family", "stylegan2", allowed + " | ".join(map(str, SIDES[1:])))
    _, base, most = (values.pop(name) for name in ("preset", "channel_base", "channel_max"))
    if base < resolution:
        allowed = f"at least {resolution}: one channel at {resolution} x {resolution}"
        raise Impossible(f"model.{network}.channel_base", base, allowed)
    return values | {"widths": [min(base // side, most) for side in SIDES if side <= resolution]}
