"""The CelebA-HQ discriminator of October 2021: that of the family transgan, its finest patches overlapping.

State dict: as `pipeline.networks.transgan.discriminator`; stages.0.patches.weight is a convolution's, (width, channels,
P + 2 overlap, P + 2 overlap).
"""

from torch import Tensor, nn

from pipeline.networks.spec import NetworkSpec
from pipeline.networks.transgan import discriminator as plain
from pipeline.networks.transgan.blocks import to_tokens
from pipeline.networks.transgan_oct2021.spec import DiscriminatorSpec


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
