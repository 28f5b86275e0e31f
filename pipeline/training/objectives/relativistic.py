"""The relativistic pairing loss (Jolicoeur-Martineau 2018; R3GAN, Huang et al. 2024, arXiv 2501.05441)."""

import torch.nn.functional as F
from torch import Tensor

from pipeline.training.objectives.interface import Loss


class Relativistic(Loss):
    """D: E[softplus(-(D(x) - D(G(z))))]. G: E[softplus(-(D(G(z)) - D(x)))]. Each fake is paired with one real image."""

    needs_real = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(fake - real).mean()

    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        assert real is not None
        return F.softplus(real - fake).mean()
