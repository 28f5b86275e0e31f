"""The generator: noise -> linear -> feature map -> up-blocks -> norm, ReLU, 3 x 3 to RGB, tanh.

State dict, for carrying weights across (I = cell, J = skip, both from 0; convolutions (out, in, k, k)):

    to_map.weight (C0 S0 S0, Z), .bias              latent -> first map; output index = (channel, row, column)
    cells.I.conv1.weight (C, C_in, 3, 3), .bias
    cells.I.conv2.weight (C, C, 3, 3), .bias
    cells.I.norm1 / norm2 .weight .bias .running_mean .running_var .num_batches_tracked       batch norm only
    cells.I.shortcut.weight (C, C_in, 1, 1), .bias  where the cell has one
    cells.I.skips.J.weight (C, C_skip, 1, 1), .bias
    norm .weight .bias .running_mean ...            before RGB, batch norm only
    to_rgb.weight (channels, C, 3, 3), .bias

In AutoGAN's program these are l1, cellI.c1, .c2, .c_sc, .skip_in_ops.J (cells there from 1), to_rgb.0 and to_rgb.2; in
SNGAN as mimicry has it l1, blockI.c1, .c2, .b1, .b2, .c_sc (blocks there from 2), b5 and c5. The shapes are the same.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks import interface
from pipeline.networks.linear import Linear
from pipeline.networks.precision import full_precision
from pipeline.networks.resnet.blocks import Cell, convolution, make_norm, run
from pipeline.networks.resnet.initialise import initialise
from pipeline.networks.resnet.spec import GeneratorSpec
from pipeline.networks.spec import NetworkSpec


class Generator(interface.Generator):
    """z (B, latent_dim) -> images (B, channels, resolution, resolution), in (-1, 1) with tanh.

    In training mode batch norms use the batch's statistics, in evaluation mode the running ones.
    """

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

    def set_recompute(self, on: bool) -> None:
        self.recompute = on

    def forward(self, z: Tensor) -> Tensor:
        x = self.to_map(z).unflatten(1, self.shape)
        firsts: list[Tensor] = []
        for cell, sources in zip(self.cells, self.sources, strict=True):
            first, x = run(cell, x, *(firsts[source] for source in sources), recompute=self.recompute)
            firsts.append(first)
        with full_precision(x):  # eight bits of mantissa are too few for a pixel
            pixels = self.to_rgb(F.relu(self.norm(x.to(self.to_rgb.weight.dtype))))
            return torch.tanh(pixels) if self.tanh else pixels
