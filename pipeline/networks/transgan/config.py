"""Settings of TransGAN's networks, as a person writes them: `model` in params.yaml and conf/.

A preset names a published size, by the data set it was made for; every other setting replaces the preset's value.

cifar10, stl10      the released code (Table 6 of the paper has the same widths and depths)
celeba128           the generator of Table 6 of arXiv 2102.07074v4 by a second-hand reading: 151,512,455 parameters
celeba64            neither was released: the generator of celeba128 without its last stage
celebahq256         the generator of June 2021 for CelebA-HQ and LSUN Church; D by the paper's figure
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from pipeline.base.schema import Strict

Attention = Literal["standard", "grid", "nystrom", "axis"]
Norm = Literal["token", "layer", "batch", "instance", "none"]
Upsample = Literal["none", "bicubic", "pixel_shuffle"]
Preset = Literal["cifar10", "stl10", "celeba64", "celeba128", "celebahq256"]
Positive = Annotated[int, Field(ge=1)]


class GeneratorStage(Strict):
    """One resolution of the generator; the side follows from `base_side` and the upsamplings before it."""

    upsample: Upsample  # on entering: bicubic keeps the width, pixel_shuffle divides it by 4
    width: Positive  # channels per token
    depth: Positive  # transformer blocks


class DiscriminatorStage(Strict):
    """One resolution of the discriminator; the first has resolution / patch tokens a side, each next one half."""

    width: Positive  # channels per token, after a coarser patch scale was concatenated
    depth: Positive  # transformer blocks
    full_blocks: Annotated[int, Field(ge=0)] = 0  # the last so many attend over the whole map (released Church-256: 1)


class GeneratorSettings(Strict):
    """`model.generator.transgan`."""

    family: Literal["transgan"] = "transgan"
    preset: Preset | None = None
    latent_dim: Positive | None = None  # z ~ N(0, I); 256 for CIFAR-10, 512 elsewhere (released code)
    base_side: Positive | None = None  # side of the first token map, 8 (12 for STL-10)
    stages: Annotated[list[GeneratorStage], Field(min_length=1)] | None = None
    heads: Positive | None = None  # None: the shared setting of the same name
    norm: Norm | None = None
    window: Positive | None = None
    noise: bool | None = None


class DiscriminatorSettings(Strict):
    """`model.discriminator.transgan`."""

    family: Literal["transgan"] = "transgan"
    preset: Preset | None = None
    patch: Positive | None = None  # pixels a side of the finest patches, P; coarser scales are 2P, 4P
    stages: Annotated[list[DiscriminatorStage], Field(min_length=1)] | None = None
    cls_depth: Positive | None = None  # blocks after the [cls] token joined (1 in the released code)
    heads: Positive | None = None
    norm: Norm | None = None
    window: Positive | None = None
    noise: bool | None = None


class SharedSettings(Strict):
    """What stands directly under `model`: settings of both networks where they are transformers."""

    attention: Attention  # used on maps of at least `attention_from` tokens a side (paper 4.3)
    attention_from: Positive  # 64 in the paper; below it attention is standard
    window: Positive  # tokens a side of a grid cell; 16 in the paper
    landmarks: Positive  # Nystroem landmarks; 64 in Xiong et al. 2021
    norm: Norm  # token: y = x / sqrt(mean(x^2) + 1e-8) (paper 5.3)
    relative_position: bool  # learned bias on attention scores, beside the absolute embedding (paper 5.2)
    scales: Annotated[int, Field(ge=1, le=3)]  # patch scales P, 2P, 4P; at most one per discriminator stage (paper 4.2)
    noise: bool  # per-token noise x learned scalar before attention (released code only)
    heads: Positive  # 4 everywhere in the released code
    mlp_ratio: Positive  # hidden width of the MLP over token width; 4


@dataclass(frozen=True, kw_only=True)
class GeneratorPreset:
    latent_dim: int
    base_side: int
    stages: list[GeneratorStage]


@dataclass(frozen=True, kw_only=True)
class DiscriminatorPreset:
    patch: int
    cls_depth: int
    stages: list[DiscriminatorStage]


def _generator(latent_dim: int, base_side: int, *stages: tuple[Upsample, int, int]) -> GeneratorPreset:
    listed = [GeneratorStage(upsample=upsample, width=width, depth=depth) for upsample, width, depth in stages]
    return GeneratorPreset(latent_dim=latent_dim, base_side=base_side, stages=listed)


def _discriminator(patch: int, *stages: tuple[int, int]) -> DiscriminatorPreset:
    listed = [DiscriminatorStage(width=width, depth=depth) for width, depth in stages]
    return DiscriminatorPreset(patch=patch, cls_depth=1, stages=listed)


GENERATORS: dict[Preset, GeneratorPreset] = {
    "cifar10": _generator(256, 8, ("none", 1024, 5), ("pixel_shuffle", 256, 4), ("pixel_shuffle", 64, 2)),
    "stl10": _generator(512, 12, ("none", 1024, 7), ("pixel_shuffle", 256, 5), ("pixel_shuffle", 64, 3)),
    "celeba64": _generator(
        512, 8, ("none", 1024, 5), ("bicubic", 1024, 4), ("pixel_shuffle", 256, 4), ("pixel_shuffle", 64, 4)
    ),
    "celeba128": _generator(
        512,
        8,
        ("none", 1024, 5),
        ("bicubic", 1024, 4),
        ("pixel_shuffle", 256, 4),
        ("pixel_shuffle", 64, 4),
        ("pixel_shuffle", 16, 4),
    ),
    "celebahq256": _generator(
        512,
        8,
        ("none", 1024, 5),
        ("bicubic", 1024, 4),
        ("bicubic", 1024, 4),
        ("pixel_shuffle", 256, 4),
        ("pixel_shuffle", 64, 4),
        ("pixel_shuffle", 16, 4),
    ),
}
DISCRIMINATORS: dict[Preset, DiscriminatorPreset] = {
    "cifar10": _discriminator(2, (288, 3), (384, 3)),
    "stl10": _discriminator(2, (288, 3), (384, 3)),
    "celeba64": _discriminator(2, (96, 3), (192, 3), (384, 3)),
    "celeba128": _discriminator(2, (96, 3), (192, 3), (384, 4)),
    "celebahq256": _discriminator(4, (96, 3), (192, 3), (384, 4)),
}
