"""What moves over a training beside the weights: learning rate, Adam's second decay, the penalty's weight, the EMA."""

import math
from dataclasses import dataclass

from pipeline.training.config import TrainConfig


@dataclass(frozen=True)
class ScheduledValues:
    """The values of one iteration."""

    lr: float
    beta2: float
    penalty_weight: float


def scheduled_values(config: TrainConfig, done: float) -> ScheduledValues:
    """The values after the share `done` of a run, 0 <= done < 1.

    `anneal`: cosine from the setting's value to the other one (R3GAN, arXiv 2501.05441). `lr_decay`: then times 1 -
    done.
    """
    values = {name: getattr(config, name) for name in ("lr", "beta2", "penalty_weight")}
    if config.anneal is not None:
        share = min(done / config.anneal.share, 1.0)
        weight = (1 + math.cos(math.pi * share)) / 2
        for name, start in values.items():
            end = getattr(config.anneal, name)
            values[name] = start if end is None else end + (start - end) * weight
    if config.lr_decay:
        values["lr"] *= 1 - done
    return ScheduledValues(**values)


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
