"""Residual convolutional GANs: WGAN-GP's and SNGAN's ResNets, AutoGAN; see `pipeline.model.families`."""

from pipeline.model.resnet.config import DiscriminatorSettings, GeneratorSettings
from pipeline.model.resnet.spec import DiscriminatorSpec, GeneratorSpec, resolve_discriminator, resolve_generator

__all__ = [
    "DISCRIMINATOR",
    "GENERATOR",
    "RECOMPUTES",
    "USES_SHARED",
    "DiscriminatorSettings",
    "DiscriminatorSpec",
    "GeneratorSettings",
    "GeneratorSpec",
    "resolve_discriminator",
    "resolve_generator",
]

GENERATOR = "pipeline.model.resnet.generator:Generator"
DISCRIMINATOR = "pipeline.model.resnet.discriminator:Discriminator"
USES_SHARED = False
RECOMPUTES = True
