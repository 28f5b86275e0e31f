"""Settings of the networks of October 2021, as a person writes them in params.yaml (`model`).

What stands directly under `model` (attention, norm, window, ...) means the same here as in the family transgan.
"""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.base.schema import Strict
from pipeline.networks.transgan.config import DiscriminatorStage, Norm, Positive, Upsample


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
