"""The passes of a training step as pure functions of tensors: random numbers come in as arguments, so each compiles
whole.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from pipeline.training.augment import Drawn, apply
from pipeline.training.config import TrainConfig
from pipeline.training.objectives.objective import Objective
from pipeline.training.step_cache import StepCache


def fakes_pass(generator: StepCache, latents: Tensor) -> Tensor:
    """Images for D: no graph is kept."""
    with torch.no_grad():
        return generator(latents)


def adversarial_pass(
    discriminator: StepCache,
    real: Tensor,
    fake: Tensor,
    objective: Objective,
    *,
    together: bool,
    batch_mean: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """D's loss without penalty on augmented images, and its mean scores of real and fake ones.

    `together`: real and fake images are scored as one batch, which batch statistics forbid.
    """
    if together:
        scores_real, scores_fake = discriminator(torch.cat([real, fake])).split([len(real), len(fake)])
    else:
        scores_real, scores_fake = discriminator(real), discriminator(fake)
    loss = objective.discriminator(scores_real, scores_fake, batch_mean=batch_mean)
    return loss, scores_real.detach().mean(), scores_fake.detach().mean()


def penalty_pass(
    discriminator: StepCache,
    images: Tensor,
    augmentation: Drawn,
    drawn: tuple[Tensor, ...],
    objective: Objective,
    config: TrainConfig,
) -> Tensor:
    """The objective's penalty at `images` (before augmentation), unweighted."""

    def score(inputs: Tensor, *, twice: bool = False) -> Tensor:
        return discriminator(apply(inputs, augmentation, config.augment), twice=twice)

    assert objective.penalty is not None
    return objective.penalty.value(score, images, *drawn)


def generator_pass(
    generator: StepCache,
    discriminator: StepCache,
    latents: Tensor,
    augmentation: Drawn,
    real: Tensor | None,
    objective: Objective,
    config: TrainConfig,
) -> Tensor:
    """G's loss. `real`: augmented real images for a loss that compares with them."""
    scores_real = None if real is None else discriminator(real)
    return objective.loss.generator(discriminator(apply(generator(latents), augmentation, config.augment)), scores_real)


@dataclass(frozen=True)
class Passes:
    """The four passes of a step, compiled or as they are."""

    fakes: Callable[..., Tensor] = fakes_pass
    adversarial: Callable[..., tuple[Tensor, Tensor, Tensor]] = adversarial_pass
    penalty: Callable[..., Tensor] = penalty_pass
    generator: Callable[..., Tensor] = generator_pass


def make_passes(config: TrainConfig) -> Passes:
    """As `execution` says; a compiled pass takes up to minutes at its first call."""
    if config.execution == "eager":
        return Passes()

    compiled = _graphs if config.execution == "compiled_graphs" else _compiled
    return Passes(compiled(fakes_pass), compiled(adversarial_pass), compiled(penalty_pass), compiled(generator_pass))


def _compiled(function: Callable) -> Callable:
    return torch.compile(function, fullgraph=True, dynamic=False)


def _graphs(function: Callable) -> Callable:
    """Compiled, and replayed as CUDA graphs. A replay overwrites what the last one returned: results are copied out."""
    replayed = torch.compile(function, fullgraph=True, dynamic=False, mode="reduce-overhead")

    def call(*arguments: object, **settings: object) -> object:
        torch.compiler.cudagraph_mark_step_begin()
        return tree_map(torch.clone, replayed(*arguments, **settings))

    return call
