"""The multi-scale discriminator: patches at P, 2P, 4P -> transformer stages with pooling between -> score (paper 4.2).

State dict, for carrying weights across (S = stage, J = block; block names as in `.generator`):

    stages.S.patches.weight (width, channels P P), .bias    patch embedding; index = (channel, row, column) in a patch:
                                                            a kernel-P stride-P convolution's weight, flattened from 1
    stages.S.widen.weight (added, C), .bias                 instead of it where a stage has no patch scale of its own
    stages.S.position (1, N, C)
    stages.S.blocks.J...
    cls (1, 1, C), cls_blocks.J..., norm (layer and batch norm only), head.weight (1, C), head.bias

Augmentation is not part of this module: the loss augments every batch before it is scored (released code: inside D).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.networks import interface
from pipeline.networks.linear import Linear
from pipeline.networks.precision import full_precision
from pipeline.networks.spec import NetworkSpec
from pipeline.networks.transgan.blocks import Blocks, position, set_recompute, to_map, to_tokens
from pipeline.networks.transgan.norm import make_norm, uses_batch
from pipeline.networks.transgan.spec import DiscriminatorSpec, DiscriminatorStageSpec


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

    def set_recompute(self, on: bool) -> None:
        set_recompute(self, on)

    def forward(self, images: Tensor, *, twice: bool = False) -> Tensor:
        x, fused = None, not twice
        for stage in self.stages:
            x = stage(x, images, fused=fused)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], dim=1)
        x = self.cls_blocks(x, fused=fused)
        with full_precision(x):
            return self.head(self.norm(x.to(self.head.weight.dtype))[:, 0]).flatten()
