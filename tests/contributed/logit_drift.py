"""An example of a penalty in one file (CONTRIBUTING.md): large scores cost.

`tests/test_contributing.py` copies this file to pipeline/training/ in a copy of the project.
"""

from torch import Tensor

from pipeline.training.objectives import Penalty, Score


def logit_drift(score: Score, images: Tensor, target: None) -> Tensor:
    """E[D(x)^2] / 2."""
    return score(images).square().mean() / 2


LOGIT_DRIFT = Penalty(logit_drift, places=("real", "fake"))
