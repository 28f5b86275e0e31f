"""The gradient penalty of WGAN-GP (Gulrajani et al. 2017), as the released code has it (paper 6.2)."""

import torch
from torch import Tensor

from pipeline.training.objectives.interface import Penalty, Score, slope


class GradientNorm(Penalty):
    """E[(||grad D(x)||_2 - phi)^2] / phi^2 at x = real + alpha (fake - real), alpha ~ U(0, 1) per image."""

    def points(self, real: Tensor, fake: Tensor) -> list[Tensor]:
        return [torch.lerp(real, fake, torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype))]

    def value(self, score: Score, images: Tensor, *drawn: Tensor) -> Tensor:
        assert self.target is not None
        norm = slope(score, images).flatten(1).norm(dim=1)
        return ((norm - self.target) ** 2).mean() / self.target**2
