"""Both networks: Karras et al. 2019 (mapping, constant, noise) and 2020 (modulation, images summed over sides).

Generator: z -> w by the mapping network, a learned 4 x 4 map -> images by modulated convolutions. Not built, as the
CIFAR configs do without: style mixing, path length regularisation, truncation, classes.
Discriminator: images -> score, by convolutions at halving sides (2020, section 4.1). Augmentation is not part of it.

Equalised learning rate (Karras et al. 2018): weights are stored as N(0, 1) and multiplied by 1 / sqrt(fan-in) when they
are used, so that Adam's steps are equally large, relative to a layer's scale, in every layer.

Resampling by two with the low-pass filter [1, 3, 3, 1] (StyleGAN2, after Zhang 2019), as plain convolutions.
Definition: put zeros between the samples (upsampling), pad, filter in both directions, keep every second sample
(downsampling). The taps sum to 1; upsampling multiplies them by 4, because three quarters of its samples are zeros.

Entries of the state dicts that do not explain themselves (L = layer, S = stage, J = convolution; stored values are
those before the equalised learning rate's scale, 1 / sqrt(fan-in)):

    mapping.L.weight (style_dim, in), .bias         stored 100 times too large: their learning rate is a hundredth
    stages.S.convolutions.J...                      side 4 * 2^S; J = 0 alone at 4 x 4; above, 0 doubles the side
        .convolution.affine.weight (in, style_dim), .bias (in)      w -> style; biases start at 1
        .convolution.weight (out, in, 3, 3)         J = 0 above 4 x 4: a transposed convolution's kernel, not mirrored:
                                                    weight.transpose(0, 1) is what `conv_transpose2d` takes
        .noise (side, side)                         buffer: the noise of evaluation
    epilogue.convolution.weight (C, C + 1, 3, 3)    the last input channel is the minibatch deviation
    epilogue.hidden.weight (C, 16 C)                input index = channel * 16 + place
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks import interface
from pipeline.networks.distributed import gather_rows, normal, own_rows
from pipeline.networks.interface import full_precision, run_block
from pipeline.networks.spec import NetworkSpec
from pipeline.networks.stylegan2.spec import DiscriminatorSpec, GeneratorSpec

EPSILON = 1e-8
MAPPING_RATE = 0.01  # learning rate of the mapping network over that of the rest (StyleGAN, appendix C)


class Blur(nn.Module):
    """The filter with `padding` zeros on each side, every `stride`-th sample kept, each channel by itself.

    (B, C, H, W) -> (B, C, H + 2 padding - 3, W + 2 padding - 3); by padding 1 and stride 2, (B, C, H / 2, W / 2). `up`,
    by the same two, is upsampling: a transposed convolution is the zeros and the filter (symmetric) in one.
    """

    taps: Tensor

    def __init__(self, padding: int, *, gain: float = 1.0, stride: int = 1, up: bool = False):
        super().__init__()
        line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("taps", gain * torch.outer(line, line), persistent=False)
        self.padding, self.stride, self.up = padding, stride, up

    def forward(self, x: Tensor) -> Tensor:
        kernel = self.taps.to(x.dtype).expand(x.shape[1], 1, -1, -1)  # (C, 1, 4, 4)
        resample = F.conv_transpose2d if self.up else F.conv2d
        return resample(x, kernel, stride=self.stride, padding=self.padding, groups=x.shape[1])


def activation(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2 times sqrt(2), which keeps the mean square of normal inputs about what it is."""
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


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
        x = x if self.blur is None else self.blur(x)
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
        self.scale, self.demodulate = 1 / math.sqrt(inputs * kernel**2), demodulate
        self.blur = Blur(1, gain=4.0) if up else None

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        factor = None
        with full_precision(w):
            style = self.affine(w)  # (B, i)
            if self.demodulate:  # (B, o): the kernel of each image and output channel has length 1 (equation 3)
                squares = (self.weight * self.scale).square().sum(dim=(2, 3))
                factor = torch.rsqrt(F.linear(style.square(), squares) + EPSILON)
        weight = self.weight * self.scale
        x = x * style[:, :, None, None].to(x.dtype)
        if self.blur is not None:
            x = self.blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
        else:
            x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        return x if factor is None else x * factor[:, :, None, None].to(x.dtype)


class StyledConvolution(nn.Module):
    """Modulated 3 x 3 convolution, noise, bias, activation. (B, in, ., .), w -> (B, out, side, side).

    In training every image has noise of its own, a value a place. In evaluation all have the same fixed noise, a buffer
    drawn with the weights: an image then depends on its latent alone, not on the batch it is drawn in or its place
    there, and has the grain that the network was trained with, which zeros would take away.
    """

    noise: Tensor

    def __init__(self, style_dim: int, inputs: int, outputs: int, side: int, *, up: bool):
        super().__init__()
        self.convolution = ModulatedConvolution(style_dim, inputs, outputs, 3, up=up, demodulate=True)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("noise", torch.randn(side, side))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        x, noise = self.convolution(x, w), self.noise
        if self.training:
            noise = normal(len(x), 1, *self.noise.shape, like=self.noise, divided=True)
        return activation(x + (self.noise_strength * noise).to(x.dtype) + self.bias[:, None, None].to(x.dtype))


class ToRGB(nn.Module):
    """Modulated 1 x 1 convolution without demodulation, in w's precision: (B, in, H, W), w -> (B, channels, H, W)."""

    def __init__(self, style_dim: int, inputs: int, channels: int):
        super().__init__()
        self.convolution = ModulatedConvolution(style_dim, inputs, channels, 1, up=False, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return self.convolution(x.to(w.dtype), w) + self.bias[:, None, None]


class GeneratorStage(nn.Module):
    """All layers of one side: x, the image so far (or None) and w -> x and the image at this side."""

    def __init__(self, style_dim: int, inputs: int, outputs: int, side: int, *, channels: int):
        super().__init__()
        shapes = [(outputs, False)] if side == 4 else [(inputs, True), (outputs, False)]
        self.convolutions = nn.ModuleList(
            StyledConvolution(style_dim, width, outputs, side, up=up) for width, up in shapes
        )
        self.to_rgb = ToRGB(style_dim, outputs, channels)
        self.upsample = Blur(1, gain=4.0, stride=2, up=True)

    def forward(self, x: Tensor, image: Tensor | None, w: Tensor) -> tuple[Tensor, Tensor]:
        for convolution in self.convolutions:
            x = convolution(x, w)
        with full_precision(x):  # eight bits of mantissa are too few for a pixel
            rgb = self.to_rgb(x, w)
            return x, rgb if image is None else rgb + self.upsample(image)


class Generator(interface.Generator):
    """z (B, latent_dim) -> images (B, channels, resolution, resolution), real pixels being in [-1, 1]; no tanh."""

    def __init__(self, spec: NetworkSpec):
        super().__init__(spec)
        network: GeneratorSpec = spec.generator  # type: ignore[assignment]
        widths, style_dim = network.widths, network.style_dim
        self.mapping = nn.ModuleList(
            EqualisedLinear(style_dim if layer else self.latent_dim, style_dim, rate=MAPPING_RATE)
            for layer in range(network.mapping_layers)
        )
        self.constant = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        self.stages = nn.ModuleList(
            GeneratorStage(style_dim, before, width, 4 * 2**stage, channels=spec.channels)
            for stage, (before, width) in enumerate(zip([0, *widths], widths, strict=False))
        )

    def forward(self, z: Tensor) -> Tensor:
        with full_precision(z):
            w = z * torch.rsqrt(z.square().mean(dim=1, keepdim=True) + EPSILON)
            for layer in self.mapping:
                w = activation(layer(w))
        x, image = self.constant.repeat(z.shape[0], 1, 1, 1), None
        for stage in self.stages:
            x, image = run_block(stage, x, image, w, recompute=self.recompute)
        assert image is not None
        return image


def add_minibatch_deviation(x: Tensor, group: int) -> Tensor:
    """One more channel: the standard deviation over a group of images, averaged over channels and places (Karras 2018).

    (B, C, H, W) -> (B, C + 1, H, W). Image n is in a group with n + B / g, n + 2 B / g, ... for groups of g images, so
    that a group is spread over the batch. `group` is the largest g; a batch that it does not divide takes the largest g
    below that does (training refuses such batches, `pipeline.plan.checks`). B counts the images of all processes.
    """
    everything = gather_rows(x)
    batch = len(everything)
    size = next(size for size in range(min(group, batch), 0, -1) if batch % size == 0)
    groups = everything.unflatten(0, (size, batch // size))
    variance = (groups - groups.mean(dim=0)).square().mean(dim=0)
    deviation = (variance + EPSILON).sqrt().mean(dim=(1, 2, 3))
    channel = own_rows(deviation.repeat(size))[:, None, None, None].expand(-1, 1, *x.shape[2:])
    return torch.cat([x, channel], dim=1)


class DiscriminatorStage(nn.Module):
    """The layers of one side: (B, width, H, W), in the first stage the images -> (B, after, H / 2, W / 2)."""

    def __init__(self, width: int, after: int, *, channels: int, residual: bool):
        super().__init__()
        self.from_rgb = EqualisedConvolution(channels, width, 1) if channels else None
        self.first = EqualisedConvolution(width, width, 3)
        self.second = EqualisedConvolution(width, after, 3, down=True)
        self.shortcut = EqualisedConvolution(width, after, 1, bias=False) if residual else None
        self.downsample = Blur(1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        before = x if self.from_rgb is None else activation(self.from_rgb(x))
        x = activation(self.second(activation(self.first(before))))
        return x if self.shortcut is None else (x + self.shortcut(self.downsample(before))) * 0.5**0.5


class Epilogue(nn.Module):
    """The layers at 4 x 4, in full precision: x (B, C, 4, 4) -> scores (B,)."""

    def __init__(self, width: int, *, group: int):
        super().__init__()
        self.group = group
        self.convolution = EqualisedConvolution(width + 1, width, 3)
        self.hidden = EqualisedLinear(width * 16, width)
        self.score = EqualisedLinear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = activation(self.convolution(add_minibatch_deviation(x.to(self.score.weight.dtype), self.group)))
        return self.score(activation(self.hidden(x.flatten(1)))).flatten()


class Discriminator(interface.Discriminator):
    """`twice` changes nothing: every operation here can be differentiated twice."""

    def __init__(self, spec: NetworkSpec):
        super().__init__(spec)
        network: DiscriminatorSpec = spec.discriminator  # type: ignore[assignment]
        widths = network.widths[::-1]
        self.stages = nn.ModuleList(
            DiscriminatorStage(width, after, channels=0 if index else spec.channels, residual=network.residual)
            for index, (width, after) in enumerate(zip(widths, widths[1:], strict=False))
        )
        self.epilogue = Epilogue(widths[-1], group=network.minibatch_group)

    def forward(self, images: Tensor, *, twice: bool = False) -> Tensor:
        x = images
        for stage in self.stages:
            x = run_block(stage, x, recompute=self.recompute)
        with full_precision(x):
            return self.epilogue(x)
