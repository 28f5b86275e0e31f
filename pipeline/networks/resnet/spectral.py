"""Spectral normalisation (Miyato et al. 2018): weights divided by their largest singular value sigma.

A weight is taken as a matrix W (outputs, inputs x kernel x kernel). Its leading singular vectors are tracked by power
iteration in the buffers `u` (outputs,) and `v` (inputs x kernel x kernel,), which are part of the state dict:

    v <- W^T u / ||W^T u||,   u <- W v / ||W v||,   sigma = u^T W v

The iteration moves once per training step (`iterate`), not once per forward pass: all passes of a step, its parts and
activations computed again see one weight. sigma is differentiated with u and v held fixed, as published.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks.interface import StepConstant
from pipeline.networks.precision import full_precision

FIRST_ITERATIONS = 15  # for new weights, so that their very first scores are near to normalised


class Spectral(Protocol):
    """A layer with spectral norm: its weight and the vectors of its power iteration."""

    weight: Tensor
    u: Tensor
    v: Tensor


def add_vectors(module: nn.Module, weight: Tensor) -> None:
    """Random unit vectors from torch's global generator, as buffers `u` and `v`."""
    matrix = weight.detach().flatten(1)
    for name, size in zip("uv", matrix.shape, strict=True):
        module.register_buffer(name, F.normalize(torch.randn(size, device=weight.device, dtype=weight.dtype), dim=0))


@torch.no_grad()
def power_iteration(module: Spectral, count: int) -> None:
    """Move u and v in place."""
    matrix = module.weight.detach().flatten(1)
    for _ in range(count):
        module.v.copy_(F.normalize(torch.mv(matrix.t(), module.u), dim=0))
        module.u.copy_(F.normalize(torch.mv(matrix, module.v), dim=0))


def normalised(module: Spectral) -> Tensor:
    """weight / sigma, shaped as the weight, in the weight's own precision."""
    weight = module.weight
    with full_precision(weight):
        # Clones: an iteration moves the buffers in place, perhaps before a derivative asks for them.
        sigma = torch.dot(module.u.clone(), torch.mv(weight.flatten(1), module.v.clone()))
        return weight / sigma


class SpectralConv2d(nn.Conv2d, StepConstant):
    """A convolution with a spectrally normalised weight. (B, inputs, H, W) -> (B, outputs, H, W)."""

    u: Tensor
    v: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int):
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)
        add_vectors(self, self.weight)

    def compute(self) -> Tensor:
        return normalised(self)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]  # StepConstant's own takes nothing
        return self._conv_forward(x, StepConstant.forward(self), self.bias)


class SpectralLinear(nn.Linear, StepConstant):
    """A linear layer with a spectrally normalised weight. (B, inputs) -> (B, outputs)."""

    u: Tensor
    v: Tensor

    def __init__(self, inputs: int, outputs: int, bias: bool):
        super().__init__(inputs, outputs, bias)
        add_vectors(self, self.weight)

    def compute(self) -> Tensor:
        return normalised(self)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return F.linear(x, StepConstant.forward(self), self.bias)


def iterate(network: nn.Module, count: int = 1) -> None:
    """`count` power iterations of every spectrally normalised weight of `network`."""
    for module in network.modules():
        if isinstance(module, SpectralConv2d | SpectralLinear):
            power_iteration(module, count)
