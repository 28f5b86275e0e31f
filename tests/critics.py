"""Critics given as formulas, for tests of objectives: their slopes are known by hand."""

import torch
from torch import nn

from pipeline.networks.families import load_attribute
from pipeline.training.augment import sample_parameters
from pipeline.training.config import PENALTIES, TrainConfig
from pipeline.training.step import penalty_pass


class Critic(nn.Module):
    """A critic that is a formula of (images, weight). It remembers the images it was shown.

    `twice`: what every call must say about a second derivative.
    """

    batch_statistics = False

    def __init__(self, formula, weight=None, *, twice=True):
        super().__init__()
        self.formula, self.twice, self.seen = formula, twice, []
        self.weight = nn.Parameter(torch.randn(3, 8, 8) if weight is None else weight)

    def forward(self, images, *, twice=False):
        assert twice == self.twice, "a fused kernel has no second derivative, and whatever needs none should use it"
        self.seen.append(images.detach())
        return self.formula(images, self.weight)


def linear(images, weight):
    """w . x, whose gradient is w everywhere."""
    return (images * weight).sum((1, 2, 3))


def quadratic(images, weight):
    """a ||x||^2 / 2, whose gradient is a x."""
    return weight * images.square().sum((1, 2, 3)) / 2


def penalty_values(critic, real: torch.Tensor, fake: torch.Tensor, config: TrainConfig) -> list[torch.Tensor]:
    """The penalty of `config` at each batch of images where it is taken, through the pass that a training step uses."""
    penalty, critic.config = load_attribute(PENALTIES[config.penalty]), config
    alpha = torch.rand(len(real), 1, 1, 1)
    images = {"real": real, "fake": fake, "between": torch.lerp(real, fake, alpha.to(real.dtype))}
    return [
        penalty_pass(
            critic,
            images[place],
            sample_parameters(real, config.augment),
            (torch.randn_like(real),) if penalty.noisy else (),
            penalty,
        )
        for place in penalty.places
    ]


def mean(values) -> float:
    values = [float(value) for value in values]
    return sum(values) / len(values)
