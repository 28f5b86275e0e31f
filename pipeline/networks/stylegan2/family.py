"""StyleGAN2 (Karras et al. 2020), see `pipeline.networks.families` for what this module provides."""

from pipeline.networks.stylegan2.config import DiscriminatorSettings, GeneratorSettings
from pipeline.networks.stylegan2.resolve import resolve_discriminator, resolve_generator
from pipeline.networks.stylegan2.spec import DiscriminatorSpec, GeneratorSpec

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

GENERATOR = "pipeline.networks.stylegan2.generator:Generator"
DISCRIMINATOR = "pipeline.networks.stylegan2.discriminator:Discriminator"
USES_SHARED = False
RECOMPUTES = True
