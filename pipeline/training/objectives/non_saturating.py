"""The non-saturating loss (Goodfellow et al. 2014)."""

import torch.nn.functional as F
from torch import Tensor

from pipeline.training.objectives.interface import Loss


class NonSaturating(Loss):
    """D: E[softplus(-D(x))] + E[softplus(D(G(z)))]. G: E[softplus(-D(G(z)))]."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return F.softplus(-fake).mean()
