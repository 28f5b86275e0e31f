"""Normalisations on token sequences (B, N, C): the paper's token-wise one and those it is compared with."""

import torch
from torch import Tensor, nn

from pipeline.networks.distributed import batch_norm


class TokenNorm(nn.Module):
    """y = x / sqrt(mean_C(x^2) + 1e-8): each token scaled to unit root mean square; no parameters (paper 5.3)."""

    def forward(self, x_BNC: Tensor) -> Tensor:
        return x_BNC * torch.rsqrt(x_BNC.square().mean(dim=-1, keepdim=True) + 1e-8)


class TokenBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of every channel over all tokens of all images, with learned scale and shift.

    `running` keeps running statistics for sampling (generator). Without, the batch's own are used always: a
    discriminator is never in evaluation mode, and a penalty's derivative must not touch a buffer.
    """

    def __init__(self, width: int, *, running: bool):
        super().__init__(width, track_running_stats=running)

    def forward(self, x_BNC: Tensor) -> Tensor:
        return batch_norm(self, x_BNC.transpose(1, 2), super().forward).transpose(1, 2)


class TokenInstanceNorm(nn.Module):
    """Every channel of every image to zero mean and unit variance over its tokens; no parameters (eps 1e-5).

    A sequence of one token has no variance to divide by; it is normalised to zero.
    """

    def forward(self, x_BNC: Tensor) -> Tensor:
        centred = x_BNC - x_BNC.mean(dim=1, keepdim=True)
        return centred * torch.rsqrt(centred.square().mean(dim=1, keepdim=True) + 1e-5)


def uses_batch(network: nn.Module) -> bool:
    """Whether a norm of the network takes its statistics over the batch."""
    return any(isinstance(module, TokenBatchNorm) for module in network.modules())


def make_norm(kind: str, width: int, *, running: bool) -> nn.Module:
    """The module for `token | layer | batch | instance | none`; (B, N, C) in, (B, N, C) out."""
    if kind == "token":
        return TokenNorm()
    if kind == "layer":
        return nn.LayerNorm(width)
    if kind == "batch":
        return TokenBatchNorm(width, running=running)
    if kind == "instance":
        return TokenInstanceNorm()
    if kind == "none":
        return nn.Identity()
    raise ValueError(f"no such norm: {kind}")
