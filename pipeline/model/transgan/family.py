"""TransGAN (Jiang et al. 2021): transformers alone, see `pipeline.model.families` for what this module provides."""

from pipeline.model.transgan.config import DiscriminatorSettings, GeneratorSettings
from pipeline.model.transgan.spec import DiscriminatorSpec, GeneratorSpec, resolve_discriminator, resolve_generator

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

GENERATOR = "pipeline.model.transgan.generator:Generator"
DISCRIMINATOR = "pipeline.model.transgan.discriminator:Discriminator"
ATTENTION = "pipeline.model.transgan.attention_maps:attention_maps"
USES_SHARED = True
RECOMPUTES = True
