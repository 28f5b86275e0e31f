"""Layers of both networks: equalised learning rate, filters, activation, modulated convolution, minibatch deviation.

Equalised learning rate (Karras et al. 2018): weights are stored as N(0, 1) and multiplied by 1 / sqrt(fan-in) when they
are used, so that Adam's steps are equally large, relative to a layer's scale, in every layer.

Resampling by two with the low-pass filter [1, 3, 3, 1] (StyleGAN2, after Zhang 2019), as plain convolutions.
Definition: put zeros between the samples (upsampling), pad, filter in both directions, keep every second sample
(downsampling). The taps sum to 1; upsampling multiplies them by 4, because three quarters of its samples are zeros.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks.distributed import gather_rows, own_rows

TAPS = (1.0, 3.0, 3.0, 1.0)
SLOPE, GAIN = 0.2, math.sqrt(2)
EPSILON = 1e-8


class Blur(nn.Module):
    """The filter with `padding` zeros on each side, every `stride`-th sample kept, each channel by itself.

    (B, C, H, W) -> (B, C, H + 2 padding - 3, W + 2 padding - 3); by padding 1 and stride 2, (B, C, H / 2, W / 2).
    """

    taps: Tensor

    def __init__(self, padding: int, *, gain: float = 1.0, stride: int = 1):
        super().__init__()
        line = torch.tensor(TAPS) / sum(TAPS)
        self.register_buffer("taps", gain * torch.outer(line, line), persistent=False)
        self.padding, self.stride = padding, stride

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel(x), stride=self.stride, padding=self.padding, groups=x.shape[1])

    def kernel(self, x: Tensor) -> Tensor:
        """(C, 1, 4, 4): one copy a channel."""
        return self.taps.to(x.dtype).expand(x.shape[1], 1, -1, -1)


class Upsample(Blur):
    """(B, C, H, W) -> (B, C, 2H, 2W). A transposed convolution is the zeros and the filter (symmetric) in one."""

    def __init__(self) -> None:
        super().__init__(1, gain=4.0, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, self.kernel(x), stride=2, padding=1, groups=x.shape[1])


def activation(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2 times sqrt(2), which keeps the mean square of normal inputs about what it is."""
    return F.leaky_relu(x, SLOPE) * GAIN


def normalise(z: Tensor) -> Tensor:
    """z / sqrt(mean(z^2) + 1e-8) of each row: (B, Z) -> (B, Z)."""
    return z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + EPSILON)


class EqualisedLinear(nn.Module):
    """(B, i) -> (B, o). `rate` multiplies the learning rate of weight and bias: stored values are 1 / rate larger."""

    def __init__(self, inputs: int, outputs: int, *, bias: float = 0.0, rate: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.scale, self.rate = rate / math.sqrt(inputs), rate

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias * self.rate)


class EqualisedConvolution(nn.Module):
    """(B, i, H, W) -> (B, o, H, W), k x k kernels, zeros outside. `down` (k = 3): filtered, -> (B, o, H/2, W/2)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, bias: bool = True, down: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = 1 / math.sqrt(inputs * kernel**2)
        self.stride, self.padding = (2, 0) if down else (1, kernel // 2)
        self.blur = Blur(2) if down else None  # 2 zeros: the kernel in steps of two then leaves half of the side

    def forward(self, x: Tensor) -> Tensor:
        if self.blur is not None:
            x = self.blur(x)
        return F.conv2d(x, self.weight * self.scale, self.bias, stride=self.stride, padding=self.padding)


class ModulatedConvolution(nn.Module):
    """A convolution whose input channels are scaled by a style of each image (StyleGAN2, section 2.2).

    x (B, i, H, W), w (B, style_dim) -> (B, o, H, W), or (B, o, 2H, 2W) with `up`: a transposed convolution in steps of
    two, then the filter. Scaling the input by the style and the output by the demodulation is the same as a kernel per
    image, as convolution is linear in both; unlike that, it is one plain convolution for the whole batch.
    """

    def __init__(self, style_dim: int, inputs: int, outputs: int, kernel: int, *, up: bool, demodulate: bool):
        super().__init__()
        self.affine = EqualisedLinear(style_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.scale = 1 / math.sqrt(inputs * kernel**2)
        self.demodulate = demodulate
        self.blur = Blur(1, gain=4.0) if up else None

    def coefficients(self, w: Tensor) -> tuple[Tensor, Tensor | None]:
        """Style (B, i) and demodulation (B, o), in w's precision; call it outside of autocast.

        Times the demodulation, 1 / sqrt(sum over i, k of (s_i w_oik)^2 + 1e-8), the kernel of each image and output
        channel has length 1 (equation 3).
        """
        style = self.affine(w)
        if not self.demodulate:
            return style, None
        squares = (self.weight * self.scale).square().sum(dim=(2, 3))
        return style, torch.rsqrt(F.linear(style.square(), squares) + EPSILON)

    def forward(self, x: Tensor, style: Tensor, factor: Tensor | None) -> Tensor:
        weight = self.weight * self.scale
        x = x * style[:, :, None, None].to(x.dtype)
        if self.blur is not None:
            x = self.blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
        else:
            x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        return x if factor is None else x * factor[:, :, None, None].to(x.dtype)


class MinibatchDeviation(nn.Module):
    """One more channel: the standard deviation over a group of images, averaged over channels and places (Karras 2018).

    (B, C, H, W) -> (B, C + 1, H, W). Image n is in a group with n + B / g, n + 2 B / g, ... for groups of g images, so
    that a group is spread over the batch. `group` is the largest g; a batch that it does not divide takes the largest g
    below that does (training refuses such batches, `pipeline.plan.checks`). B counts the images of all processes.
    """

    def __init__(self, group: int):
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        everything = gather_rows(x)
        batch = len(everything)
        size = next(size for size in range(min(self.group, batch), 0, -1) if batch % size == 0)
        groups = everything.unflatten(0, (size, batch // size))
        variance = (groups - groups.mean(dim=0)).square().mean(dim=0)
        deviation = (variance + EPSILON).sqrt().mean(dim=(1, 2, 3))
        channel = own_rows(deviation.repeat(size))[:, None, None, None].expand(-1, 1, *x.shape[2:])
        return torch.cat([x, channel], dim=1)
