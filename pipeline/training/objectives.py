"""Adversarial losses on scores, and penalties on the slope of D.

A new one is a class of either kind in a file of its own and a line in `LOSSES` or `PENALTIES` (`config.py`).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.networks import distributed

Score = Callable[..., Tensor]  # images (B, C, H, W), twice=False -> scores (B,), augmentation included


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


class Hinge(Wasserstein):
    """Lim and Ye 2017. D: E[relu(1 - D(x))] + E[relu(1 + D(G(z)))]. G: -E[D(G(z))]."""

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


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
    if batch_mean is None and drift_weight and distributed.world() > 1:
        batch_mean = distributed.mean(mean.detach())
    drift = mean.square() if batch_mean is None else batch_mean * (2 * mean - batch_mean)
    return loss.discriminator(real, fake) + drift_weight * drift


class Penalty(ABC):
    """A penalty on how steep D is at some images. The step takes it once at each of `places` and adds up the values."""

    places: tuple[str, ...] = ("real",)  # real | fake | between: x = real + alpha (fake - real), alpha ~ U(0, 1)

    def __init__(self, target: float | None):
        self.target = target  # the gradient norm it pulls to, for those that have one

    def sample_noise(self, images: Tensor) -> tuple[Tensor, ...]:
        """Random numbers that `value` needs, a row per image, from torch's global generator."""
        return ()

    @abstractmethod
    def value(self, score: Score, images: Tensor, *noise: Tensor) -> Tensor:
        """The penalty at `images` (B, C, H, W), a mean over them. `noise`: what `sample_noise` gave for them."""


class GradientNorm(Penalty):
    """WGAN-GP (Gulrajani et al. 2017), as the released code has it (paper 6.2): E[(||grad D(x)||_2 - phi)^2] / phi^2"""

    places = ("between",)

    def value(self, score: Score, images: Tensor, *noise: Tensor) -> Tensor:
        assert self.target is not None
        norm = slope(score, images).flatten(1).norm(dim=1)
        return ((norm - self.target) ** 2).mean() / self.target**2


class R1(Penalty):
    """E[||grad D(x)||^2] / 2 at real images (Mescheder et al. 2018); the half makes `penalty_weight` their gamma."""

    def value(self, score: Score, images: Tensor, *noise: Tensor) -> Tensor:
        return slope(score, images).flatten(1).square().sum(dim=1).mean() / 2


class R2(R1):
    """R1 at generated images."""

    places = ("fake",)


class R1R2(R1):
    """R1 and R2, as R3GAN has them."""

    places = ("real", "fake")


class FiniteDifference(Penalty):
    """R1 and R2 without a second derivative: the slope along one random direction per image (GAT, 2025).

    E over e ~ N(0, I) of ((D(x + s e) - D(x)) / s)^2 is ||grad D(x)||^2 up to terms of s^2. No double backward: fused
    attention, compilation and plain data parallelism work with it.
    """

    places = ("real", "fake")
    step = 0.01  # s, in units of images in [-1, 1]

    def sample_noise(self, images: Tensor) -> tuple[Tensor, ...]:
        return (torch.randn_like(images),)

    def value(self, score: Score, images: Tensor, *noise: Tensor) -> Tensor:
        return ((score(images + self.step * noise[0]) - score(images)) / self.step).square().mean() / 2


def slope(score: Score, images: Tensor) -> Tensor:
    """Gradient of each image's score with respect to its pixels, (B, C, H, W); it can be differentiated again.

    Taken before augmentation, as released: the gradient passes through `score`'s augmentation.
    """

    def total(inputs: Tensor) -> Tensor:
        return score(inputs, twice=True).sum()

    if torch.compiler.is_compiling():
        return torch.func.grad(total)(images)  # the one second derivative the compiler can trace through
    inputs = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(total(inputs), inputs, create_graph=True)
    return gradient
