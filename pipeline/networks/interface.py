"""What training, sampling, measuring and the report may know of a network. Everything else is a family's own business.

A family (`pipeline.networks.families`) provides one class of each kind. Nothing outside its folder touches a parameter
by name.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.networks.families import discriminator_class, generator_class
from pipeline.networks.spec import NetworkSpec


class Network(nn.Module):
    """What generators and discriminators have in common."""

    batch_statistics: bool = False  # whether a result depends on the other images of its batch

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.parameters()).device

    def set_recompute(self, on: bool) -> None:
        """Activation checkpointing. Errors: `NotImplementedError` where the family has none and `on` is true."""
        if on:
            raise NotImplementedError(f"{type(self).__module__} cannot recompute activations")

    def start_step(self) -> None:
        """Before the passes of a training step: moves what moves by the step and not by the pass (spectral norm)."""


class Generator(Network, ABC):
    """Latents z (B, latent_dim) ~ N(0, I) -> images (B, channels, resolution, resolution), real pixels in [-1, 1]."""

    latent_dim: int
    resolution: int  # pixels a side
    channels: int

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor: ...


class Discriminator(Network, ABC):
    """Images (B, channels, resolution, resolution) in [-1, 1] -> scores (B,), higher means more real; no sigmoid.

    `twice`: the scores will be differentiated a second time (gradient penalty), which no fused attention kernel can do.
    """

    @abstractmethod
    def forward(self, images: Tensor, *, twice: bool = False) -> Tensor: ...


@dataclass(frozen=True)
class AttentionMaps:
    """Where the query tokens of one attention layer look, for a family that has attention."""

    kind: str  # standard | grid | axis | nystrom, or a family's own word
    stage: int  # of the generator, from 0
    side: int  # tokens a side of the layer's map
    window: int  # tokens a side of the area inside which attention is computed
    queries: list[tuple[int, int]]  # row and column of each query token
    weights: np.ndarray  # (B, heads, queries, side, side)
    tables: list[tuple[str, np.ndarray]]  # relative positions: (name, (heads, 2h - 1, 2w - 1)); [] without


class StepConstant(nn.Module, ABC):
    """A module whose output depends on its parameters alone, so that all passes of one training step may share it.

    The step puts the tensor into the buffer `shared`; while that is empty, every call computes its own.
    """

    shared: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shared", torch.empty(0), persistent=False)

    @abstractmethod
    def compute(self) -> Tensor: ...

    def forward(self) -> Tensor:
        return self.shared if self.shared.numel() else self.compute()


def build_generator(spec: NetworkSpec) -> Generator:
    """The generator of `spec` with fresh weights from torch's global random number generator."""
    return generator_class(spec.generator.family)(spec)


def build_discriminator(spec: NetworkSpec) -> Discriminator:
    """The discriminator of `spec` with fresh weights from torch's global random number generator."""
    return discriminator_class(spec.discriminator.family)(spec)
