"""The CelebA-HQ generator of October 2021. What is different from the family transgan:

- z also becomes a latent sequence with as many tokens as the first map. Every block first attends to it;
- the first stage has no blocks;
- before the last pixel shuffles the map is enlarged four times (bicubic) and pooled back, which blurs it a little.

State dict: as `pipeline.networks.transgan.generator`, and

    to_sequence.weight (N0 C0, Z), .bias, sequence_position (1, N0, C0)
    stages.S.cross_attention.J.query (C, C), .key (C, C0), .value (C, C0), .proj .weight .bias, .noise_strength ()
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pipeline.networks import interface
from pipeline.networks.linear import Linear
from pipeline.networks.precision import full_precision
from pipeline.networks.spec import NetworkSpec
from pipeline.networks.transgan.blocks import Blocks, position, set_recompute, to_map, to_tokens
from pipeline.networks.transgan.norm import uses_batch
from pipeline.networks.transgan_oct2021.cross_attention import CrossAttention
from pipeline.networks.transgan_oct2021.spec import GeneratorSpec, GeneratorStageSpec

ENLARGED = 4  # times, before the map is pooled back


def smooth(x_BCHW: Tensor) -> Tensor:
    """The map four times enlarged by the bicubic filter and averaged back to its own size, (B, C, H, W)."""
    large = F.interpolate(x_BCHW, scale_factor=ENLARGED, mode="bicubic", align_corners=False)
    return F.avg_pool2d(large, ENLARGED)


class GeneratorStage(nn.Module):
    """Smoothing, upsampling, position embedding, blocks that look at the latent sequence. (B, N, C) -> (B, N', C')."""

    def __init__(self, spec: GeneratorStageSpec, sequence_width: int):
        super().__init__()
        self.upsample, self.smooth, self.side = spec.upsample, spec.smooth, spec.side
        self.position = position(spec.side, spec.width)
        self.cross_attention = nn.ModuleList(
            CrossAttention(spec.width, sequence_width, group.heads) for group in spec.blocks for _ in range(group.depth)
        )
        self.blocks = Blocks(spec.blocks, running=True)

    def forward(self, x: Tensor, sequence: Tensor) -> Tensor:
        if self.upsample != "none":
            x = to_tokens(self._enlarged(to_map(x, self.side // 2)))
        x = x + self.position
        for index in range(len(self.blocks)):
            if self.blocks.recompute and torch.is_grad_enabled():
                x = checkpoint(self._block, index, x, sequence, use_reentrant=False)
            else:
                x = self._block(index, x, sequence)
        return x

    def _enlarged(self, x: Tensor) -> Tensor:
        x = smooth(x) if self.smooth else x
        if self.upsample == "bicubic":
            return F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=False)
        return F.pixel_shuffle(x, 2)

    def _block(self, index: int, x: Tensor, sequence: Tensor) -> Tensor:
        found: Tensor = self.blocks[index](self.cross_attention[index](x, sequence))
        return found


class Generator(interface.Generator):
    """z (B, latent_dim) -> images (B, channels, resolution, resolution), real pixels being in [-1, 1]; no tanh."""

    def __init__(self, spec: NetworkSpec):
        super().__init__()
        network: GeneratorSpec = spec.generator  # type: ignore[assignment]
        first = network.stages[0]
        self.latent_dim, self.resolution, self.channels = network.latent_dim, spec.resolution, spec.channels
        self.first_width = first.width
        self.to_tokens = Linear(self.latent_dim, first.side**2 * first.width)
        self.to_sequence = Linear(self.latent_dim, first.side**2 * first.width)
        self.sequence_position = position(first.side, first.width)
        self.stages = nn.ModuleList(GeneratorStage(stage, first.width) for stage in network.stages)
        self.to_rgb = Linear(network.stages[-1].width, spec.channels, full_precision=True)
        self.batch_statistics = uses_batch(self)
        self.initialise()

    def initialise(self) -> None:
        """Released initialisation: as the family transgan; the position in the latent sequence starts at zero."""
        for name, parameter in self.named_parameters():
            if name.endswith((".position", ".table")):
                nn.init.trunc_normal_(parameter, std=0.02)
        nn.init.xavier_uniform_(self.to_rgb.weight)

    def set_recompute(self, on: bool) -> None:
        set_recompute(self, on)

    def forward(self, z: Tensor) -> Tensor:
        x, sequence = (linear(z).unflatten(1, (-1, self.first_width)) for linear in (self.to_tokens, self.to_sequence))
        sequence = sequence + self.sequence_position
        for stage in self.stages:
            x = stage(x, sequence)
        with full_precision(x):  # eight bits of mantissa are too few for a pixel
            return to_map(self.to_rgb(x.to(self.to_rgb.weight.dtype)), self.resolution)
