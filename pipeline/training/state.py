"""The networks of a training with their optimisers and objective, and what moves beside the weights of G and D."""

import copy
import math
from dataclasses import dataclass

import torch

from pipeline.networks.distributed import broadcast
from pipeline.networks.families import load_attribute
from pipeline.networks.interface import Discriminator, Generator, build_discriminator, build_generator
from pipeline.networks.spec import NetworkSpec
from pipeline.training.config import LOSSES, NO_PENALTY, PENALTIES, TrainConfig
from pipeline.training.execution import copied_out
from pipeline.training.objectives import Loss, Penalty


@dataclass
class Networks:
    """Both networks, the generator's weight average, the optimisers, and the objective."""

    generator: Generator
    ema: Generator
    discriminator: Discriminator
    optimizer_g: torch.optim.Optimizer
    optimizer_d: torch.optim.Optimizer
    loss: Loss
    penalty: Penalty | None

    @property
    def modules(self) -> tuple[Generator, Generator, Discriminator]:
        """G, its average and D."""
        return self.generator, self.ema, self.discriminator


def build(spec: NetworkSpec, config: TrainConfig, device: torch.device) -> Networks:
    """Initialise on the CPU from the global generator, so that weights do not depend on the device, then move.

    All processes start with those of process 0: the CPUs of several hosts may round differently.
    """
    generator, discriminator = build_generator(spec).to(device), build_discriminator(spec).to(device)
    for network in (generator, discriminator):
        network.set_recompute(config.recompute)
        for tensor in network.state_dict().values():
            broadcast(tensor)
        for parameter in network.parameters() if config.execution == "compiled_graphs" else ():
            parameter.register_hook(copied_out)
    ema = copy.deepcopy(generator).eval().requires_grad_(False)
    optimizer_g, optimizer_d = (
        torch.optim.Adam(network.parameters(), lr=config.lr, betas=(config.beta1, config.beta2), fused=True)
        for network in (generator, discriminator)
    )
    loss = load_attribute(LOSSES[config.loss])
    penalty = load_attribute(PENALTIES[config.penalty]) if config.penalty != NO_PENALTY else None
    return Networks(generator, ema, discriminator, optimizer_g, optimizer_d, loss, penalty)


@torch.no_grad()
def update_ema(ema: Generator, generator: Generator, beta: float) -> None:
    """ema <- beta ema + (1 - beta) generator for parameters; statistics (of batch norm) are copied."""
    torch._foreach_lerp_(list(ema.parameters()), list(generator.parameters()), 1 - beta)
    pairs = zip(ema.buffers(), generator.buffers(), strict=True)
    # Constants never change and counters are not read: neither is worth a kernel a step.
    statistics = [pair for pair in pairs if pair[0].is_floating_point() and pair[0].numel()]
    if statistics:
        averages, values = zip(*statistics, strict=True)
        torch._foreach_copy_(averages, values)


def ema_beta(config: TrainConfig, images: int) -> float:
    """Decay of the weight average per G step: half-life `ema_kimg`, less while ramping up; 0 without an average.

    `images`: real images shown so far. With `ema_clock: released` the images of one D step are taken for those between
    two G steps, as the released code does: its real half-life is critic_steps times the nominal one.
    """
    if config.ema_kimg is None:
        return 0.0
    ramp = math.inf if config.ema_rampup is None else config.ema_rampup * images
    batches = 1 if config.ema_clock == "released" else config.critic_steps
    return 0.5 ** (batches * config.batch_discriminator / max(min(config.ema_kimg * 1000, ramp), 1e-8))


def scheduled(config: TrainConfig, done: float) -> TrainConfig:
    """The settings after the share `done` of a run, 0 <= done < 1: lr, Adam's beta2 and the penalty's weight move.

    `anneal`: cosine between two values (R3GAN, arXiv 2501.05441). `lr_decay`: then times 1 - done.
    """
    values = {name: getattr(config, name) for name in ("lr", "beta2", "penalty_weight")}
    if config.anneal is not None:
        weight = (1 + math.cos(math.pi * min(done / config.anneal.share, 1.0))) / 2
        for name, start in values.items():
            if (end := getattr(config.anneal, name)) is not None:
                values[name] = end + (start - end) * weight
    if config.lr_decay:
        values["lr"] *= 1 - done
    return config.model_copy(update=values)
