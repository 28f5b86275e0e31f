"""The CelebA-HQ networks that were released in October 2021, after the paper.

See `pipeline.networks.families` for what this module provides, and the module of each network for what is different.
"""

from pipeline.networks.transgan_oct2021.config import DiscriminatorSettings, GeneratorSettings
from pipeline.networks.transgan_oct2021.spec import (
    DiscriminatorSpec,
    GeneratorSpec,
    resolve_discriminator,
    resolve_generator,
)

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

GENERATOR = "pipeline.networks.transgan_oct2021.generator:Generator"
DISCRIMINATOR = "pipeline.networks.transgan_oct2021.discriminator:Discriminator"
ATTENTION = "pipeline.networks.transgan.attention_maps:attention_maps"
USES_SHARED = True
RECOMPUTES = True
