"""The transformer block both networks are made of, and runs of equal blocks."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pipeline.networks.linear import Linear
from pipeline.networks.transgan.attention import AxisAttention, GridAttention, NystromAttention, SelfAttention
from pipeline.networks.transgan.norm import make_norm
from pipeline.networks.transgan.spec import BlockSpec


class GeluDerivative(torch.autograd.Function):
    """g, x -> g gelu'(x), with its own derivative in closed form: gelu''(x) = (2 - x^2) exp(-x^2 / 2) / sqrt(2 pi)."""

    @staticmethod
    def forward(gradient: Tensor, x: Tensor) -> Tensor:
        return torch.ops.aten.gelu_backward(gradient, x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, upper: Tensor) -> tuple[Tensor, Tensor]:
        gradient, x = ctx.saved_tensors
        square = x * x
        second = (2 - square) * torch.exp(-0.5 * square) * (gradient * upper) * (2 * math.pi) ** -0.5
        return torch.ops.aten.gelu_backward(upper, x), second


class TwiceGelu(torch.autograd.Function):
    """Exact GELU for what is differentiated twice: PyTorch's second derivative takes three times as long on a CPU."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return F.gelu(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return GeluDerivative.apply(gradient, x)


class Mlp(nn.Module):
    """Linear C -> rC, exact GELU, Linear rC -> C. `fused=False`: the GELU meant to be differentiated twice."""

    def __init__(self, width: int, ratio: int):
        super().__init__()
        self.fc1 = Linear(width, ratio * width)
        self.fc2 = Linear(ratio * width, width)

    def forward(self, x: Tensor, *, fused: bool = True) -> Tensor:
        hidden = self.fc1(x)
        # Inside torch.func.grad the compiler loses the second derivative of a custom function. It does not need one
        # either, as it fuses PyTorch's GELU by itself.
        plain = fused or torch.compiler.is_compiling()
        return self.fc2(F.gelu(hidden) if plain else TwiceGelu.apply(hidden))


class Block(nn.Module):
    """Pre-norm block: x + attention(norm1(x)), then x + mlp(norm2(x)), without dropout. (B, N, C) -> (B, N, C)."""

    def __init__(self, spec: BlockSpec, *, running: bool):
        super().__init__()
        self.norm1 = make_norm(spec.norm, spec.width, running=running)
        self.attention = make_attention(spec)
        self.norm2 = make_norm(spec.norm, spec.width, running=running)
        self.mlp = Mlp(spec.width, spec.mlp_ratio)

    def forward(self, x: Tensor, *, fused: bool = True) -> Tensor:
        x = x + self.attention(self.norm1(x), fused=fused)
        return x + self.mlp(self.norm2(x), fused=fused)


class Blocks(nn.ModuleList):
    """The blocks of one or more runs, in order. `running`: batch norms keep running statistics (generator).

    `recompute`: activations inside a block are not kept for the backward pass but computed a second time.
    """

    def __init__(self, specs: list[BlockSpec], *, running: bool):
        super().__init__(Block(spec, running=running) for spec in specs for _ in range(spec.depth))
        self.recompute = False

    def forward(self, x: Tensor, *, fused: bool = True) -> Tensor:
        for block in self:
            if self.recompute and torch.is_grad_enabled():
                x = checkpoint(block, x, fused=fused, use_reentrant=False)
            else:
                x = block(x, fused=fused)
        return x


def set_recompute(network: nn.Module, on: bool) -> None:
    """Switch activation checkpointing of every block of `network`."""
    for module in network.modules():
        if isinstance(module, Blocks):
            module.recompute = on


def make_attention(spec: BlockSpec) -> SelfAttention:
    """The attention module a block's spec names."""
    shape = (spec.width, spec.heads, spec.side)
    if spec.attention == "grid":
        return GridAttention(*shape, window=spec.window, relative_position=spec.relative_position, noise=spec.noise)
    if spec.attention == "axis":
        return AxisAttention(*shape, relative_position=spec.relative_position, noise=spec.noise)
    if spec.attention == "nystrom":
        return NystromAttention(*shape, landmarks=spec.landmarks, noise=spec.noise)
    return SelfAttention(*shape, relative_position=spec.relative_position, noise=spec.noise)


def position(side: int, width: int) -> nn.Parameter:
    """Learned absolute position embedding (1, side^2, width)."""
    return nn.Parameter(torch.zeros(1, side * side, width))


def to_map(x_BNC: Tensor, side: int) -> Tensor:
    """(B, N, C) -> (B, C, H, W)."""
    return x_BNC.transpose(1, 2).unflatten(2, (side, side))


def to_tokens(x_BCHW: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, N, C)."""
    return x_BCHW.flatten(2).transpose(1, 2)
