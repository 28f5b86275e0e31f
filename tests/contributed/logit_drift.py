"""An example of a penalty in one file (CONTRIBUTING.md): large scores cost.

`tests/test_contributing.py` copies this file to pipeline/training/ in a copy of the project.
"""

from torch import Tensor

from pipeline.training.objectives import Penalty, Score


class LogitDrift(Penalty):
    """E[D(x)^2] / 2 at real and at generated images."""

    places = ("real", "fake")

    def value(self, score: Score, images: Tensor, *noise: Tensor) -> Tensor:
        return score(images).square().mean() / 2
