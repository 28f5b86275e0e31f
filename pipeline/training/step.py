"""One D step and one G step, and everything that changes while training."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.model.interface import Discriminator, Generator, build_discriminator, build_generator
from pipeline.model.spec import NetworkSpec
from pipeline.training.augment import augment, draw, rows
from pipeline.training.config import TrainConfig
from pipeline.training.ema import update_ema
from pipeline.training.forward_passes import Passes, make_passes
from pipeline.training.objectives.objective import Objective, make_objective
from pipeline.training.step_cache import StepCache

Scalars = dict[str, Tensor]  # device scalars for the history, by column


@dataclass
class Networks:
    """Both networks, the generator's weight average, the optimisers, the objective, and how passes are executed."""

    generator: Generator
    ema: Generator
    discriminator: Discriminator
    optimizer_g: torch.optim.Optimizer
    optimizer_d: torch.optim.Optimizer
    objective: Objective
    passes: Passes


def build(spec: NetworkSpec, config: TrainConfig, device: torch.device) -> Networks:
    """Initialise on the CPU from the global generator, so that weights do not depend on the device, then move."""
    generator = build_generator(spec).to(device)
    discriminator = build_discriminator(spec).to(device)
    generator.set_recompute(config.recompute)
    discriminator.set_recompute(config.recompute)
    ema = copy.deepcopy(generator).eval().requires_grad_(False)
    adam = {"lr": config.lr, "betas": (config.beta1, config.beta2), "fused": True}
    return Networks(
        generator=generator,
        ema=ema,
        discriminator=discriminator,
        optimizer_g=torch.optim.Adam(generator.parameters(), **adam),
        optimizer_d=torch.optim.Adam(discriminator.parameters(), **adam),
        objective=make_objective(config),
        passes=make_passes(config),
    )


def discriminator_step(networks: Networks, real: Tensor, config: TrainConfig, *, weight: float | None) -> Scalars:
    """One update of D on real images (B, C, H, W) in [-1, 1]. `weight`: of the penalty; None in a step without one."""
    scalars = discriminator_gradients(networks, real, config, weight=weight)
    scalars["gradient_d"] = _update(networks.optimizer_d, networks.discriminator, config)
    return scalars


def discriminator_gradients(networks: Networks, real: Tensor, config: TrainConfig, *, weight: float | None) -> Scalars:
    """D's gradients of its whole loss, added up over `accumulate` parts of the batch and, in each, over its passes.

    The adversarial pass is over before the penalty's begins, so that memory holds one of them at a time.
    """
    objective, passes = networks.objective, networks.passes
    discriminator = StepCache(networks.discriminator, config)
    together = not networks.discriminator.batch_statistics
    with torch.no_grad():
        fake = _fakes(networks, len(real), config)
        shown_real, shown_fake = augment(real, config.augment), augment(fake, config.augment)
        penalties = _penalty_draws(objective, real, fake, config) if weight is not None else []
        batch_mean = _mean_score(discriminator, shown_real, config)
    found = []
    for part in _parts(len(real), config):
        loss, score_real, score_fake = passes.adversarial(
            discriminator, shown_real[part], shown_fake[part], objective, together=together, batch_mean=batch_mean
        )
        (loss / config.accumulate).backward()
        values = {"score_real": score_real, "score_fake": score_fake, "loss_d": loss.detach()}
        for images, augmentation, drawn in penalties:
            penalty = passes.penalty(
                discriminator,
                images[part],
                rows(augmentation, part),
                tuple(values[part] for values in drawn),
                objective,
                config,
            )
            (penalty * (weight / config.accumulate)).backward()
            weighted = weight * penalty.detach()
            values["penalty"] = values.get("penalty", 0) + penalty.detach()
            values["loss_d"] = values["loss_d"] + weighted
        found.append(values)
    discriminator.finish()
    return _means(found)


def generator_step(networks: Networks, config: TrainConfig, *, real: Tensor, ema_beta: float) -> Scalars:
    """One update of G and of its weight average. `real`: the images of the D step before, for losses that compare."""
    scalars = generator_gradients(networks, config, real=real)
    scalars["gradient_g"] = _update(networks.optimizer_g, networks.generator, config)
    update_ema(networks.ema, networks.generator, ema_beta)
    return scalars


def generator_gradients(networks: Networks, config: TrainConfig, *, real: Tensor) -> Scalars:
    """G's gradients, added up over `accumulate` parts of the batch.

    With `keep_generator_gradients` the gradients that D receives on the way stay, and the next D step adds its own to
    them: the released code clears D's gradients only after D's own steps (docs/released.md).
    """
    networks.discriminator.requires_grad_(config.keep_generator_gradients)
    generator, discriminator = StepCache(networks.generator, config), StepCache(networks.discriminator, config)
    size, device = config.batch_generator, networks.generator.device
    latents = torch.randn(size, networks.generator.latent_dim, device=device)
    augmentation, found = draw(_like_images(networks.generator, size), config.augment), []
    compared = augment(real, config.augment) if networks.objective.loss.needs_real else None
    for part in _parts(size, config):
        loss = networks.passes.generator(
            generator,
            discriminator,
            latents[part],
            rows(augmentation, part),
            None if compared is None else compared[part],
            networks.objective,
            config,
        )
        (loss / config.accumulate).backward()
        found.append({"loss_g": loss.detach()})
    generator.finish()
    discriminator.finish()
    networks.discriminator.requires_grad_(True)
    return _means(found)


def _parts(size: int, config: TrainConfig) -> Iterator[slice]:
    """`accumulate` equal parts of a batch."""
    step = size // config.accumulate
    return (slice(start, start + step) for start in range(0, size, step))


def _fakes(networks: Networks, size: int, config: TrainConfig) -> Tensor:
    generator = StepCache(networks.generator, config)
    latents = torch.randn(size, networks.generator.latent_dim, device=networks.generator.device)
    return torch.cat([networks.passes.fakes(generator, latents[part]) for part in _parts(size, config)])


def _penalty_draws(
    objective: Objective, real: Tensor, fake: Tensor, config: TrainConfig
) -> list[tuple[Tensor, list[tuple[Tensor, ...]], tuple[Tensor, ...]]]:
    """Where the penalty is taken: images, their augmentation, and what the penalty itself draws for them."""
    assert objective.penalty is not None
    return [
        (images, draw(images, config.augment), objective.penalty.draw(images))
        for images in objective.penalty.points(real, fake)
    ]


def _mean_score(discriminator: StepCache, real: Tensor, config: TrainConfig) -> Tensor | None:
    """E[D(x)] of the whole batch, which the drift term of a part needs; None where the batch is not divided."""
    if config.accumulate == 1 or not config.drift_weight:
        return None
    return torch.cat([discriminator(real[part]) for part in _parts(len(real), config)]).mean()


def _like_images(generator: Generator, size: int) -> Tensor:
    """No memory, only the shape of a batch of images."""
    shape = (size, generator.channels, generator.resolution, generator.resolution)
    return next(generator.parameters()).new_empty(()).expand(shape)


def _means(found: list[Scalars]) -> Scalars:
    return {name: torch.stack([values[name] for values in found]).mean() for name in found[0]}


def _update(optimizer: torch.optim.Optimizer, network: torch.nn.Module, config: TrainConfig) -> Tensor:
    """Clip, step, forget the gradients; returns their global norm before clipping."""
    most = float("inf") if config.clip_norm is None else config.clip_norm
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), most, foreach=True)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm
