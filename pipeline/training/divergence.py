"""When a training is over: weights that are not finite, processes that disagree, and the rules of collapse.

A run whose numbers are finite has *collapsed* once each of the last ticks showed the same symptom, ten for most. So a
bad moment is forgiven and nothing can fire in the first ticks. Ten ticks at the end of a run are enough for each.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.base.images import to_float
from pipeline.networks.distributed import all_reduce_max, world

Row = dict[str, float]  # of the history
TICKS, FLAT_TICKS = 10, 60  # that show a symptom, one after the other

SYMPTOMS: dict[str, tuple[int, Callable[[Row], bool]]] = {
    # Over 16 fixed latents the averaged generator's pixels have a standard deviation of less than a tenth of that over
    # real images. Healthy runs lie three times and more above that.
    "different latents give the same image": (TICKS, lambda row: row["sample_spread"] < 0.1 * row["real_spread"]),
    # Images in [-1, 1] cannot spread by more than 1.
    "the images have left the range of images, they spread by more than 10": (
        TICKS,
        lambda row: row["sample_spread"] > 10,
    ),
    # Before clipping; healthy runs have about 1.
    "G's gradient has vanished, its norm is below 1e-6": (TICKS, lambda row: row["gradient_g"] < 1e-6),
    # Healthy runs have more than 0.1. D may recover while the learning rate falls (one training of the demo did after
    # 45 ticks of 200), so it is given sixty ticks.
    "D is flat, real and generated images get the same score": (
        FLAT_TICKS,
        lambda row: row["gradient_g"] < 1e-3 and abs(row["wasserstein"]) < 1e-3,
    ),
    # Images in [-1, 1] lie at most 2 sqrt(C H W) apart, 887 at 256 x 256, and a critic of slope 1, to which the penalty
    # pulls it, cannot say more than that.
    "the critic's estimate is beyond 10,000": (TICKS, lambda row: abs(row["wasserstein"]) > 1e4),
}


def symptom_of(row: Row) -> str | None:
    """The first symptom of a tick's row, in words; None where there is none."""
    return next((words for words, (_, bad) in SYMPTOMS.items() if bad(row)), None)


def collapsed(history: list[Row], *, ended: bool = False) -> tuple[str, int] | None:
    """The symptom that made the run collapse, in words, and the number of ticks that showed it; None where none did.

    `ended`: this is the whole history of a run that is over.
    """
    for words, (needed, bad) in SYMPTOMS.items():
        ticks = TICKS if ended else needed
        if len(history) >= ticks and all(bad(row) for row in history[-ticks:]):
            return words, ticks
    return None


def sample_spread(images: Tensor) -> Tensor:
    """Standard deviation over images (N, C, H, W) of different latents, averaged over pixels and channels: a scalar."""
    return images.float().std(dim=0, correction=0).mean()


def real_spread(images: np.ndarray, most: int = 1024) -> float:
    """The same of `most` images (N, C, H, W) uint8 spread evenly over the data set."""
    return float(sample_spread(to_float(torch.tensor(images[:: max(1, len(images) // most)][:most]))))


@torch.no_grad()
def ema_distance(generator: nn.Module, ema: nn.Module) -> Tensor:
    """||G - EMA||_2 / ||G||_2 over all parameters: how far the average lies behind; a scalar on the device."""
    pairs = list(zip(generator.parameters(), ema.parameters(), strict=True))
    apart = torch.stack([(one - other).square().sum() for one, other in pairs]).float().sum()
    return (apart / torch.stack([one.square().sum() for one, _ in pairs]).float().sum()).sqrt()


@torch.no_grad()
def same_everywhere(weights: Sequence[Tensor]) -> bool:
    """Whether all processes have the same weights, to the bit."""
    if world() == 1:
        return True
    # Sums of integers do not depend on their order.
    checksum = int(torch.stack([weight.flatten().view(torch.int32).sum() for weight in weights]).sum() % 2**62)
    return all_reduce_max(checksum) == checksum == -all_reduce_max(-checksum)
