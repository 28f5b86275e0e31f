"""The CelebA-HQ networks of October 2021. What is different from the family transgan:

- z also becomes a latent sequence with as many tokens as the first map. Every block first attends to it;
- the first stage has no blocks;
- before the last pixel shuffles the map is enlarged four times (bicubic) and pooled back, which blurs it a little;
- the finest patches of the discriminator overlap.

State dicts: as in `pipeline.networks.transgan.networks`, and

    to_sequence.weight (N0 C0, Z), .bias, sequence_position (1, N0, C0)
    stages.S.cross_attention.J.query (C, C), .key (C, C0), .value (C, C0), .proj .weight .bias, .noise_strength ()

The discriminator's stages.0.patches.weight is a convolution's, (width, channels, P + 2 overlap, P + 2 overlap).
"""

import torch.nn.functional as F
from torch import Tensor, nn, zeros

from pipeline.networks import interface
from pipeline.networks.interface import Linear, full_precision, run_block
from pipeline.networks.spec import NetworkSpec
from pipeline.networks.transgan import networks as plain
from pipeline.networks.transgan.attention import attend
from pipeline.networks.transgan.blocks import (
    Blocks,
    bicubic_matrix,
    position,
    resample,
    to_map,
    to_tokens,
    uses_batch,
)
from pipeline.networks.transgan_oct2021.spec import DiscriminatorSpec, GeneratorSpec, GeneratorStageSpec

ENLARGED = 4  # times, before the map is pooled back


class CrossAttention(nn.Module):
    """x (B, N, C) + what its tokens find in a sequence (B, M, E): queries of x; keys and values of the sequence.

    `noise_strength` is no part of the result and gets no gradient: the released module declares it and never reads it.
    It is here so that checkpoints go in and out whole.
    """

    def __init__(self, width: int, sequence_width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = Linear(width, width, bias=False)
        self.key = Linear(sequence_width, width, bias=False)
        self.value = Linear(sequence_width, width, bias=False)
        self.proj = Linear(width, width)
        self.noise_strength = nn.Parameter(zeros(()))

    def forward(self, x: Tensor, sequence: Tensor) -> Tensor:
        q = self._divided(self.query(x))
        k, v = self._divided(self.key(sequence)), self._divided(self.value(sequence))
        found: Tensor = self.proj(attend(q, k, v, None, fused=True).transpose(1, 2).flatten(2))
        return x + found

    def _divided(self, t: Tensor) -> Tensor:
        """(B, n, C) -> (B, heads, n, C / heads)."""
        return t.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def smoothing_matrix(side: int) -> Tensor:
    """(side, side): one axis four times enlarged by the bicubic filter and averaged back to its own length."""
    return bicubic_matrix(side, ENLARGED).unflatten(0, (side, ENLARGED)).mean(dim=1)


class GeneratorStage(nn.Module):
    """Smoothing, upsampling, position embedding, blocks that look at the latent sequence. (B, N, C) -> (B, N', C')."""

    smoothing: Tensor
    bicubic: Tensor

    def __init__(self, spec: GeneratorStageSpec, sequence_width: int):
        super().__init__()
        self.upsample, self.smooth, self.side = spec.upsample, spec.smooth, spec.side
        self.position = position(spec.side, spec.width)
        self.cross_attention = nn.ModuleList(
            CrossAttention(spec.width, sequence_width, group.heads) for group in spec.blocks for _ in range(group.depth)
        )
        self.blocks = Blocks(spec.blocks, running=True)
        if spec.smooth:
            self.register_buffer("smoothing", smoothing_matrix(self.side // 2), persistent=False)
        if spec.upsample == "bicubic":
            self.register_buffer("bicubic", bicubic_matrix(self.side // 2, 2), persistent=False)

    def forward(self, x: Tensor, sequence: Tensor) -> Tensor:
        x = resample(x, self.smoothing) if self.smooth else x
        if self.upsample == "bicubic":
            x = resample(x, self.bicubic)
        elif self.upsample == "pixel_shuffle":
            x = to_tokens(F.pixel_shuffle(to_map(x, self.side // 2), 2))
        x = x + self.position
        for index in range(len(self.blocks)):
            x = run_block(self._block, index, x, sequence, recompute=self.blocks.recompute)
        return x

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

    def forward(self, z: Tensor) -> Tensor:
        x, sequence = (linear(z).unflatten(1, (-1, self.first_width)) for linear in (self.to_tokens, self.to_sequence))
        sequence = sequence + self.sequence_position
        for stage in self.stages:
            x = stage(x, sequence)
        with full_precision(x):  # eight bits of mantissa are too few for a pixel
            return to_map(self.to_rgb(x.to(self.to_rgb.weight.dtype)), self.resolution)


class OverlappingPatches(nn.Conv2d):
    """Patches every P pixels that reach `overlap` pixels further on each side, zeros outside the image.

    (B, channels, H, W) -> (B, (H/P)(W/P), width).
    """

    def __init__(self, patch: int, overlap: int, channels: int, width: int):
        super().__init__(channels, width, kernel_size=patch + 2 * overlap, stride=patch, padding=overlap)
        nn.init.xavier_uniform_(self.weight)

    def forward(self, images: Tensor) -> Tensor:
        return to_tokens(super().forward(images))


class Discriminator(plain.Discriminator):
    """Images (B, channels, H, W) in [-1, 1] -> scores (B,), higher = more real; no sigmoid."""

    def __init__(self, spec: NetworkSpec):
        network: DiscriminatorSpec = spec.discriminator  # type: ignore[assignment]
        super().__init__(spec.model_copy(update={"discriminator": network.plain}))
        first = network.stages[0]
        self.stages[0].patches = OverlappingPatches(first.patch, network.overlap, spec.channels, first.embed_width)
