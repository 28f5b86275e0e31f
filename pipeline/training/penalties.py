"""Penalties on the slope of D. A new one is a class of this kind in a file of its own and a line in `registry.py`."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

Score = Callable[..., Tensor]  # images (B, C, H, W), twice=False -> scores (B,), augmentation included


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
        (direction,) = noise
        return ((score(images + self.step * direction) - score(images)) / self.step).square().mean() / 2


def slope(score: Score, images: Tensor) -> Tensor:
    """Gradient of each image's score with respect to its pixels, (B, C, H, W); it can be differentiated again.

    Taken before augmentation, as released: the gradient passes through `score`'s augmentation and has the images'
    dtype.
    """

    def total(inputs: Tensor) -> Tensor:
        return score(inputs, twice=True).sum()

    if torch.compiler.is_compiling():
        return torch.func.grad(total)(images)  # the one second derivative the compiler can trace through
    inputs = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(total(inputs), inputs, create_graph=True)
    return gradient
