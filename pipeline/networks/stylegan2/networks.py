"""Both networks: Karras et al. 2019 (mapping, constant, noise) and 2020 (modulation, images summed over sides).

Generator: z -> w by the mapping network, a learned 4 x 4 map -> images by modulated convolutions. Not built, as the
CIFAR configs do without: style mixing, path length regularisation, truncation, classes.
Discriminator: images -> score, by convolutions at halving sides (2020, section 4.1). Augmentation is not part of it.

Entries of the state dicts that do not explain themselves (L = layer, S = stage, J = convolution; stored values are
those before the equalised learning rate's scale, 1 / sqrt(fan-in)):

    mapping.L.weight (style_dim, in), .bias         stored 100 times too large: their learning rate is a hundredth
    stages.S.convolutions.J...                      side 4 * 2^S; J = 0 alone at 4 x 4; above, 0 doubles the side
        .convolution.affine.weight (in, style_dim), .bias (in)      w -> style; biases start at 1
        .convolution.weight (out, in, 3, 3)         J = 0 above 4 x 4: a transposed convolution's kernel, not mirrored:
                                                    weight.transpose(0, 1) is what `conv_transpose2d` takes
        .noise (side, side)                         buffer: the noise of evaluation
    epilogue.convolution.weight (C, C + 1, 3, 3)    the last input channel is the minibatch deviation, if any
    epilogue.hidden.weight (C, 16 C)                input index = channel * 16 + place
"""

import torch
from torch import Tensor, nn

from pipeline.networks import interface
from pipeline.networks.distributed import normal
from pipeline.networks.interface import full_precision, run_block
from pipeline.networks.spec import NetworkSpec
from pipeline.networks.stylegan2.layers import (
    Blur,
    EqualisedConvolution,
    EqualisedLinear,
    MinibatchDeviation,
    ModulatedConvolution,
    Upsample,
    activation,
    normalise,
)
from pipeline.networks.stylegan2.spec import DiscriminatorSpec, GeneratorSpec

MAPPING_RATE = 0.01  # learning rate of the mapping network over that of the rest (StyleGAN, appendix C)


class Mapping(nn.ModuleList):
    """z (B, latent_dim) -> w (B, style_dim): normalised, then linear layers with the activation after each."""

    def __init__(self, latent_dim: int, style_dim: int, layers: int):
        super().__init__(
            EqualisedLinear(style_dim if index else latent_dim, style_dim, rate=MAPPING_RATE) for index in range(layers)
        )

    def forward(self, z: Tensor) -> Tensor:
        x = normalise(z)
        for layer in self:
            x = activation(layer(x))
        return x


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
        with full_precision(w):
            style, factor = self.convolution.coefficients(w)
        x = self.convolution(x, style, factor)
        noise = self.noise
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
        return self.convolution(x.to(w.dtype), *self.convolution.coefficients(w)) + self.bias[:, None, None]


class GeneratorStage(nn.Module):
    """All layers of one side: x, the image so far (or None) and w -> x and the image at this side."""

    def __init__(self, style_dim: int, inputs: int, outputs: int, side: int, *, residual: bool, rgb: int):
        super().__init__()
        first = side == 4
        shapes = [(outputs, False)] if first else [(inputs, True), (outputs, False)]
        self.convolutions = nn.ModuleList(
            StyledConvolution(style_dim, width, outputs, side, up=up) for width, up in shapes
        )
        self.shortcut = EqualisedConvolution(inputs, outputs, 1, bias=False) if residual and not first else None
        self.to_rgb = ToRGB(style_dim, outputs, rgb) if rgb else None
        self.upsample = Upsample()

    def forward(self, x: Tensor, image: Tensor | None, w: Tensor) -> tuple[Tensor, Tensor | None]:
        before = x
        for convolution in self.convolutions:
            x = convolution(x, w)
        if self.shortcut is not None:
            # The 1 x 1 convolution and the filter commute; this order costs a quarter of the other.
            x = (x + self.upsample(self.shortcut(before))) * 0.5**0.5
        if self.to_rgb is None:
            return x, image
        with full_precision(x):  # eight bits of mantissa are too few for a pixel
            rgb = self.to_rgb(x, w)
            return x, rgb if image is None else rgb + self.upsample(image)


class Generator(interface.Generator):
    """z (B, latent_dim) -> images (B, channels, resolution, resolution), real pixels being in [-1, 1]; no tanh."""

    def __init__(self, spec: NetworkSpec):
        super().__init__()
        network: GeneratorSpec = spec.generator  # type: ignore[assignment]
        self.latent_dim, self.resolution, self.channels = network.latent_dim, spec.resolution, spec.channels
        residual, widths = network.architecture == "residual", [stage.width for stage in network.stages]
        self.mapping = Mapping(network.latent_dim, network.style_dim, network.mapping_layers)
        self.constant = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        self.stages = nn.ModuleList(
            GeneratorStage(
                network.style_dim,
                before,
                stage.width,
                stage.side,
                residual=residual,
                rgb=0 if residual and stage.side < spec.resolution else spec.channels,
            )
            for before, stage in zip([0, *widths], network.stages, strict=False)
        )
        self.recompute = False

    def forward(self, z: Tensor) -> Tensor:
        with full_precision(z):
            w = self.mapping(z)
        x, image = self.constant.repeat(z.shape[0], 1, 1, 1), None
        for stage in self.stages:
            x, image = run_block(stage, x, image, w, recompute=self.recompute)
        assert image is not None
        return image


def with_images(x: Tensor | None, images: Tensor, from_rgb: nn.Module | None) -> Tensor:
    """The map of the stage before and what this stage sees of the images; the first stage has no map."""
    if from_rgb is None:
        assert x is not None
        return x
    seen = activation(from_rgb(images))
    return seen if x is None else x + seen


class DiscriminatorStage(nn.Module):
    """The layers of one side: x (or None) and the images at this side -> x and the images at half of it."""

    def __init__(self, width: int, after: int, *, residual: bool, skip: bool, rgb: int):
        super().__init__()
        self.from_rgb = EqualisedConvolution(rgb, width, 1) if rgb else None
        self.first = EqualisedConvolution(width, width, 3)
        self.second = EqualisedConvolution(width, after, 3, down=True)
        self.shortcut = EqualisedConvolution(width, after, 1, bias=False) if residual else None
        self.downsample, self.skip = Blur(1, stride=2), skip

    def forward(self, x: Tensor | None, images: Tensor) -> tuple[Tensor, Tensor]:
        before = with_images(x, images, self.from_rgb)
        x = activation(self.second(activation(self.first(before))))
        if self.shortcut is not None:
            x = (x + self.shortcut(self.downsample(before))) * 0.5**0.5
        return x, self.downsample(images) if self.skip else images


class Epilogue(nn.Module):
    """The layers at 4 x 4, in full precision: x (B, C, 4, 4) -> scores (B,)."""

    def __init__(self, width: int, *, group: int, rgb: int):
        super().__init__()
        self.from_rgb = EqualisedConvolution(rgb, width, 1) if rgb else None
        self.deviation = MinibatchDeviation(group) if group else None
        self.convolution = EqualisedConvolution(width + (1 if group else 0), width, 3)
        self.hidden = EqualisedLinear(width * 16, width)
        self.score = EqualisedLinear(width, 1)

    def forward(self, x: Tensor, images: Tensor) -> Tensor:
        dtype = self.score.weight.dtype
        x = with_images(x.to(dtype), images.to(dtype), self.from_rgb)
        if self.deviation is not None:
            x = self.deviation(x)
        return self.score(activation(self.hidden(activation(self.convolution(x)).flatten(1)))).flatten()


class Discriminator(interface.Discriminator):
    """`twice` changes nothing: every operation here can be differentiated twice."""

    def __init__(self, spec: NetworkSpec):
        super().__init__()
        network: DiscriminatorSpec = spec.discriminator  # type: ignore[assignment]
        skip, residual = network.architecture == "skip", network.architecture == "residual"
        widths = [stage.width for stage in network.stages]
        self.batch_statistics = network.minibatch_group > 0
        self.stages = nn.ModuleList(
            DiscriminatorStage(
                width, after, residual=residual, skip=skip, rgb=spec.channels if skip or index == 0 else 0
            )
            for index, (width, after) in enumerate(zip(widths, widths[1:], strict=False))
        )
        self.epilogue = Epilogue(widths[-1], group=network.minibatch_group, rgb=spec.channels if skip else 0)
        self.recompute = False

    def forward(self, images: Tensor, *, twice: bool = False) -> Tensor:
        x: Tensor | None = None
        for stage in self.stages:
            x, images = run_block(stage, x, images, recompute=self.recompute)
        assert x is not None
        with full_precision(x):
            return self.epilogue(x, images)
