"""Both networks.

Generator: noise -> token map -> stages of transformer blocks at rising resolution -> RGB (paper 4.1).
Discriminator: patches at P, 2P, 4P -> transformer stages with pooling between -> score (paper 4.2). Augmentation is not
part of it: the loss augments every batch before it is scored (released code: inside D).

State dict of the generator, for carrying weights across (S = stage, J = block within the stage):

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

State dict of the discriminator:

    stages.S.patches.weight (width, channels P P), .bias    patch embedding; index = (channel, row, column) in a patch:
                                                            a kernel-P stride-P convolution's weight, flattened from 1
    stages.S.widen.weight (added, C), .bias                 instead of it where a stage has no patch scale of its own
    stages.S.position (1, N, C)
    stages.S.blocks.J...
    cls (1, 1, C), cls_blocks.J..., norm (layer and batch norm only), head.weight (1, C), head.bias
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
    to_map,
    to_tokens,
    uses_batch,
)
from pipeline.networks.transgan.spec import (
    DiscriminatorSpec,
    DiscriminatorStageSpec,
    GeneratorSpec,
    GeneratorStageSpec,
)


class GeneratorStage(nn.Module):
    """Upsampling (none, bicubic or pixel shuffle), position embedding, blocks. (B, N, C) -> (B, N', C')."""

    bicubic: Tensor

    def __init__(self, spec: GeneratorStageSpec):
        super().__init__()
        self.upsample, self.side = spec.upsample, spec.blocks[0].side
        self.position = position(self.side, spec.blocks[0].width)
        self.blocks = Blocks(spec.blocks, running=True)
        if spec.upsample == "bicubic":
            self.register_buffer("bicubic", bicubic_matrix(self.side // 2, 2), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.upsample == "bicubic":
            x = resample(x, self.bicubic)
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

    def forward(self, z: Tensor) -> Tensor:
        x = self.to_tokens(z).unflatten(1, (-1, self.first_width))
        for stage in self.stages:
            x = stage(x)
        with full_precision(x):  # eight bits of mantissa are too few for a pixel
            return to_map(self.to_rgb(x.to(self.to_rgb.weight.dtype)), self.resolution)


class PatchEmbedding(Linear):
    """Non-overlapping P x P patches, each embedded linearly. (B, channels, H, W) -> (B, (H/P)(W/P), width)."""

    def __init__(self, patch: int, channels: int, width: int):
        super().__init__(channels * patch * patch, width)
        self.patch = patch

    def initialise(self) -> None:
        """Xavier uniform as on the convolution that the released code has here: fan_in = channels P P, fan_out = width
        P P.

        On the flattened weight, fan_out would be `width` and the weights 2 to 4 times too large.
        """
        kernel = self.weight.view(self.out_features, -1, self.patch, self.patch)
        nn.init.xavier_uniform_(kernel)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(to_tokens(F.pixel_unshuffle(images, self.patch)))


class DiscriminatorStage(nn.Module):
    """2x average pooling (all but the first stage), this stage's patches concatenated, position, blocks."""

    def __init__(self, spec: DiscriminatorStageSpec, channels: int, first: bool):
        super().__init__()
        width, self.side = spec.blocks[0].width, spec.blocks[0].side
        self.first = first
        self.patches = PatchEmbedding(spec.patch, channels, spec.embed_width) if spec.patch else None
        self.widen = Linear(width - spec.embed_width, spec.embed_width) if spec.embed_width and not spec.patch else None
        self.position = position(self.side, width)
        self.blocks = Blocks(spec.blocks, running=False)

    def forward(self, x: Tensor | None, images: Tensor, *, fused: bool) -> Tensor:
        parts = []
        if not self.first:
            x = to_tokens(F.avg_pool2d(to_map(x, self.side * 2), 2))
            parts.append(x)
        if self.patches is not None:
            parts.append(self.patches(images))
        elif self.widen is not None:
            parts.append(self.widen(x))
        x = torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]
        return self.blocks(x + self.position, fused=fused)


class Discriminator(interface.Discriminator):
    """Images (B, channels, H, W) in [-1, 1] -> scores (B,), higher = more real; no sigmoid.

    `twice` takes the explicit attention path, which can be differentiated twice (gradient penalty).
    """

    def __init__(self, spec: NetworkSpec):
        super().__init__()
        network: DiscriminatorSpec = spec.discriminator  # type: ignore[assignment]
        stages, last = network.stages, network.cls
        self.stages = nn.ModuleList(
            DiscriminatorStage(stage, spec.channels, index == 0) for index, stage in enumerate(stages)
        )
        self.cls = nn.Parameter(torch.zeros(1, 1, last.width))
        self.cls_blocks = Blocks([last], running=False)
        self.norm = make_norm(last.norm, last.width, running=False)
        self.head = Linear(last.width, 1, full_precision=True)
        self.batch_statistics = uses_batch(self)
        self.initialise()

    def initialise(self) -> None:
        """Released initialisation: linear layers and tables truncated normal 0.02, biases 0, patch embeddings Xavier.

        Biases of patch embeddings stay as PyTorch's default.
        """
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
