"""One iteration from top to bottom: D's steps, then G's step.

A batch may be computed in parts (`accumulate`) and divided over processes. Random numbers are drawn for the whole batch
and every part takes its rows, so that neither changes anything but the order of sums.
"""

import torch
from torch import Tensor

from pipeline.networks.distributed import average, mean, part_rows, shown_batches
from pipeline.training.augment import Parameters, apply, rows, sample_parameters
from pipeline.training.config import TrainConfig
from pipeline.training.data import RealImages
from pipeline.training.execution import StepNetwork, add_gradients, compiled
from pipeline.training.objectives import Loss, Penalty, discriminator_loss
from pipeline.training.state import Networks, ema_beta, update_ema

Scalars = dict[str, Tensor]  # device scalars for the history, by column


def iteration(networks: Networks, data: RealImages, config: TrainConfig, step: int) -> Scalars:
    """The D steps and the G step of iteration `step` (from 1). `config`: the settings of this moment (`scheduled`)."""
    size, interval, scalars = config.batch_discriminator, config.penalty_interval or 1, Scalars()
    for number in range((step - 1) * config.critic_steps, step * config.critic_steps):
        real = data.batch(number * size, size)
        penalised = networks.penalty is not None and config.penalty_weight > 0 and number % interval == 0
        weight = config.penalty_weight * interval if penalised else None
        scalars |= discriminator_step(networks, real, config, weight=weight)
    beta = ema_beta(config, step * config.critic_steps * size)
    return scalars | generator_step(networks, config, real=real, ema_beta=beta)


def discriminator_step(networks: Networks, real: Tensor, config: TrainConfig, *, weight: float | None) -> Scalars:
    """One update of D on real images (B, C, H, W) in [-1, 1]. `weight`: of the penalty; None in a step without one."""
    scalars = discriminator_gradients(networks, real, config, weight=weight)
    return scalars | {"gradient_d": _update(networks.optimizer_d, networks.discriminator, config)}


def discriminator_gradients(networks: Networks, real: Tensor, config: TrainConfig, *, weight: float | None) -> Scalars:
    """D's gradients of its whole loss, added up over the parts of the batch and, in each, over its passes.

    The adversarial pass is over before the penalty's begins, so that memory holds one of them at a time.
    """
    policy, mode, parts = config.augment, config.execution, part_rows(len(real), config.parts)
    penalty, weight = (None, 0.0) if weight is None else (networks.penalty, weight)
    discriminator = StepNetwork(networks.discriminator, config)
    with torch.no_grad():
        generator = StepNetwork(networks.generator, config)  # without gradients other kernels are possible
        latents = torch.randn(len(real), networks.generator.latent_dim, device=real.device)
        fakes = [compiled(StepNetwork.__call__, mode)(generator, latents[part]) for part in parts]
        # Fakes are as many as real images and of their shape: their random numbers have the same shape.
        for_real, for_fake = sample_parameters(real, policy), sample_parameters(real, policy)
        sampled: list[tuple[str, Parameters]] = []
        if penalty:
            if "between" in penalty.places:
                alpha = torch.rand(len(real), 1, 1, 1, device=real.device, dtype=real.dtype)
            for place in penalty.places:
                augmentation = sample_parameters(real, policy)
                sampled.append((place, [*augmentation, (torch.randn_like(real),) if penalty.noisy else ()]))
        shown_reals = [apply(real[part], rows(for_real, part), policy) for part in parts]
        batch_mean = None  # E[D(x)] of the whole batch, which the drift term of a part needs
        if len(parts) > 1 and config.drift_weight:
            batch_mean = mean(torch.cat([discriminator(shown_real) for shown_real in shown_reals]).mean())
    reports = []
    for part, fake, shown_real in zip(parts, fakes, shown_reals, strict=True):
        shown_fake = apply(fake, rows(for_fake, part), policy)
        # The backward pass too is inside: it may compute activations again.
        with shown_batches(stacked=1 if networks.discriminator.batch_statistics else 2):
            loss, score_real, score_fake = compiled(adversarial_pass, mode)(
                discriminator, shown_real, shown_fake, networks.loss, batch_mean
            )
            add_gradients(loss / len(parts), discriminator)
        report = {"score_real": score_real, "score_fake": score_fake, "loss_d": loss.detach()}
        for place, numbers in sampled:
            images = {"real": real[part], "fake": fake}.get(place)
            images = torch.lerp(real[part], fake, alpha[part]) if images is None else images
            *augmentation, noise = rows(numbers, part)
            value = compiled(penalty_pass, mode)(discriminator, images, augmentation, noise, penalty)
            add_gradients(value * (weight / len(parts)), discriminator)
            report["penalty"] = report.get("penalty", 0) + value.detach()
            report["loss_d"] = report["loss_d"] + weight * value.detach()
        reports.append(report)
    discriminator.finish()
    return _whole_batch(networks, reports)


def generator_step(networks: Networks, config: TrainConfig, *, real: Tensor, ema_beta: float) -> Scalars:
    """One update of G and of its weight average. `real`: the images of the D step before, for losses that compare."""
    scalars = generator_gradients(networks, config, real=real)
    scalars["gradient_g"] = _update(networks.optimizer_g, networks.generator, config)
    update_ema(networks.ema, networks.generator, ema_beta)
    return scalars


def generator_gradients(networks: Networks, config: TrainConfig, *, real: Tensor) -> Scalars:
    """G's gradients, added up over the parts of the batch.

    With `keep_generator_gradients` those that D receives on the way stay, and the next D step adds its own, as the
    released code does not clear D's gradients after a G step (docs/explanation/released.md).
    """
    size, policy, compared, reports = config.batch_generator, config.augment, networks.loss.needs_real, []
    networks.discriminator.requires_grad_(config.keep_generator_gradients)
    generator, discriminator = StepNetwork(networks.generator, config), StepNetwork(networks.discriminator, config)
    latents = torch.randn(size, networks.generator.latent_dim, device=real.device)
    for_fake = sample_parameters(real[:1].expand(size, -1, -1, -1), policy)
    for_real = sample_parameters(real, policy) if compared else []
    for part in part_rows(size, config.parts):
        shown_real = apply(real[part], rows(for_real, part), policy) if compared else None
        loss = compiled(generator_pass, config.execution)(
            generator, discriminator, latents[part], rows(for_fake, part), shown_real, networks.loss
        )
        add_gradients(loss / config.parts, generator, discriminator)
        reports.append({"loss_g": loss.detach()})
    generator.finish()
    discriminator.finish()
    networks.discriminator.requires_grad_(True)
    return _whole_batch(networks, reports)


# The passes are pure functions of tensors, random numbers among them, so that each compiles whole.


def adversarial_pass(
    discriminator: StepNetwork, real: Tensor, fake: Tensor, loss: Loss, batch_mean: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """D's loss without penalty on augmented images, and its mean scores of real and fake ones.

    Real and fake images are scored as one batch, unless D has batch statistics.
    """
    if discriminator.network.batch_statistics:
        scores_real, scores_fake = discriminator(real), discriminator(fake)
    else:
        scores_real, scores_fake = discriminator(torch.cat([real, fake])).split([len(real), len(fake)])
    drift_weight = discriminator.config.drift_weight
    value = discriminator_loss(loss, scores_real, scores_fake, drift_weight=drift_weight, batch_mean=batch_mean)
    return value, scores_real.detach().mean(), scores_fake.detach().mean()


def penalty_pass(
    discriminator: StepNetwork, images: Tensor, augmentation: Parameters, noise: tuple[Tensor, ...], penalty: Penalty
) -> Tensor:
    """The penalty at `images` (before augmentation), unweighted."""

    def score(inputs: Tensor, *, twice: bool = False) -> Tensor:
        return discriminator(apply(inputs, augmentation, discriminator.config.augment), twice=twice)

    return penalty.value(score, images, discriminator.config.penalty_target, *noise)


def generator_pass(
    generator: StepNetwork,
    discriminator: StepNetwork,
    latents: Tensor,
    augmentation: Parameters,
    real: Tensor | None,
    loss: Loss,
) -> Tensor:
    """G's loss. `real`: augmented real images for a loss that compares with them."""
    scores_real = None if real is None else discriminator(real)
    fake = apply(generator(latents), augmentation, generator.config.augment)
    return loss.generator(discriminator(fake), scores_real)


def _whole_batch(networks: Networks, reports: list[Scalars]) -> Scalars:
    """Gradients and scalars become the means over all processes; returns the scalars' means over the parts.

    D's gradients of a G step are among them where they are kept: the next D step adds its own to what all processes
    have in common, and a checkpoint in between holds all of them.
    """
    values = torch.stack([report[name] for name in reports[0] for report in reports]).view(-1, len(reports)).mean(dim=1)
    weights = [*networks.generator.parameters(), *networks.discriminator.parameters()]
    average([*(weight.grad for weight in weights if weight.grad is not None), values])
    return dict(zip(reports[0], values.unbind(), strict=True))


def _update(optimizer: torch.optim.Optimizer, network: torch.nn.Module, config: TrainConfig) -> Tensor:
    """Clip, step, forget the gradients; returns their global norm before clipping."""
    most = float("inf") if config.clip_norm is None else config.clip_norm
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), most, foreach=True)
    for group in optimizer.param_groups:
        group["lr"], group["betas"] = config.lr, (config.beta1, config.beta2)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm
