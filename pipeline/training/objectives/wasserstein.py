"""Wasserstein GAN (Arjovsky et al. 2017), the paper's loss (6.2)."""

from torch import Tensor

from pipeline.training.objectives.interface import Loss


class Wasserstein(Loss):
    """D: E[D(G(z))] - E[D(x)]. G: -E[D(G(z))]."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake.mean() - real.mean()

    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return -fake.mean()
