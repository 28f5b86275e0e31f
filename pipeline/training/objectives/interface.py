"""What an objective is made of: an adversarial loss on scores, and a penalty on the slope of D.

A new loss or penalty is one file beside this one and one line in `registry.py`; CONTRIBUTING.md says how.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

Score = Callable[..., Tensor]  # images (B, C, H, W), twice=False -> scores (B,), augmentation included


class Loss(ABC):
    """Losses of both networks as functions of scores (B,); each is a mean over the batch, a scalar."""

    needs_real: bool = False  # whether G's loss compares with the scores of real images

    @abstractmethod
    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor: ...

    @abstractmethod
    def generator(self, fake: Tensor, real: Tensor | None) -> Tensor:
        """`real`: scores of as many real images, None unless `needs_real`."""


class Penalty(ABC):
    """A penalty on how steep D is at some images."""

    def __init__(self, target: float | None):
        self.target = target  # the gradient norm it pulls to, for those that have one

    places: int = 1  # how many batches of images `points` gives

    def draw_points(self, images: Tensor) -> tuple[Tensor, ...]:
        """Random numbers that `points` needs, a row per image, from torch's global generator."""
        return ()

    @abstractmethod
    def points(self, real: Tensor, fake: Tensor, *drawn: Tensor) -> list[Tensor]:
        """Batches of images (B, C, H, W) at which it is taken. `drawn` is what `draw_points` gave for them."""

    def draw(self, images: Tensor) -> tuple[Tensor, ...]:
        """Random numbers that `value` needs, a row per image."""
        return ()

    @abstractmethod
    def value(self, score: Score, images: Tensor, *drawn: Tensor) -> Tensor:
        """The penalty at `images`, a mean over them. `drawn` is what `draw` gave for them."""


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
