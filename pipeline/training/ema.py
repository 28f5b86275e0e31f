"""The weight average of the generator (EMA)."""

import torch
from torch import Tensor

from pipeline.networks.interface import Generator
from pipeline.training.config import TrainConfig


@torch.no_grad()
def update_ema(ema: Generator, generator: Generator, beta: float) -> None:
    """ema <- beta ema + (1 - beta) generator for parameters; buffers (batch norm statistics) are copied."""
    torch._foreach_lerp_(list(ema.parameters()), list(generator.parameters()), 1 - beta)
    for ours, theirs in zip(ema.buffers(), generator.buffers(), strict=True):
        ours.copy_(theirs)


def ema_beta(config: TrainConfig, images: int) -> float:
    """Decay of the weight average per G step, for a half-life of `ema_kimg` (less while ramping up) in real images.

    `images`: real images shown so far. Without an average (`ema_kimg` null) the decay is 0. With `ema_clock: released`
    the images of one D step are taken for those between two G steps, as the released code does. Its real half-life is
    critic_steps times the nominal one.
    """
    if config.ema_kimg is None:
        return 0.0
    half_life = config.ema_kimg * 1000
    if config.ema_rampup is not None:
        half_life = min(half_life, config.ema_rampup * images)
    batches = 1 if config.ema_clock == "released" else config.critic_steps
    return 0.5 ** (batches * config.batch_discriminator / max(half_life, 1e-8))


@torch.no_grad()
def ema_distance(generator: Generator, ema: Generator) -> Tensor:
    """||G - EMA||_2 / ||G||_2 over all parameters: how far the average lies behind; a scalar on the device."""
    squares = [
        ((one - other).square().sum(), one.square().sum())
        for one, other in zip(generator.parameters(), ema.parameters(), strict=True)
    ]
    apart, whole = (torch.stack(parts).float().sum() for parts in zip(*squares, strict=True))
    return (apart / whole).sqrt()
