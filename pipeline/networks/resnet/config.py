"""Settings of residual convolutional networks, as a person writes them in params.yaml.

`preset` names a published network; every other setting is null (what the preset has) or takes its place.
"""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.base.schema import Strict

Preset = Literal["wgan_gp", "sngan", "autogan"]
Norm = Literal["batch", "none"]
Upsample = Literal["nearest", "bilinear"]
Pooling = Literal["mean", "sum"]
Init = Literal["he", "xavier"]
Positive = Annotated[int, Field(ge=1)]
Gain = Annotated[float, Field(gt=0)]


class Cell(Strict):
    """An up-block of the generator; it doubles the side."""

    width: Positive  # channels
    upsample: Upsample
    shortcut: bool  # a 1 x 1 convolution of the upsampled input, added to the output
    skips: list[
        Annotated[int, Field(ge=0)]
    ] = []  # earlier cells, from 0, whose first feature map is added to this one's


class Block(Strict):
    """A block of the discriminator."""

    width: Positive  # channels
    downsample: bool  # 2 x 2 average pooling at its end


class GeneratorSettings(Strict):
    """`model.generator.resnet`."""

    family: Literal["resnet"] = "resnet"
    preset: Preset
    latent_dim: Positive | None = None  # z ~ N(0, I); 128 (64 at 8 x 8)
    base_side: Positive | None = None  # pixels a side of the first feature map; 4 at 32 x 32, 6 at 48 x 48, 2 at 8 x 8
    width: Positive | None = None  # channels of the first feature map; the preset's cells keep their ratio to it
    cells: Annotated[list[Cell], Field(min_length=1)] | None = None
    norm: Norm | None = None  # before both convolutions of every cell
    rgb_norm: Norm | None = None  # before the convolution to RGB
    tanh: bool | None = None  # pixels squashed into (-1, 1)
    init: Init | None = None  # see `pipeline.networks.resnet.initialise`
    residual_gain: Gain | None = None  # of the 3 x 3 convolutions in cells; null with `init` given: that scheme's own


class DiscriminatorSettings(Strict):
    """`model.discriminator.resnet`."""

    family: Literal["resnet"] = "resnet"
    preset: Preset
    width: Positive | None = None  # channels of the last block; the preset's other blocks keep their ratio to it
    blocks: Annotated[list[Block], Field(min_length=1)] | None = None
    spectral_norm: bool | None = None  # every weight divided by its largest singular value (Miyato et al. 2018)
    pooling: Pooling | None = None  # of the last feature map, over its pixels
    head_bias: bool | None = None  # whether the last linear layer has one
    init: Init | None = None
    residual_gain: Gain | None = None
