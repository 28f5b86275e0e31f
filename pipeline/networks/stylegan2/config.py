"""Settings of StyleGAN2's networks, as a person writes them: `model.generator.stylegan2` and D's.

A preset names the whole network; every other setting is optional and replaces the preset's value.
"""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.base.schema import Strict

Positive = Annotated[int, Field(ge=1)]
Preset = Literal["diffaug", "ada", "small"]
GeneratorArchitecture = Literal["skip", "residual"]
DiscriminatorArchitecture = Literal["residual", "skip", "orig"]


class GeneratorSettings(Strict):
    """`model.generator.stylegan2`; `None` is the preset's value."""

    family: Literal["stylegan2"] = "stylegan2"
    preset: Preset  # diffaug: DiffAugment's CIFAR config | ada: StyleGAN2-ADA's `cifar` | small: 8 x 8, for a CPU
    latent_dim: Positive | None = None  # z ~ N(0, I)
    style_dim: Positive | None = None  # width of the mapping network and of the style vector w
    mapping_layers: Positive | None = None  # linear layers from z to w
    channel_base: Positive | None = None  # channels at side s: min(channel_base / s, channel_max)
    channel_max: Positive | None = None
    architecture: GeneratorArchitecture | None = None  # skip: RGB of all sides is summed | residual: RGB at the last


class DiscriminatorSettings(Strict):
    """`model.discriminator.stylegan2`; `None` is the preset's value."""

    family: Literal["stylegan2"] = "stylegan2"
    preset: Preset
    channel_base: Positive | None = None
    channel_max: Positive | None = None
    architecture: DiscriminatorArchitecture | None = None  # orig: neither shortcuts nor images at smaller sides
    minibatch_group: Annotated[int, Field(ge=0)] | None = None  # images per minibatch standard deviation; 0: none


class GeneratorPreset(Strict):
    """Sizes of a published configuration's generator."""

    latent_dim: Positive
    style_dim: Positive
    mapping_layers: Positive
    channel_base: Positive
    channel_max: Positive
    architecture: GeneratorArchitecture


class DiscriminatorPreset(Strict):
    """Sizes of a published configuration's discriminator."""

    channel_base: Positive
    channel_max: Positive
    architecture: DiscriminatorArchitecture
    minibatch_group: Annotated[int, Field(ge=0)]


# diffaug: Zhao et al. 2020, the CIFAR config: half of StyleGAN2's usual width, its other defaults.
# ada: Karras et al. 2020 (StyleGAN2-ADA), config `cifar`: 512 channels everywhere, D without shortcuts.
# small: ours, for images of 8 x 8 on a CPU.
GENERATORS: dict[Preset, GeneratorPreset] = {
    "diffaug": GeneratorPreset(
        latent_dim=512, style_dim=512, mapping_layers=8, channel_base=4096, channel_max=512, architecture="skip"
    ),
    "ada": GeneratorPreset(
        latent_dim=512, style_dim=512, mapping_layers=2, channel_base=32768, channel_max=512, architecture="skip"
    ),
    "small": GeneratorPreset(
        latent_dim=64, style_dim=96, mapping_layers=2, channel_base=384, channel_max=96, architecture="skip"
    ),
}
DISCRIMINATORS: dict[Preset, DiscriminatorPreset] = {
    "diffaug": DiscriminatorPreset(channel_base=4096, channel_max=512, architecture="residual", minibatch_group=4),
    "ada": DiscriminatorPreset(channel_base=32768, channel_max=512, architecture="orig", minibatch_group=32),
    "small": DiscriminatorPreset(channel_base=256, channel_max=64, architecture="residual", minibatch_group=4),
}
