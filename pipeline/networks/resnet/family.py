"""Residual convolutional GANs: WGAN-GP's and SNGAN's ResNets, AutoGAN; see `pipeline.networks.families`."""

from pipeline.networks.resnet.config import DiscriminatorSettings, GeneratorSettings
from pipeline.networks.resnet.spec import DiscriminatorSpec, GeneratorSpec, resolve_discriminator, resolve_generator

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

GENERATOR = "pipeline.networks.resnet.generator:Generator"
DISCRIMINATOR = "pipeline.networks.resnet.discriminator:Discriminator"
USES_SHARED = False
RECOMPUTES = True
