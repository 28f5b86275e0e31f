"""Zero-centred gradient penalties (Mescheder et al. 2018): R1 at real images, R2 at generated ones, R3GAN takes both.

Each is E[||grad D(x)||^2] / 2, so that `penalty_weight` is the gamma of the papers.
"""

from torch import Tensor

from pipeline.training.objectives.interface import Penalty, Score, slope


class ZeroCentred(Penalty):
    def value(self, score: Score, images: Tensor, *drawn: Tensor) -> Tensor:
        return slope(score, images).flatten(1).square().sum(dim=1).mean() / 2


class R1(ZeroCentred):
    def points(self, real: Tensor, fake: Tensor, *drawn: Tensor) -> list[Tensor]:
        return [real]


class R2(ZeroCentred):
    def points(self, real: Tensor, fake: Tensor, *drawn: Tensor) -> list[Tensor]:
        return [fake]


class R1R2(ZeroCentred):
    places = 2

    def points(self, real: Tensor, fake: Tensor, *drawn: Tensor) -> list[Tensor]:
        return [real, fake]
