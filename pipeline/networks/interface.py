"""What training, sampling, measuring and the report may know of a network. Everything else is a family's own business.

A family (`pipeline.networks.families`) provides one class of each kind. Nothing outside its folder touches a parameter
by name.
"""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pipeline.networks.distributed import shown_batches
from pipeline.networks.families import load, load_attribute
from pipeline.networks.spec import NetworkSpec


class Network(nn.Module):
    """What generators and discriminators have in common."""

    batch_statistics: bool  # whether a result depends on the other images of its batch
    recompute: bool = False  # activation checkpointing

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.parameters()).device

    def set_recompute(self, on: bool) -> None:
        """Activation checkpointing, in every module that has a switch `recompute` (see `run_block`)."""
        for module in self.modules():
            if hasattr(module, "recompute"):
                module.recompute = on  # type: ignore[assignment]

    def start_step(self) -> None:
        """Before the passes of a training step: moves what moves by the step and not by the pass (spectral norm)."""


class Generator(Network, ABC):
    """Latents z (B, latent_dim) ~ N(0, I) -> images (B, channels, resolution, resolution), real pixels in [-1, 1]."""

    def __init__(self, spec: NetworkSpec):
        super().__init__()
        self.latent_dim, self.resolution, self.channels = spec.generator.latent_dim, spec.resolution, spec.channels
        self.batch_statistics = spec.generator.batch_statistics

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor: ...


class Discriminator(Network, ABC):
    """Images (B, channels, resolution, resolution) in [-1, 1] -> scores (B,), higher means more real; no sigmoid.

    `twice`: the scores will be differentiated a second time (gradient penalty), which no fused attention kernel can do.
    """

    def __init__(self, spec: NetworkSpec):
        super().__init__()
        self.batch_statistics = spec.discriminator.batch_statistics

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


class Linear(nn.Linear):
    """A linear layer whose weights a bf16 training casts once a step.

    `full_precision`: not cast, for layers whose outputs are pixels or scores.
    """

    def __init__(self, inputs: int, outputs: int, bias: bool = True, *, full_precision: bool = False):
        super().__init__(inputs, outputs, bias)
        self.full_precision = full_precision


def full_precision(x: Tensor) -> AbstractContextManager:
    """No autocast on x's device, whatever the training's precision; on `meta`, which has none, nothing."""
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)


def run_block(block: Any, *inputs: Any, recompute: bool, **settings: Any) -> Any:
    """`block(*inputs, **settings)`; with `recompute` activations are not kept for the backward pass but computed again.

    Batch norms leave their running statistics alone then: it is no other batch.
    """
    if not (recompute and torch.is_grad_enabled()):
        return block(*inputs, **settings)
    calls = count()

    def call(*inputs: Any) -> Any:
        with shown_batches(again=next(calls) > 0):
            return block(*inputs, **settings)

    return checkpoint(call, *inputs, use_reentrant=False)


def build_generator(spec: NetworkSpec) -> Generator:
    """The generator of `spec` with fresh weights from torch's global random number generator."""
    generator: Generator = load_attribute(load(spec.generator.family).GENERATOR)(spec)
    return generator


def build_discriminator(spec: NetworkSpec) -> Discriminator:
    """The discriminator of `spec` with fresh weights from torch's global random number generator."""
    discriminator: Discriminator = load_attribute(load(spec.discriminator.family).DISCRIMINATOR)(spec)
    return discriminator
