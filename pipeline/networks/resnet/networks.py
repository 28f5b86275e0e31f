"""Both networks.

Generator: noise -> linear -> feature map -> up-blocks -> norm, ReLU, 3 x 3 to RGB, tanh.
Discriminator: residual blocks with average pooling -> ReLU -> mean or sum over the pixels -> linear score.
Augmentation is not part of it.

Entries of the state dicts that do not explain themselves (I = cell or block from 0, J = skip):

    to_map.weight (C0 S0 S0, Z)                     latent -> first map; output index = (channel, row, column)
    ... .u (out,), .v (in k k,)                     beside every weight of D, with spectral norm: `weight` is the one
                                                    that is learned, before division

In AutoGAN's program these are l1, cellI.c1, .c2, .c_sc, .skip_in_ops.J (cells there from 1), to_rgb.0 and to_rgb.2; in
SNGAN as mimicry has it l1, blockI.c1, .c2, .b1, .b2, .c_sc (blocks there from 2), b5 and c5. D's are blockI.c1, .c2,
.c_sc (blocks from 1) and l5 in both; with PyTorch's spectral norm, weight_orig, weight_u and weight_v. The shapes are
the same.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks import interface
from pipeline.networks.interface import Linear, full_precision, run_block
from pipeline.networks.resnet.blocks import (
    FIRST_ITERATIONS,
    Block,
    Cell,
    SpectralLinear,
    convolution,
    initialise,
    iterate,
    make_norm,
)
from pipeline.networks.resnet.spec import DiscriminatorSpec, GeneratorSpec
from pipeline.networks.spec import NetworkSpec


class Generator(interface.Generator):
    """z (B, latent_dim) -> images (B, channels, resolution, resolution), in (-1, 1) with tanh."""

    def __init__(self, spec: NetworkSpec):
        super().__init__()
        network: GeneratorSpec = spec.generator  # type: ignore[assignment]
        self.latent_dim, self.resolution, self.channels = network.latent_dim, spec.resolution, spec.channels
        self.batch_statistics = network.rgb_norm == "batch" or any(cell.norm == "batch" for cell in network.cells)
        self.shape = (network.width, network.base_side, network.base_side)
        self.sources = [cell.skips for cell in network.cells]
        self.recompute, self.tanh = False, network.tanh
        self.to_map = Linear(self.latent_dim, network.width * network.base_side**2)
        self.cells = nn.ModuleList(
            Cell(cell, [network.cells[source].width for source in cell.skips]) for cell in network.cells
        )
        last = network.cells[-1].width
        self.norm = make_norm(network.rgb_norm, last)
        self.to_rgb = convolution(last, spec.channels, 3)
        initialise(self, network.init, network.residual_gain)

    def forward(self, z: Tensor) -> Tensor:
        x = self.to_map(z).unflatten(1, self.shape)
        firsts: list[Tensor] = []
        for cell, sources in zip(self.cells, self.sources, strict=True):
            first, x = run_block(cell, x, *(firsts[source] for source in sources), recompute=self.recompute)
            firsts.append(first)
        with full_precision(x):  # eight bits of mantissa are too few for a pixel
            pixels = self.to_rgb(F.relu(self.norm(x.to(self.to_rgb.weight.dtype))))
            return torch.tanh(pixels) if self.tanh else pixels


class Discriminator(interface.Discriminator):
    """Convolutions can be differentiated twice as they are: `twice` changes nothing."""

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

    def start_step(self) -> None:
        iterate(self)

    def forward(self, images: Tensor, *, twice: bool = False) -> Tensor:
        x = images
        for block in self.blocks:
            x = run_block(block, x, recompute=self.recompute)
        with full_precision(x):
            x = F.relu(x.to(self.head.weight.dtype))
            pooled = x.mean(dim=(2, 3)) if self.pooling == "mean" else x.sum(dim=(2, 3))
            return self.head(pooled).flatten()
