"""What both networks are made of: norms on tokens, the transformer block, resampling of a map of tokens."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks.distributed import batch_norm
from pipeline.networks.interface import Linear, full_precision, run_block
from pipeline.networks.transgan.attention import KINDS, CrossAttention
from pipeline.networks.transgan.derivatives import RmsNorm, TwiceGelu, few_launches
from pipeline.networks.transgan.spec import BlockSpec

EPSILON = 1e-8  # of the token norm


class TokenNorm(nn.Module):
    """y = x / sqrt(mean_C(x^2) + 1e-8): each token scaled to unit root mean square; no parameters (paper 5.3)."""

    def forward(self, x_BNC: Tensor) -> Tensor:
        if few_launches(x_BNC):
            return RmsNorm.apply(x_BNC, EPSILON)
        return F.rms_norm(x_BNC, x_BNC.shape[-1:], eps=EPSILON)


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
    """Every channel of every image to zero mean and unit variance over its tokens (of one token: to zero)."""

    def forward(self, x_BNC: Tensor) -> Tensor:
        centred = x_BNC - x_BNC.mean(dim=1, keepdim=True)
        return centred * torch.rsqrt(centred.square().mean(dim=1, keepdim=True) + 1e-5)


def make_norm(kind: str, width: int, *, running: bool) -> nn.Module:
    """The module for `token | layer | batch | instance | none`; (B, N, C) in, (B, N, C) out."""
    if kind == "batch":
        return TokenBatchNorm(width, running=running)
    if kind == "layer":
        return nn.LayerNorm(width)
    return {"token": TokenNorm, "instance": TokenInstanceNorm, "none": nn.Identity}[kind]()


class Mlp(nn.Module):
    """Linear C -> rC, exact GELU, Linear rC -> C. `fused=False`: the GELU meant to be differentiated twice."""

    def __init__(self, width: int, ratio: int):
        super().__init__()
        self.fc1 = Linear(width, ratio * width)
        self.fc2 = Linear(ratio * width, width)

    def forward(self, x: Tensor, *, fused: bool = True) -> Tensor:
        hidden = self.fc1(x)
        plain = fused or torch.compiler.is_compiling()  # compiled code has its own (`.derivatives`)
        return self.fc2(F.gelu(hidden) if plain else TwiceGelu.apply(hidden))


class Block(nn.Module):
    """Pre-norm block: x + attention(norm1(x)), then x + mlp(norm2(x)), without dropout. (B, N, C) -> (B, N, C).

    Given a sequence (B, M, E), with E = `sequence_width`, x attends to it first.
    """

    def __init__(self, spec: BlockSpec, *, running: bool, sequence_width: int):
        super().__init__()
        if sequence_width:
            self.cross_attention = CrossAttention(spec.width, sequence_width, spec.heads)
        self.norm1 = make_norm(spec.norm, spec.width, running=running)
        self.attention = KINDS[spec.attention](spec)
        self.norm2 = make_norm(spec.norm, spec.width, running=running)
        self.mlp = Mlp(spec.width, spec.mlp_ratio)

    def forward(self, x: Tensor, sequence: Tensor | None = None, *, fused: bool = True) -> Tensor:
        if sequence is not None:
            x = self.cross_attention(x, sequence)
        x = x + self.attention(self.norm1(x), fused=fused)
        return x + self.mlp(self.norm2(x), fused=fused)


class Blocks(nn.ModuleList):
    """The blocks of one or more runs, in order. `running`: batch norms keep running statistics (generator)."""

    def __init__(self, specs: list[BlockSpec], *, running: bool, sequence_width: int = 0):
        each = [spec for spec in specs for _ in range(spec.depth)]
        super().__init__(Block(spec, running=running, sequence_width=sequence_width) for spec in each)
        self.recompute = False

    def forward(self, x: Tensor, sequence: Tensor | None = None, *, fused: bool = True) -> Tensor:
        for block in self:
            x = run_block(block, x, sequence, fused=fused, recompute=self.recompute)
        return x


def position(side: int, width: int) -> nn.Parameter:
    """Learned absolute position embedding (1, side^2, width)."""
    return nn.Parameter(torch.zeros(1, side * side, width))


def bicubic_matrix(side: int, factor: int) -> Tensor:
    """(factor side, side): one axis enlarged by the bicubic filter, as `F.interpolate` without aligned corners."""
    line = torch.eye(side).view(1, side, side, 1)
    large = F.interpolate(line, size=(factor * side, 1), mode="bicubic", align_corners=False)
    return large[0, :, :, 0].t().contiguous()


def smoothing_matrix(side: int) -> Tensor:
    """(side, side): one axis four times enlarged by the bicubic filter and averaged back to its own length."""
    return bicubic_matrix(side, 4).unflatten(0, (side, 4)).mean(dim=1)


def resample(x_BNC: Tensor, matrix: Tensor) -> Tensor:
    """Both axes of the map times matrix (m, side): (B, side side, C) -> (B, m m, C).

    PyTorch's own bicubic backward pass is not deterministic on CUDA and uses 1 to 4 of its multiprocessors; on the CPU
    forward and backward take ten times as long as these products.
    """
    batch, _, width = x_BNC.shape
    large, side = matrix.shape
    with full_precision(x_BNC):
        matrix = matrix.to(x_BNC.dtype)
        rows = torch.matmul(matrix, x_BNC.reshape(batch, side, side * width))
        return torch.matmul(matrix, rows.view(batch * large, side, width)).view(batch, large * large, width)


def to_map(x_BNC: Tensor, side: int) -> Tensor:
    """(B, N, C) -> (B, C, H, W)."""
    return x_BNC.transpose(1, 2).unflatten(2, (side, side))


def to_tokens(x_BCHW: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, N, C)."""
    return x_BCHW.flatten(2).transpose(1, 2)
