"""StyleGAN2's discriminator: images -> score, by convolutions at halving sides (Karras et al. 2020, section 4.1).

State dict, for carrying weights across (S = stage from the image down, its side being resolution / 2^S; 4 x 4 is the
`epilogue`; stored values are those before the equalised learning rate's scale, 1 / sqrt(fan-in)):

    stages.S.from_rgb.weight (C, channels, 1, 1), .bias     skip: every stage and the epilogue; else: stage 0 alone
    stages.S.first.weight (C, C, 3, 3), .bias
    stages.S.second.weight (next C, C, 3, 3), .bias         filtered, in steps of two
    stages.S.shortcut.weight (next C, C, 1, 1)              residual alone
    epilogue.convolution.weight (C, C + 1, 3, 3), .bias     the last input channel is the minibatch deviation, if any
    epilogue.hidden.weight (C, 16 C), .bias                 input index = channel * 16 + place
    epilogue.score.weight (1, C), .bias

Augmentation is not part of this module: the loss augments every batch before it is scored.
"""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pipeline.networks import interface
from pipeline.networks.precision import full_precision
from pipeline.networks.spec import NetworkSpec
from pipeline.networks.stylegan2.fir import Downsample
from pipeline.networks.stylegan2.layers import EqualisedConvolution, EqualisedLinear, MinibatchDeviation, activation
from pipeline.networks.stylegan2.spec import DiscriminatorSpec


class FromRGB(EqualisedConvolution):
    """(B, channels, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, outputs: int):
        super().__init__(channels, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        return activation(super().forward(images))


def _joined(x: Tensor | None, images: Tensor, from_rgb: FromRGB | None) -> Tensor:
    """The map of the stage before and what this stage sees of the images."""
    if from_rgb is None:
        assert x is not None
        return x
    seen = from_rgb(images)
    return seen if x is None else x + seen


class Stage(nn.Module):
    """The layers of one side: x (or None) and the images at this side -> x and the images at half of it."""

    def __init__(self, width: int, after: int, *, residual: bool, skip: bool, rgb: int):
        super().__init__()
        self.from_rgb = FromRGB(rgb, width) if rgb else None
        self.first = EqualisedConvolution(width, width, 3)
        self.second = EqualisedConvolution(width, after, 3, down=True)
        self.shortcut = EqualisedConvolution(width, after, 1, bias=False) if residual else None
        self.downsample, self.skip = Downsample(), skip

    def forward(self, x: Tensor | None, images: Tensor) -> tuple[Tensor, Tensor]:
        before = _joined(x, images, self.from_rgb)
        x = activation(self.second(activation(self.first(before))))
        if self.shortcut is not None:
            x = (x + self.shortcut(self.downsample(before))) * 0.5**0.5
        return x, self.downsample(images) if self.skip else images


class Epilogue(nn.Module):
    """The layers at 4 x 4, in full precision: x (B, C, 4, 4) -> scores (B,)."""

    def __init__(self, width: int, *, group: int, rgb: int):
        super().__init__()
        self.from_rgb = FromRGB(rgb, width) if rgb else None
        self.deviation = MinibatchDeviation(group) if group else None
        self.convolution = EqualisedConvolution(width + (1 if group else 0), width, 3)
        self.hidden = EqualisedLinear(width * 16, width)
        self.score = EqualisedLinear(width, 1)

    def forward(self, x: Tensor, images: Tensor) -> Tensor:
        dtype = self.score.weight.dtype
        x = _joined(x.to(dtype), images.to(dtype), self.from_rgb)
        if self.deviation is not None:
            x = self.deviation(x)
        return self.score(activation(self.hidden(activation(self.convolution(x)).flatten(1)))).flatten()


class Discriminator(interface.Discriminator):
    """Images (B, channels, H, W) in [-1, 1] -> scores (B,), higher = more real; no sigmoid.

    `twice` changes nothing: every operation here can be differentiated twice.
    """

    def __init__(self, spec: NetworkSpec):
        super().__init__()
        network: DiscriminatorSpec = spec.discriminator  # type: ignore[assignment]
        skip, residual = network.architecture == "skip", network.architecture == "residual"
        widths = [stage.width for stage in network.stages]
        self.batch_statistics = network.minibatch_group > 0
        self.stages = nn.ModuleList(
            Stage(width, after, residual=residual, skip=skip, rgb=spec.channels if skip or index == 0 else 0)
            for index, (width, after) in enumerate(zip(widths, widths[1:], strict=False))
        )
        self.epilogue = Epilogue(widths[-1], group=network.minibatch_group, rgb=spec.channels if skip else 0)
        self.recompute = False

    def set_recompute(self, on: bool) -> None:
        self.recompute = on

    def forward(self, images: Tensor, *, twice: bool = False) -> Tensor:
        x: Tensor | None = None
        for stage in self.stages:
            if self.recompute and torch.is_grad_enabled():
                x, images = checkpoint(stage, x, images, use_reentrant=False)
            else:
                x, images = stage(x, images)
        assert x is not None
        with full_precision(x):
            return self.epilogue(x, images)
