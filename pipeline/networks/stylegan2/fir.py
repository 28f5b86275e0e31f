"""Resampling by two with the low-pass filter [1, 3, 3, 1] (StyleGAN2, after Zhang 2019), as plain convolutions.

Definition: put zeros between the samples (upsampling), pad, filter in both directions, keep every second sample
(downsampling). The taps sum to 1; upsampling multiplies them by 4, because three quarters of its samples are zeros.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TAPS = (1.0, 3.0, 3.0, 1.0)


class Filter(nn.Module):
    """Every channel of (B, C, H, W) by itself through the outer product of the taps, a buffer that is not saved."""

    taps: Tensor

    def __init__(self, gain: float = 1.0):
        super().__init__()
        line = torch.tensor(TAPS) / sum(TAPS)
        self.register_buffer("taps", gain * torch.outer(line, line), persistent=False)

    def kernel(self, x: Tensor) -> Tensor:
        """(C, 1, 4, 4): one copy a channel."""
        return self.taps.to(x.dtype).expand(x.shape[1], 1, -1, -1)


class Blur(Filter):
    """Filter with `padding` zeros on each side: (B, C, H, W) -> (B, C, H + 2 padding - 3, W + 2 padding - 3)."""

    def __init__(self, padding: int, gain: float = 1.0):
        super().__init__(gain)
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel(x), padding=self.padding, groups=x.shape[1])


class Upsample(Filter):
    """(B, C, H, W) -> (B, C, 2H, 2W). A transposed convolution is the zeros and the filter (symmetric) in one."""

    def __init__(self) -> None:
        super().__init__(gain=4.0)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.kernel(x), stride=2, padding=1, groups=x.shape[1])


class Downsample(Filter):
    """(B, C, H, W) -> (B, C, H / 2, W / 2)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel(x), stride=2, padding=1, groups=x.shape[1])
