"""The hinge loss (Lim and Ye 2017; Miyato et al. 2018)."""

import torch.nn.functional as F
from torch import Tensor

from pipeline.training.objectives.interface import Loss


class Hinge(Loss):
    """D: E[relu(1 - D(x))] + E[relu(1 + D(G(z)))]. G: -E[D(G(z))]."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return -fake.mean()
