"""An example of a family of networks in one file (CONTRIBUTING.md): multi-layer perceptrons of two layers.

`tests/test_contributing.py` copies this file to pipeline/networks/mlp.py in a copy of the project.
"""

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from pipeline.base.schema import Strict
from pipeline.networks import interface, spec
from pipeline.networks.interface import full_precision

GENERATOR = "pipeline.networks.mlp:Generator"
DISCRIMINATOR = "pipeline.networks.mlp:Discriminator"
USES_SHARED = False


class GeneratorSettings(Strict):
    """`model.generator.mlp`."""

    hidden: int = Field(ge=1)
    noise_dim: int = Field(ge=1)


class DiscriminatorSettings(Strict):
    """`model.discriminator.mlp`."""

    hidden: int = Field(ge=1)
    leak: float = Field(ge=0, lt=1)


class GeneratorSpec(spec.GeneratorSpec):
    """latents -> hidden -> pixels."""

    family: Literal["mlp"] = "mlp"
    hidden: int


class DiscriminatorSpec(spec.DiscriminatorSpec):
    """pixels -> hidden -> score."""

    family: Literal["mlp"] = "mlp"
    hidden: int
    leak: float


def resolve_generator(settings: GeneratorSettings, shared: Any, *, resolution: int, channels: int) -> GeneratorSpec:
    """Errors: `Impossible` for images of more than 64 pixels a side."""
    if resolution > 64:
        raise spec.Impossible("model.generator.family", "mlp", "images of 64 pixels a side at most")
    return GeneratorSpec(latent_dim=settings.noise_dim, hidden=settings.hidden)


def resolve_discriminator(
    settings: DiscriminatorSettings, shared: Any, *, resolution: int, channels: int
) -> DiscriminatorSpec:
    return DiscriminatorSpec(hidden=settings.hidden, leak=settings.leak)


class Generator(interface.Generator):
    """z (B, latent_dim) -> images (B, channels, resolution, resolution) in (-1, 1)."""

    def __init__(self, network: spec.NetworkSpec):
        super().__init__(network)
        own: GeneratorSpec = network.generator  # type: ignore[assignment]
        self.first = nn.Linear(own.latent_dim, own.hidden)
        self.last = nn.Linear(own.hidden, network.channels * network.resolution**2)

    def forward(self, z: Tensor) -> Tensor:
        hidden = torch.relu(self.first(z))
        with full_precision(hidden):
            pixels = torch.tanh(self.last(hidden.float()))
        return pixels.unflatten(1, (self.channels, self.resolution, self.resolution))


class Discriminator(interface.Discriminator):
    """Images (B, channels, resolution, resolution) in [-1, 1] -> scores (B,)."""

    def __init__(self, network: spec.NetworkSpec):
        super().__init__(network)
        own: DiscriminatorSpec = network.discriminator  # type: ignore[assignment]
        self.leak = own.leak
        self.first = nn.Linear(network.channels * network.resolution**2, own.hidden)
        self.last = nn.Linear(own.hidden, 1)

    def forward(self, images: Tensor, *, twice: bool = False) -> Tensor:
        hidden = nn.functional.leaky_relu(self.first(images.flatten(1)), self.leak)
        with full_precision(hidden):
            return self.last(hidden.float()).flatten()
