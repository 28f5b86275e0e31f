"""The gradient penalty of WGAN-GP (Gulrajani et al. 2017), as the released code has it (paper 6.2)."""

import torch
from torch import Tensor

from pipeline.training.objectives.interface import Penalty, Score, slope


class GradientNorm(Penalty):
    """E[(||grad D(x)||_2 - phi)^2] / phi^2 at x = real + alpha (fake - real), alpha ~ U(0, 1) per image."""

    def draw_points(self, images: Tensor) -> tuple[Tensor, ...]:
        return (torch.rand(len(images), 1, 1, 1, device=images.device, dtype=images.dtype),)

    def points(self, real: Tensor, fake: Tensor, *drawn: Tensor) -> list[Tensor]:
        (share,) = drawn
        return [torch.lerp(real, fake, share)]

    def value(self, score: Score, images: Tensor, *drawn: Tensor) -> Tensor:
        assert self.target is not None
        norm = slope(score, images).flatten(1).norm(dim=1)
        return ((norm - self.target) ** 2).mean() / self.target**2
