"""StyleGAN2's networks resolved: sides and widths spelled out, before torch is imported."""

from typing import Literal

from pydantic import Field

from pipeline.base.schema import Strict
from pipeline.networks import spec as base
from pipeline.networks.stylegan2.config import DiscriminatorArchitecture, GeneratorArchitecture, Positive


class StageSpec(Strict):
    """The convolutions at one side."""

    side: Positive
    width: Positive  # channels

    def line(self) -> str:
        return f"  {self.side:>4} x {self.side:<4} width {self.width}"


class GeneratorSpec(base.GeneratorSpec):
    """A StyleGAN2 generator, every number explicit."""

    family: Literal["stylegan2"] = "stylegan2"
    style_dim: Positive
    mapping_layers: Positive
    architecture: GeneratorArchitecture
    stages: list[StageSpec] = Field(min_length=2)  # from 4 x 4 to the image

    def lines(self) -> list[str]:
        first = (
            f"  z {self.latent_dim} -> w {self.style_dim} in {self.mapping_layers} layers, {self.architecture} images"
        )
        return [first, *(stage.line() for stage in self.stages)]


class DiscriminatorSpec(base.DiscriminatorSpec):
    """A StyleGAN2 discriminator, every number explicit."""

    family: Literal["stylegan2"] = "stylegan2"
    architecture: DiscriminatorArchitecture
    minibatch_group: int = Field(ge=0)  # images per minibatch standard deviation; 0: none
    stages: list[StageSpec] = Field(min_length=2)  # from the image to 4 x 4

    @property
    def batch_statistics(self) -> bool:
        return self.minibatch_group > 0

    @property
    def batch_unit(self) -> int:
        return max(self.minibatch_group, 1)

    def lines(self) -> list[str]:
        group = f"over groups of {self.minibatch_group}" if self.minibatch_group else "off"
        first = f"  {self.architecture}, minibatch standard deviation {group}"
        return [first, *(stage.line() for stage in self.stages)]
