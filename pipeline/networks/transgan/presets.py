"""TransGAN's published sizes, by the data set they were made for.

cifar10, stl10      the released code (Table 6 of the paper has the same widths and depths)
celeba128           the generator of Table 6 of arXiv 2102.07074v4 by a second-hand reading: 151,512,455 parameters
celeba64            neither was released: the generator of celeba128 without its last stage
celebahq256         the generator of June 2021 for CelebA-HQ and LSUN Church; D by the paper's figure
"""

from dataclasses import dataclass

from pipeline.networks.transgan.config import DiscriminatorStage, GeneratorStage, Preset, Upsample


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
