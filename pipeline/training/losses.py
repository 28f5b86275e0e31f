"""Adversarial losses on scores. A new one is a class of this kind in a file of its own and a line in `registry.py`."""

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor

from pipeline.networks.distributed import mean_value, world


class Loss(ABC):
    """Losses of both networks as functions of scores (B,); each is a mean over the batch, a scalar."""

    needs_real: bool = False  # whether G's loss compares with the scores of real images

    @abstractmethod
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor: ...

    @abstractmethod
    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        """`real`: scores of as many real images, None unless `needs_real`."""


class Wasserstein(Loss):
    """Arjovsky et al. 2017, the paper's loss (6.2). D: E[D(G(z))] - E[D(x)]. G: -E[D(G(z))]."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake.mean() - real.mean()

    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return -fake.mean()


class Hinge(Loss):
    """Lim and Ye 2017. D: E[relu(1 - D(x))] + E[relu(1 + D(G(z)))]. G: -E[D(G(z))]."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return -fake.mean()


class NonSaturating(Loss):
    """Goodfellow et al. 2014. D: E[softplus(-D(x))] + E[softplus(D(G(z)))]. G: E[softplus(-D(G(z)))]."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        return F.softplus(-fake).mean()


class Relativistic(Loss):
    """Jolicoeur-Martineau 2018; R3GAN, arXiv 2501.05441. Each fake is paired with one real image.

    D: E[softplus(-(D(x) - D(G(z))))]. G: E[softplus(-(D(G(z)) - D(x)))].
    """

    needs_real = True

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(fake - real).mean()

    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        assert real is not None
        return F.softplus(real - fake).mean()


def discriminator_loss(
    loss: Loss, real: Tensor, fake: Tensor, *, drift_weight: float, batch_mean: Tensor | None = None
) -> Tensor:
    """D's loss on scores (B,) without its penalty: adversarial part plus drift_weight * E[D(x)]^2, as released.

    `batch_mean`: E[D(x)] of the whole batch where the scores are those of one of several parts; where they are a
    process's rows, it is computed here. The square is then replaced by E (2 e - E) with the part's mean e: its mean
    over the parts, and the gradient of that mean, are those of the square.
    """
    mean = real.mean()
    if batch_mean is None and drift_weight and world() > 1:
        batch_mean = mean_value(mean)
    drift = mean.square() if batch_mean is None else batch_mean * (2 * mean - batch_mean)
    return loss.discriminator(real, fake) + drift_weight * drift
