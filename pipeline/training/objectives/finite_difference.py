"""R1 and R2 without a second derivative: the slope along one random direction per image (GAT, 2025).

E over e ~ N(0, I) of ((D(x + s e) - D(x)) / s)^2 is ||grad D(x)||^2 up to terms of s^2. No double backward: fused
attention, compilation and plain data parallelism work with it.
"""

import torch
from torch import Tensor

from pipeline.training.objectives.interface import Penalty, Score

STEP = 0.01  # s, in units of images in [-1, 1]


class FiniteDifference(Penalty):
    """E[((D(x + s e) - D(x)) / s)^2] / 2 at real and at generated images; the half makes `penalty_weight` a gamma."""

    places = 2

    def points(self, real: Tensor, fake: Tensor, *drawn: Tensor) -> list[Tensor]:
        return [real, fake]

    def draw(self, images: Tensor) -> tuple[Tensor, ...]:
        return (torch.randn_like(images),)

    def value(self, score: Score, images: Tensor, *drawn: Tensor) -> Tensor:
        (direction,) = drawn
        return ((score(images + STEP * direction) - score(images)) / STEP).square().mean() / 2
