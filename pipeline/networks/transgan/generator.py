"""The generator: noise -> token map -> stages of transformer blocks at rising resolution -> RGB (paper 4.1).

State dict, for carrying weights across (S = stage, J = block within the stage):

    to_tokens.weight (N0 C0, Z), .bias              latent -> first map, output index = token * C0 + channel
    stages.S.position (1, N, C)                     absolute position, added on entering the stage
    stages.S.blocks.J.norm1 / norm2 .weight .bias   layer and batch norm only (batch norm: running statistics too)
    stages.S.blocks.J.attention.qkv.weight (3C, C)  rows: q, k, v; each heads x (C / heads)
    stages.S.blocks.J.attention.proj.weight, .bias
    stages.S.blocks.J.attention.relative_position.table         ((2w - 1)^2, heads), w the side of the map or grid cell
        axis attention: ...relative_position.rows.table and ...relative_position.columns.table (2 side - 1, heads)
    stages.S.blocks.J.attention.noise_strength ()   where noise is on
    stages.S.blocks.J.mlp.fc1 / fc2 .weight .bias
    to_rgb.weight (channels, C), .bias              per token; the released code's 1x1 convolution with its 1s dropped
"""

import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks import interface
from pipeline.networks.linear import Linear
from pipeline.networks.precision import full_precision
from pipeline.networks.spec import NetworkSpec
from pipeline.networks.transgan.blocks import Blocks, position, set_recompute, to_map, to_tokens
from pipeline.networks.transgan.norm import uses_batch
from pipeline.networks.transgan.spec import GeneratorSpec, GeneratorStageSpec


class GeneratorStage(nn.Module):
    """Upsampling (none, bicubic or pixel shuffle), position embedding, blocks. (B, N, C) -> (B, N', C')."""

    def __init__(self, spec: GeneratorStageSpec):
        super().__init__()
        self.upsample, self.side = spec.upsample, spec.blocks[0].side
        self.position = position(self.side, spec.blocks[0].width)
        self.blocks = Blocks(spec.blocks, running=True)

    def forward(self, x: Tensor) -> Tensor:
        if self.upsample == "bicubic":
            x = to_tokens(F.interpolate(to_map(x, self.side // 2), scale_factor=2, mode="bicubic", align_corners=False))
        elif self.upsample == "pixel_shuffle":
            x = to_tokens(F.pixel_shuffle(to_map(x, self.side // 2), 2))
        return self.blocks(x + self.position)


class Generator(interface.Generator):
    """z (B, latent_dim) -> images (B, channels, resolution, resolution), real pixels being in [-1, 1]; no tanh."""

    def __init__(self, spec: NetworkSpec):
        super().__init__()
        network: GeneratorSpec = spec.generator  # type: ignore[assignment]
        stages = network.stages
        first, last = stages[0].blocks[0], stages[-1].blocks[0]
        self.latent_dim, self.resolution, self.channels = network.latent_dim, spec.resolution, spec.channels
        self.to_tokens = Linear(self.latent_dim, first.side**2 * first.width)
        self.stages = nn.ModuleList(GeneratorStage(stage) for stage in stages)
        self.to_rgb = Linear(last.width, spec.channels, full_precision=True)
        self.first_width = first.width
        self.batch_statistics = uses_batch(self)
        self.initialise()

    def initialise(self) -> None:
        """Released initialisation: linear layers as PyTorch's default, tables truncated normal, toRGB Xavier."""
        for name, parameter in self.named_parameters():
            if name.endswith((".position", ".table")):
                nn.init.trunc_normal_(parameter, std=0.02)
        nn.init.xavier_uniform_(self.to_rgb.weight)

    def set_recompute(self, on: bool) -> None:
        set_recompute(self, on)

    def forward(self, z: Tensor) -> Tensor:
        x = self.to_tokens(z).unflatten(1, (-1, self.first_width))
        for stage in self.stages:
            x = stage(x)
        with full_precision(x):  # eight bits of mantissa are too few for a pixel
            return to_map(self.to_rgb(x.to(self.to_rgb.weight.dtype)), self.resolution)
