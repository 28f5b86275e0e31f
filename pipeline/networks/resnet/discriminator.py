"""The discriminator: residual blocks with average pooling -> ReLU -> mean or sum over the pixels -> linear score.

State dict, for carrying weights across (I = block from 0; convolutions (out, in, k, k)):

    blocks.I.conv1.weight (H, C_in, 3, 3), .bias    H = C_in; C in block 0
    blocks.I.conv2.weight (C, H, 3, 3), .bias
    blocks.I.shortcut.weight (C, C_in, 1, 1), .bias where the block halves the side or changes the width
    head.weight (1, C), head.bias                   the bias where the spec has it
    ... .u (out,), .v (in k k,)                     beside every weight, with spectral norm

With spectral norm `weight` is the one that is learned, before division (`.spectral`). In AutoGAN's
program and in mimicry the same are blockI.c1, .c2, .c_sc (blocks from 1) and l5; with PyTorch's spectral norm,
weight_orig, weight_u and weight_v.
Augmentation is not part of this module.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks import interface
from pipeline.networks.linear import Linear
from pipeline.networks.precision import full_precision
from pipeline.networks.resnet.blocks import Block, run
from pipeline.networks.resnet.initialise import initialise
from pipeline.networks.resnet.spec import DiscriminatorSpec
from pipeline.networks.resnet.spectral import FIRST_ITERATIONS, SpectralLinear, iterate
from pipeline.networks.spec import NetworkSpec


class Discriminator(interface.Discriminator):
    """Images (B, channels, H, W) in [-1, 1] -> scores (B,), higher = more real; no sigmoid.

    Convolutions can be differentiated twice as they are: `twice` changes nothing.
    """

    def __init__(self, spec: NetworkSpec):
        super().__init__()
        network: DiscriminatorSpec = spec.discriminator  # type: ignore[assignment]
        self.recompute, self.pooling = False, network.pooling
        self.blocks = nn.ModuleList(
            Block(block, first=index == 0, spectral=network.spectral_norm) for index, block in enumerate(network.blocks)
        )
        width = network.blocks[-1].width
        self.head: nn.Linear
        if network.spectral_norm:
            self.head = SpectralLinear(width, 1, network.head_bias)
        else:
            self.head = Linear(width, 1, network.head_bias, full_precision=True)
        initialise(self, network.init, network.residual_gain)
        iterate(self, FIRST_ITERATIONS)

    def set_recompute(self, on: bool) -> None:
        self.recompute = on

    def start_step(self) -> None:
        iterate(self)

    def forward(self, images: Tensor, *, twice: bool = False) -> Tensor:
        x = images
        for block in self.blocks:
            x = run(block, x, recompute=self.recompute)
        with full_precision(x):
            x = F.relu(x.to(self.head.weight.dtype))
            pooled = x.mean(dim=(2, 3)) if self.pooling == "mean" else x.sum(dim=(2, 3))
            return self.head(pooled).flatten()
