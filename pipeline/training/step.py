"""One D step and one G step, and everything that changes while training."""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.networks.distributed import average, mean_value, part_rows, stacked_batches, world
from pipeline.networks.interface import Discriminator, Generator, build_discriminator, build_generator
from pipeline.networks.spec import NetworkSpec
from pipeline.training.augment import Drawn, apply, draw, rows
from pipeline.training.config import TrainConfig
from pipeline.training.ema import update_ema
from pipeline.training.forward_passes import Passes, make_passes
from pipeline.training.objectives.objective import Objective, make_objective
from pipeline.training.step_cache import StepCache, copied_out

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
    if config.execution == "compiled_graphs":
        for parameter in (*generator.parameters(), *discriminator.parameters()):
            parameter.register_hook(copied_out)
    adam: dict[str, Any] = {"lr": config.lr, "betas": (config.beta1, config.beta2), "fused": True}
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
    discriminator, parts = StepCache(networks.discriminator, config), part_rows(len(real), config.accumulate)
    together = not networks.discriminator.batch_statistics
    with torch.no_grad():
        fakes = _fakes(networks, len(real), parts, config)
        # Fakes are as many as real images and of their shape: what is drawn for the ones has the shape for the others.
        drawn_real, drawn_fake = draw(real, config.augment), draw(real, config.augment)
        penalty_draws = _draw_penalty(objective, real, config) if weight is not None else None
        shown_real = [apply(real[part], rows(drawn_real, part), config.augment) for part in parts]
        batch_mean = _mean_score(discriminator, shown_real, config)
    found = []
    for part, fake, shown in zip(parts, fakes, shown_real, strict=True):
        shown_fake = apply(fake, rows(drawn_fake, part), config.augment)
        with stacked_batches(2 if together else 1):  # the backward pass too: it may compute activations again
            loss, score_real, score_fake = passes.adversarial(
                discriminator, shown, shown_fake, objective, together=together, batch_mean=batch_mean
            )
            (loss / config.accumulate).backward()
        values = {"score_real": score_real, "score_fake": score_fake, "loss_d": loss.detach()}
        for images, augmentation, drawn in _penalty_parts(objective, real[part], fake, penalty_draws, part):
            penalty = passes.penalty(discriminator, images, augmentation, drawn, objective, config)
            (penalty * (weight / config.accumulate)).backward()
            weighted = weight * penalty.detach()
            values["penalty"] = values.get("penalty", 0) + penalty.detach()
            values["loss_d"] = values["loss_d"] + weighted
        found.append(values)
    discriminator.finish()
    return _whole_batch(networks, found)


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
    compared = draw(real, config.augment) if networks.objective.loss.needs_real else None
    for part in part_rows(size, config.accumulate):
        loss = networks.passes.generator(
            generator,
            discriminator,
            latents[part],
            rows(augmentation, part),
            None if compared is None else apply(real[part], rows(compared, part), config.augment),
            networks.objective,
            config,
        )
        (loss / config.accumulate).backward()
        found.append({"loss_g": loss.detach()})
    generator.finish()
    discriminator.finish()
    networks.discriminator.requires_grad_(True)
    return _whole_batch(networks, found)


def _fakes(networks: Networks, size: int, parts: list[slice], config: TrainConfig) -> list[Tensor]:
    """Generated images by part."""
    generator = StepCache(networks.generator, config)
    latents = torch.randn(size, networks.generator.latent_dim, device=networks.generator.device)
    return [networks.passes.fakes(generator, latents[part]) for part in parts]


@dataclass(frozen=True)
class PenaltyDraws:
    """Random numbers of a penalty for a whole batch: of its points, then by place of their augmentation and its own."""

    points: tuple[Tensor, ...]
    places: list[tuple[Drawn, tuple[Tensor, ...]]]


def _draw_penalty(objective: Objective, images: Tensor, config: TrainConfig) -> PenaltyDraws:
    """For a batch shaped like `images`."""
    penalty = objective.penalty
    assert penalty is not None
    points = penalty.draw_points(images)
    return PenaltyDraws(points, [(draw(images, config.augment), penalty.draw(images)) for _ in range(penalty.places)])


def _penalty_parts(
    objective: Objective, real: Tensor, fake: Tensor, draws: PenaltyDraws | None, part: slice
) -> list[tuple[Tensor, Drawn, tuple[Tensor, ...]]]:
    """Where the penalty of a part is taken: images, their augmentation, and what the penalty itself draws for them."""
    if draws is None:
        return []
    assert objective.penalty is not None
    with torch.no_grad():
        points = objective.penalty.points(real, fake, *(values[part] for values in draws.points))
    return [
        (images, rows(augmentation, part), tuple(values[part] for values in drawn))
        for images, (augmentation, drawn) in zip(points, draws.places, strict=True)
    ]


def _mean_score(discriminator: StepCache, real: list[Tensor], config: TrainConfig) -> Tensor | None:
    """E[D(x)] of the whole batch, which the drift term of a part needs; None where there is one part."""
    if config.accumulate == 1 or not config.drift_weight:
        return None
    return mean_value(torch.cat([discriminator(part) for part in real]).mean())


def _whole_batch(networks: Networks, found: list[Scalars]) -> Scalars:
    """Gradients and scalars become the means over all processes; returns the scalars' means over the parts.

    D's gradients of a G step are among them where they are kept: the next D step adds its own to what all processes
    have in common, and a checkpoint in between holds all of them.
    """
    scalars = {name: torch.stack([values[name] for values in found]).mean() for name in found[0]}
    if world() == 1:
        return scalars
    weights = [*networks.generator.parameters(), *networks.discriminator.parameters()]
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    values = torch.stack(list(scalars.values())).to(gradients[0].dtype)
    average([*gradients, values])
    return dict(zip(scalars, values, strict=True))


def _like_images(generator: Generator, size: int) -> Tensor:
    """No memory, only the shape of a batch of images."""
    shape = (size, generator.channels, generator.resolution, generator.resolution)
    return next(generator.parameters()).new_empty(()).expand(shape)


def _update(optimizer: torch.optim.Optimizer, network: torch.nn.Module, config: TrainConfig) -> Tensor:
    """Clip, step, forget the gradients; returns their global norm before clipping."""
    most = float("inf") if config.clip_norm is None else config.clip_norm
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), most, foreach=True)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm
