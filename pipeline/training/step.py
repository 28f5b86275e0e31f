"""One D step and one G step, and everything that changes while training."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.model.blocks import Blocks
from pipeline.model.discriminator import Discriminator
from pipeline.model.generator import Generator, update_ema
from pipeline.model.spec import NetworkSpec
from pipeline.training.augment import augment, draw, rows
from pipeline.training.config import TrainConfig
from pipeline.training.losses import interpolate
from pipeline.training.passes import Passes, passes
from pipeline.training.shared import Shared


@dataclass
class Networks:
    """Both networks, the generator's weight average, the two optimisers, and how a step's passes are executed."""

    generator: Generator
    ema: Generator
    discriminator: Discriminator
    optimizer_g: torch.optim.Optimizer
    optimizer_d: torch.optim.Optimizer
    passes: Passes


def build(spec: NetworkSpec, config: TrainConfig, device: torch.device) -> Networks:
    """Initialise on the CPU from the global generator, so that weights do not depend on the device, then move."""
    generator = Generator(spec).to(device)
    discriminator = Discriminator(spec).to(device)
    for module in (*generator.modules(), *discriminator.modules()):
        if isinstance(module, Blocks):
            module.recompute = config.recompute
    ema = copy.deepcopy(generator).eval().requires_grad_(False)
    adam = {"lr": config.lr, "betas": (config.beta1, config.beta2), "fused": True}
    return Networks(
        generator=generator,
        ema=ema,
        discriminator=discriminator,
        optimizer_g=torch.optim.Adam(generator.parameters(), **adam),
        optimizer_d=torch.optim.Adam(discriminator.parameters(), **adam),
        passes=passes(config),
    )


def discriminator_step(networks: Networks, real: Tensor, config: TrainConfig, *, penalised: bool) -> dict[str, Tensor]:
    """One update of D on real images (B, C, H, W) in [-1, 1]; returns device scalars for the history."""
    penalised = penalised and config.penalty_weight > 0
    scalars = discriminator_gradients(networks, real, config, penalised=penalised)
    scalars["gradient_d"] = _update(networks.optimizer_d, networks.discriminator, config)
    return scalars


def discriminator_gradients(networks: Networks, real: Tensor, config: TrainConfig, *, penalised: bool) -> dict[str, Tensor]:
    """D's gradients of its whole loss, added up over `accumulate` parts of the batch and, in each, over two passes.

    The adversarial pass is over before the penalty's begins, so that memory holds one of them at a time.
    """
    discriminator, run = Shared(networks.discriminator, config), networks.passes
    together = not networks.discriminator.batch_statistics
    with torch.no_grad():
        fake = _fakes(networks, len(real), config)
        shown_real, shown_fake = augment(real, config.augment), augment(fake, config.augment)
        between = interpolate(real, fake) if penalised else None
        drawn = draw(real, config.augment) if penalised else []
        batch_mean = _mean_score(discriminator, shown_real, config)
    weight, found = config.penalty_weight * config.penalty_interval, []     # as much as the steps without a penalty would have had
    for part in _parts(len(real), config):
        loss, score_real, score_fake = run.adversarial(
            discriminator, shown_real[part], shown_fake[part], config, together=together, batch_mean=batch_mean
        )
        (loss / config.accumulate).backward()
        values = {"score_real": score_real, "score_fake": score_fake, "loss_d": loss.detach()}
        if penalised:
            penalty = run.penalty(discriminator, between[part], rows(drawn, part), config)
            (penalty * (weight / config.accumulate)).backward()
            values |= {"penalty": penalty.detach(), "loss_d": values["loss_d"] + weight * penalty.detach()}
        found.append(values)
    discriminator.finish()
    return _means(found)


def generator_step(networks: Networks, config: TrainConfig, *, ema_beta: float) -> dict[str, Tensor]:
    """One update of G and of its weight average; returns device scalars for the history."""
    scalars = generator_gradients(networks, config)
    scalars["gradient_g"] = _update(networks.optimizer_g, networks.generator, config)
    update_ema(networks.ema, networks.generator, ema_beta)
    return scalars


def generator_gradients(networks: Networks, config: TrainConfig) -> dict[str, Tensor]:
    """G's gradients, added up over `accumulate` parts of the batch."""
    networks.discriminator.requires_grad_(False)
    generator, discriminator = Shared(networks.generator, config), Shared(networks.discriminator, config)
    size, device = config.batch_generator, networks.discriminator.head.weight.device
    latents = torch.randn(size, networks.generator.latent_dim, device=device)
    drawn, found = draw(_like_images(networks, size), config.augment), []
    for part in _parts(size, config):
        loss = networks.passes.fooling(generator, discriminator, latents[part], rows(drawn, part), config)
        (loss / config.accumulate).backward()
        found.append({"loss_g": loss.detach()})
    generator.finish()
    networks.discriminator.requires_grad_(True)
    return _means(found)


def _parts(size: int, config: TrainConfig) -> Iterator[slice]:
    """`accumulate` equal parts of a batch."""
    step = size // config.accumulate
    return (slice(start, start + step) for start in range(0, size, step))


def _fakes(networks: Networks, size: int, config: TrainConfig) -> Tensor:
    generator = Shared(networks.generator, config)
    latents = torch.randn(size, networks.generator.latent_dim, device=networks.discriminator.head.weight.device)
    return torch.cat([networks.passes.make_fakes(generator, latents[part]) for part in _parts(size, config)])


def _mean_score(discriminator: Shared, real: Tensor, config: TrainConfig) -> Tensor | None:
    """E[D(x)] of the whole batch, which the drift term of a part needs; None where the batch is not divided."""
    if config.accumulate == 1 or not config.drift_weight:
        return None
    return torch.cat([discriminator(real[part]) for part in _parts(len(real), config)]).mean()


def _like_images(networks: Networks, size: int) -> Tensor:
    """No memory, only the shape of a batch of images."""
    stage, weight = networks.generator.stages[-1], networks.generator.to_rgb.weight
    return weight.new_empty(()).expand(size, weight.shape[0], stage.side, stage.side)


def _means(found: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([values[name] for values in found]).mean() for name in found[0]}


def _update(optimizer: torch.optim.Optimizer, network: torch.nn.Module, config: TrainConfig) -> Tensor:
    """Clip, step, forget the gradients; returns their global norm before clipping."""
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm, foreach=True)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm


def ema_beta(config: TrainConfig, images: int) -> float:
    """Decay of the weight average per G step, for a half-life of `ema_kimg` (less while ramping up) in real images.

    The released code takes the images of one D step for those between two G steps, so its real half-life is
    critic_steps times the nominal one; here it is the nominal one.
    """
    half_life = config.ema_kimg * 1000
    if config.ema_rampup is not None:
        half_life = min(half_life, config.ema_rampup * images)
    return 0.5 ** (config.critic_steps * config.batch_discriminator / max(half_life, 1e-8))
