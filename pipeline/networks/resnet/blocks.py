"""The blocks of both networks, in the published order of their operations."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pipeline.networks.distributed import batch_norm
from pipeline.networks.resnet.spec import BlockSpec, CellSpec
from pipeline.networks.resnet.spectral import SpectralConv2d


def convolution(inputs: int, outputs: int, kernel: int, *, spectral: bool = False) -> nn.Conv2d:
    """Stride 1, sides kept, with a bias."""
    if spectral:
        return SpectralConv2d(inputs, outputs, kernel)
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose statistics are the whole batch's, over however many processes it is divided."""

    def forward(self, x: Tensor) -> Tensor:
        return batch_norm(self, x, super().forward)


def make_norm(kind: str, width: int) -> nn.Module:
    """`batch`: with learned scale and shift, and running statistics for sampling; `none`: nothing."""
    return BatchNorm2d(width) if kind == "batch" else nn.Identity()


class Cell(nn.Module):
    """An up-block: x, skips -> its first feature map (for later cells), its output.

    norm, ReLU, upsample, 3 x 3 -> h; h + the upsampled skips, each through a 1 x 1; norm, ReLU, 3 x 3; + shortcut. What
    later cells get is h with the skips added, as AutoGAN's released program has it (there `h += ...` changes the
    tensor that was kept), where its figure shows h alone.
    """

    def __init__(self, spec: CellSpec, skip_widths: Sequence[int]):
        super().__init__()
        self.side, self.upsample = spec.side, spec.upsample
        self.norm1 = make_norm(spec.norm, spec.inputs)
        self.conv1 = convolution(spec.inputs, spec.width, 3)
        self.norm2 = make_norm(spec.norm, spec.width)
        self.conv2 = convolution(spec.width, spec.width, 3)
        self.shortcut = convolution(spec.inputs, spec.width, 1) if spec.shortcut else None
        self.skips = nn.ModuleList(convolution(width, spec.width, 1) for width in skip_widths)

    def enlarged(self, x: Tensor) -> Tensor:
        """x at this cell's side."""
        return F.interpolate(x, size=(self.side, self.side), mode=self.upsample)

    def forward(self, x: Tensor, *skips: Tensor) -> tuple[Tensor, Tensor]:
        first = self.conv1(self.enlarged(F.relu(self.norm1(x))))
        for convolve, skip in zip(self.skips, skips, strict=True):
            first = first + convolve(self.enlarged(skip))
        out = self.conv2(F.relu(self.norm2(first)))
        if self.shortcut is not None:
            out = out + self.shortcut(self.enlarged(x))
        return first, out


class Block(nn.Module):
    """A block of D: ReLU, 3 x 3, ReLU, 3 x 3, average pooling; + 1 x 1 shortcut, or x itself where shapes agree.

    The first block gets pixels: no ReLU before its first convolution, and its shortcut pools before it convolves. Its
    first convolution takes the output's width, that of a later block keeps the input's. A shortcut gets x as it is, as
    in the authors' program; the mimicry library's ReLU works in place and gives it relu(x).
    """

    def __init__(self, spec: BlockSpec, *, first: bool, spectral: bool):
        super().__init__()
        self.first, self.downsample = first, spec.downsample
        hidden = spec.width if first else spec.inputs
        self.conv1 = convolution(spec.inputs, hidden, 3, spectral=spectral)
        self.conv2 = convolution(hidden, spec.width, 3, spectral=spectral)
        learned = spec.downsample or spec.inputs != spec.width
        self.shortcut = convolution(spec.inputs, spec.width, 1, spectral=spectral) if learned else None

    def pooled(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / 2, W / 2) where the block halves the side, else `x`."""
        return F.avg_pool2d(x, 2) if self.downsample else x

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(x if self.first else F.relu(x))
        out = self.pooled(self.conv2(F.relu(out)))
        if self.shortcut is None:
            return x + out
        return out + (self.shortcut(self.pooled(x)) if self.first else self.pooled(self.shortcut(x)))


def run(block: nn.Module, *inputs: Tensor, recompute: bool) -> Any:
    """`block(*inputs)`; with `recompute` activations are not kept for the backward pass but computed a second time."""
    if not (recompute and torch.is_grad_enabled()):
        return block(*inputs)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), StatisticsKept(block)

    return checkpoint(block, *inputs, use_reentrant=False, context_fn=contexts)


class StatisticsKept(AbstractContextManager[None]):
    """Batch norms leave their running statistics alone: the second time is not another batch.

    Without momentum they add nothing, and save what they saved the first time. It may be entered again: with a second
    derivative activations are computed more than once.
    """

    def __init__(self, block: nn.Module):
        self.norms = [module for module in block.modules() if isinstance(module, nn.BatchNorm2d)]
        self.momenta = [norm.momentum for norm in self.norms]
        self.counts: list[Tensor] = []

    def __enter__(self) -> None:
        self.counts = [norm.num_batches_tracked.clone() for norm in self.norms if norm.num_batches_tracked is not None]
        for norm in self.norms:
            norm.momentum = 0.0

    def __exit__(self, *_: object) -> None:
        counted = [norm.num_batches_tracked for norm in self.norms if norm.num_batches_tracked is not None]
        for now, before in zip(counted, self.counts, strict=True):
            now.copy_(before)
        for norm, momentum in zip(self.norms, self.momenta, strict=True):
            norm.momentum = momentum
