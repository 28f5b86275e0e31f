"""What moves over a training beside the weights: learning rate, Adam's second decay, the penalty's weight."""

import math
from dataclasses import dataclass

from pipeline.training.config import TrainConfig


@dataclass(frozen=True)
class Moment:
    """The values of one iteration."""

    lr: float
    beta2: float
    penalty_weight: float


def schedule(config: TrainConfig, done: float) -> Moment:
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
    return Moment(**values)
