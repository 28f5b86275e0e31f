"""Both networks.

Generator: noise -> token map -> stages of transformer blocks at rising resolution -> RGB (paper 4.1).
Discriminator: patches at P, 2P, 4P -> transformer stages with pooling between -> score (paper 4.2). Augmentation is not
part of it: the loss augments every batch before it is scored (released code: inside D).

With `cross_attention`, `smooth` and `overlap` they are the CelebA-HQ networks of October 2021: z also becomes a
sequence with as many tokens as the first map, to which every block first attends; before some upsamplings the map is
enlarged four times (bicubic) and pooled back, which blurs it a little; the finest patches overlap.

Entries of the state dicts that do not explain themselves (S = stage, J = block, C = width, N = tokens):

    to_tokens.weight (N0 C0, Z)                     latent -> first map, output index = token * C0 + channel
    stages.S.position (1, N, C)                     absolute position, added on entering the stage
    stages.S.blocks.J.attention.qkv.weight (3C, C)  rows: q, k, v; each heads x (C / heads)
    ...attention.relative_position.table            ((2w - 1)^2, heads), w the side of the map or grid cell
        axis attention: ...relative_position.rows.table and ...relative_position.columns.table (2 side - 1, heads)
    to_rgb.weight (channels, C)                     per token; the released code's 1x1 convolution with its 1s dropped
    stages.S.patches.weight (width, channels P P)   index = (channel, row, column) in a patch: a kernel-P stride-P
                                                    convolution's weight, flattened from 1; unflattened with `overlap`
    stages.S.widen.weight (added, C)                instead of it where a stage has no patch scale of its own
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks import interface
from pipeline.networks.interface import Linear, full_precision
from pipeline.networks.spec import NetworkSpec
from pipeline.networks.transgan.blocks import (
    Blocks,
    bicubic_matrix,
    make_norm,
    position,
    resample,
    smoothing_matrix,
    to_map,
    to_tokens,
)
from pipeline.networks.transgan.spec import DiscriminatorSpec, DiscriminatorStageSpec, GeneratorSpec, GeneratorStageSpec


class GeneratorStage(nn.Module):
    """Smoothing, upsampling (none, bicubic or pixel shuffle), position, blocks. (B, N, C) -> (B, N', C')."""

    smoothing: Tensor
    bicubic: Tensor

    def __init__(self, spec: GeneratorStageSpec, sequence_width: int):
        super().__init__()
        self.smooth, self.upsample, self.side = spec.smooth, spec.upsample, spec.blocks[0].side
        self.position = position(self.side, spec.blocks[0].width)
        self.blocks = Blocks(spec.blocks, running=True, sequence_width=sequence_width)
        if spec.smooth:
            self.register_buffer("smoothing", smoothing_matrix(self.side // 2), persistent=False)
        if spec.upsample == "bicubic":
            self.register_buffer("bicubic", bicubic_matrix(self.side // 2, 2), persistent=False)

    def forward(self, x: Tensor, sequence: Tensor | None) -> Tensor:
        x = resample(x, self.smoothing) if self.smooth else x
        if self.upsample == "bicubic":
            x = resample(x, self.bicubic)
        elif self.upsample == "pixel_shuffle":
            x = to_tokens(F.pixel_shuffle(to_map(x, self.side // 2), 2))
        return self.blocks(self.position + x, sequence)  # in this order the sum of a shuffled map is contiguous


class Generator(interface.Generator):
    """z (B, latent_dim) -> images (B, channels, resolution, resolution), real pixels being in [-1, 1]; no tanh."""

    def __init__(self, spec: NetworkSpec):
        super().__init__(spec)
        network: GeneratorSpec = spec.generator  # type: ignore[assignment]
        first, last = network.stages[0].blocks[0], network.stages[-1].blocks[0]
        self.first_width, self.cross_attention = first.width, network.cross_attention
        self.to_tokens = Linear(self.latent_dim, first.side**2 * first.width)
        if self.cross_attention:
            self.to_sequence = Linear(self.latent_dim, first.side**2 * first.width)
            self.sequence_position = position(first.side, first.width)
        sequence_width = first.width if self.cross_attention else 0
        self.stages = nn.ModuleList(GeneratorStage(stage, sequence_width) for stage in network.stages)
        self.to_rgb = Linear(last.width, spec.channels, full_precision=True)
        # As released: linear layers as PyTorch's default, tables truncated normal, toRGB Xavier, the sequence's 0.
        for name, parameter in self.named_parameters():
            if name.endswith((".position", ".table")):
                nn.init.trunc_normal_(parameter, std=0.02)
        nn.init.xavier_uniform_(self.to_rgb.weight)

    def forward(self, z: Tensor) -> Tensor:
        x, sequence = self.to_tokens(z).unflatten(1, (-1, self.first_width)), None
        if self.cross_attention:
            sequence = self.to_sequence(z).unflatten(1, (-1, self.first_width)) + self.sequence_position
        for stage in self.stages:
            x = stage(x, sequence)
        with full_precision(x):  # eight bits of mantissa are too few for a pixel
            return to_map(self.to_rgb(x.to(self.to_rgb.weight.dtype)), self.resolution)


class PatchEmbedding(Linear):
    """Non-overlapping P x P patches, each embedded linearly. (B, channels, H, W) -> (B, (H/P)(W/P), width)."""

    def __init__(self, patch: int, channels: int, width: int):
        super().__init__(channels * patch * patch, width)
        self.patch = patch

    def initialise(self) -> None:
        """Xavier uniform as on a convolution, fan_out = width P P; on the flattened weight it would be `width`, and the
        weights 2 to 4 times too large.
        """
        nn.init.xavier_uniform_(self.weight.view(self.out_features, -1, self.patch, self.patch))

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(to_tokens(F.pixel_unshuffle(images, self.patch)))


class OverlappingPatches(nn.Conv2d):
    """Patches every P pixels that reach `overlap` pixels further on each side, zeros outside the image.

    (B, channels, H, W) -> (B, (H/P)(W/P), width).
    """

    def __init__(self, patch: int, overlap: int, channels: int, width: int):
        super().__init__(channels, width, kernel_size=patch + 2 * overlap, stride=patch, padding=overlap)
        nn.init.xavier_uniform_(self.weight)

    def forward(self, images: Tensor) -> Tensor:
        return to_tokens(super().forward(images))


class DiscriminatorStage(nn.Module):
    """2x average pooling (all but the first stage), this stage's patches concatenated, position, blocks."""

    def __init__(self, spec: DiscriminatorStageSpec, channels: int, *, overlap: int):
        super().__init__()
        width, added, self.side = spec.blocks[0].width, spec.embed_width, spec.blocks[0].side
        self.patches: nn.Module | None = None
        if spec.patch and overlap:
            self.patches = OverlappingPatches(spec.patch, overlap, channels, added)
        elif spec.patch:
            self.patches = PatchEmbedding(spec.patch, channels, added)
        self.widen = Linear(width - added, added) if added and not spec.patch else None
        self.position = position(self.side, width)
        self.blocks = Blocks(spec.blocks, running=False)

    def forward(self, x: Tensor | None, images: Tensor, *, fused: bool) -> Tensor:
        x = None if x is None else to_tokens(F.avg_pool2d(to_map(x, self.side * 2), 2))
        parts = [] if x is None else [x]
        if self.patches is not None:
            parts.append(self.patches(images))
        elif self.widen is not None:
            parts.append(self.widen(x))
        x = torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]
        return self.blocks(x + self.position, fused=fused)


class Discriminator(interface.Discriminator):
    """`twice` takes the explicit attention path, which can be differentiated twice (gradient penalty)."""

    def __init__(self, spec: NetworkSpec):
        super().__init__(spec)
        network: DiscriminatorSpec = spec.discriminator  # type: ignore[assignment]
        last = network.cls
        self.stages = nn.ModuleList(
            DiscriminatorStage(stage, spec.channels, overlap=0 if index else network.overlap)
            for index, stage in enumerate(network.stages)
        )
        self.cls = nn.Parameter(torch.zeros(1, 1, last.width))
        self.cls_blocks = Blocks([last], running=False)
        self.norm = make_norm(last.norm, last.width, running=False)
        self.head = Linear(last.width, 1, full_precision=True)
        # As released: linear layers, tables truncated normal 0.02, biases 0; patches Xavier, biases as PyTorch's.
        for module in self.modules():
            if isinstance(module, PatchEmbedding):
                module.initialise()
            elif isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for name, parameter in self.named_parameters():
            if name == "cls" or name.endswith((".position", ".table")):
                nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, images: Tensor, *, twice: bool = False) -> Tensor:
        x, fused = None, not twice
        for stage in self.stages:
            x = stage(x, images, fused=fused)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], dim=1)
        x = self.cls_blocks(x, fused=fused)
        with full_precision(x):
            return self.head(self.norm(x.to(self.head.weight.dtype))[:, 0]).flatten()
