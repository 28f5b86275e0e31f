"""TransGAN (Jiang et al. 2021): transformers alone, see `pipeline.networks.families` for what this module provides."""

from pipeline.networks.transgan.config import DiscriminatorSettings, GeneratorSettings
from pipeline.networks.transgan.spec import DiscriminatorSpec, GeneratorSpec, resolve_discriminator, resolve_generator

__all__ = [
    "ATTENTION",
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

GENERATOR = "pipeline.networks.transgan.generator:Generator"
DISCRIMINATOR = "pipeline.networks.transgan.discriminator:Discriminator"
ATTENTION = "pipeline.networks.transgan.attention_maps:attention_maps"
USES_SHARED = True
RECOMPUTES = True
