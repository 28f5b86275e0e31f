"""Adversarial losses on scores, and penalties on the slope of D.

A new one is a `Loss` or a `Penalty` in a file of its own and a line in `LOSSES` or `PENALTIES` (`config.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.networks import distributed

Score = Callable[..., Tensor]  # images (B, C, H, W), twice=False -> scores (B,), augmentation included
STEP = 0.01  # s of the finite difference, in units of images in [-1, 1]


@dataclass
class Loss:
    """Losses of both networks as functions of scores (B,) of real and fake images; means over the batch, scalars."""

    discriminator: Callable[[Tensor, Tensor], Tensor]  # of real, fake
    generator: Callable[[Tensor, Tensor | None], Tensor]  # of fake, real
    needs_real: bool = False  # whether G's loss compares with as many real images; else it gets None for them


# Arjovsky et al. 2017, the paper's loss (6.2). D: E[D(G(z))] - E[D(x)]. G: -E[D(G(z))].
WASSERSTEIN = Loss(lambda real, fake: fake.mean() - real.mean(), lambda fake, real: -fake.mean())

# Lim and Ye 2017. D: E[relu(1 - D(x))] + E[relu(1 + D(G(z)))]. G: -E[D(G(z))].
HINGE = Loss(lambda real, fake: F.relu(1 - real).mean() + F.relu(1 + fake).mean(), WASSERSTEIN.generator)

# Goodfellow et al. 2014. D: E[softplus(-D(x))] + E[softplus(D(G(z)))]. G: E[softplus(-D(G(z)))].
NON_SATURATING = Loss(
    lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
    lambda fake, real: F.softplus(-fake).mean(),
)

# Jolicoeur-Martineau 2018; R3GAN, arXiv 2501.05441. Each fake is paired with one real image.
# D: E[softplus(-(D(x) - D(G(z))))]. G: E[softplus(-(D(G(z)) - D(x)))].
RELATIVISTIC = Loss(
    lambda real, fake: F.softplus(fake - real).mean(),
    lambda fake, real: F.softplus(real - fake).mean(),  # type: ignore[operator]  # not None: needs_real
    needs_real=True,
)


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


@dataclass
class Penalty:
    """A penalty on how steep D is at some images. The step takes it once at each of `places` and adds up the values.

    `value(score, images, target, *noise)`: a mean over images (B, C, H, W). `target`: the setting `penalty_target`.
    """

    value: Callable[..., Tensor]
    places: tuple[str, ...]  # real | fake | between: x = real + alpha (fake - real), alpha ~ U(0, 1)
    noisy: bool = False  # whether `value` gets noise: N(0, 1), of the images' shape


def gradient_norm(score: Score, images: Tensor, target: float) -> Tensor:
    """WGAN-GP (Gulrajani et al. 2017), as the released code has it (paper 6.2): E[(||grad D(x)||_2 - phi)^2] / phi^2"""
    norm = slope(score, images).flatten(1).norm(dim=1)
    return ((norm - target) ** 2).mean() / target**2


def half_squared_slope(score: Score, images: Tensor, target: None) -> Tensor:
    """E[||grad D(x)||^2] / 2 (Mescheder et al. 2018); the half makes `penalty_weight` their gamma."""
    return slope(score, images).flatten(1).square().sum(dim=1).mean() / 2


def finite_difference(score: Score, images: Tensor, target: None, noise: Tensor) -> Tensor:
    """Its estimate without a second derivative: the slope along one random direction per image (GAT, 2025).

    E over e ~ N(0, I) of ((D(x + s e) - D(x)) / s)^2 is ||grad D(x)||^2 up to terms of s^2. No double backward: fused
    attention, compilation and plain data parallelism work with it.
    """
    return ((score(images + STEP * noise) - score(images)) / STEP).square().mean() / 2


GRADIENT_NORM = Penalty(gradient_norm, places=("between",))
R1 = Penalty(half_squared_slope, places=("real",))
R2 = Penalty(half_squared_slope, places=("fake",))
R1_R2 = Penalty(half_squared_slope, places=("real", "fake"))  # as R3GAN has them
FINITE_DIFFERENCE = Penalty(finite_difference, places=("real", "fake"), noisy=True)
