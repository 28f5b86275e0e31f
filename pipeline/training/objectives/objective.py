"""The objective of a training: loss, penalty and drift term with their weights. The loop knows none of them by name."""

from dataclasses import dataclass

from torch import Tensor

from pipeline.networks.distributed import mean_value, world
from pipeline.training.config import TrainConfig
from pipeline.training.objectives.interface import Loss, Penalty
from pipeline.training.objectives.registry import LOSSES, NO_PENALTY, PENALTIES, load


@dataclass(frozen=True)
class Objective:
    """`penalty` is taken every `interval` D steps, each time weighted as much as all of them together."""

    loss: Loss
    drift_weight: float
    penalty: Penalty | None
    interval: int

    def discriminator(self, real: Tensor, fake: Tensor, *, batch_mean: Tensor | None = None) -> Tensor:
        """D's loss on scores (B,), penalty apart: adversarial part plus drift_weight * E[D(x)]^2 (of the batch mean, as
        released).

        `batch_mean`: E[D(x)] of the whole batch where the scores are those of one of several parts; where they are a
        process's rows, it is computed here. The square is then replaced by
        E (2 e - E) with the part's mean e: its mean over the parts, and that one's gradient, are those of the square.
        """
        mean = real.mean()
        if batch_mean is None and self.drift_weight and world() > 1:
            batch_mean = mean_value(mean)
        drift = mean.square() if batch_mean is None else batch_mean * (2 * mean - batch_mean)
        return self.loss.discriminator(real, fake) + self.drift_weight * drift

    def penalised(self, number: int) -> bool:
        """Whether D step `number` (from 0) has a penalty."""
        return self.penalty is not None and number % self.interval == 0


def make_objective(config: TrainConfig) -> Objective:
    """The objective that `config` names."""
    penalty = None
    if config.penalty != NO_PENALTY and config.penalty_weight > 0:
        penalty = load(PENALTIES[config.penalty])(config.penalty_target)
    return Objective(
        loss=load(LOSSES[config.loss])(),
        drift_weight=config.drift_weight,
        penalty=penalty,
        interval=config.penalty_interval or 1,
    )
