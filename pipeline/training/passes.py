"""The passes of a training step as pure functions of tensors: random numbers come in as arguments, so each compiles whole."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.training.augment import Drawn, apply
from pipeline.training.config import TrainConfig
from pipeline.training.losses import discriminator_loss, generator_loss, gradient_penalty, score_pair
from pipeline.training.shared import Shared


def make_fakes(generator: Shared, latents: Tensor) -> Tensor:
    """Fakes for D: no graph is kept."""
    with torch.no_grad():
        return generator(latents)


def adversarial(
    discriminator: Shared, real: Tensor, fake: Tensor, config: TrainConfig, *, together: bool, batch_mean: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """D's loss without penalty on augmented images, and its mean scores of real and fake ones."""
    scores = score_pair(discriminator, real, fake, together=together)
    return discriminator_loss(*scores, config, batch_mean=batch_mean), scores[0].detach().mean(), scores[1].detach().mean()


def fooling(generator: Shared, discriminator: Shared, latents: Tensor, drawn: Drawn, config: TrainConfig) -> Tensor:
    """G's loss."""
    return generator_loss(discriminator(apply(generator(latents), drawn, config.augment)), config)


@dataclass(frozen=True)
class Passes:
    """The four passes of a step, compiled or as they are."""

    make_fakes: Callable[..., Tensor] = make_fakes
    adversarial: Callable[..., tuple[Tensor, Tensor, Tensor]] = adversarial
    penalty: Callable[..., Tensor] = gradient_penalty
    fooling: Callable[..., Tensor] = fooling


def passes(config: TrainConfig) -> Passes:
    """As `execution` says; a compiled pass takes up to minutes at its first call."""
    if config.execution == "eager":
        return Passes()

    def compiled(function: Callable) -> Callable:
        return torch.compile(function, fullgraph=True, dynamic=False)

    return Passes(compiled(make_fakes), compiled(adversarial), compiled(gradient_penalty), compiled(fooling))
