"""When a training that still computes finite numbers is over all the same: the rule of collapse.

A run has *collapsed* once the same symptom was seen in each of as many ticks as that symptom is given, ten for most. So
a bad moment is forgiven and nothing can fire in the first ticks. Ten ticks at the end of a run are enough for each.

- Every latent gives one image: over 16 fixed latents the averaged generator's pixels differ, as a standard deviation,
  by less than a tenth of what real images differ by. Healthy runs lie three times and more above that.
- The images have left the range they are shown in: that spread is above 10, where images in [-1, 1] cannot reach more
  than 1.
- G learns nothing: the norm of its gradient, before clipping, is below 1e-6; healthy runs have about 1.
- D is flat: it scores real and generated images alike, to 1e-3, and G's gradient is below 1e-3; healthy runs have more
  than 0.1. It may recover while the learning rate falls (one training of the demo did after 45 ticks of 200), so it is
  given sixty ticks.
- The critic's estimate has lost its meaning: beyond 1e4. Images in [-1, 1] lie at most 2 sqrt(C H W) apart, 887 at
  256 x 256, and a critic of slope 1, to which the penalty pulls it, cannot say more than that.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pipeline.base.images import to_float

Row = dict[str, float]  # of the history
TICKS = 10
FLAT_TICKS = 60
GREY_LEVEL = 1 / 127.5  # one of 256 levels, for images in [-1, 1]


@dataclass(frozen=True)
class Symptom:
    """What a bad tick looks like. `columns` of the history decide; a row without them does not show it."""

    words: str
    columns: tuple[str, ...]
    bad: Callable[[Row], bool]
    ticks: int = TICKS  # in a row that make a collapse


def one_image(row: Row) -> bool:
    """Whether latents give the same image. Without the spread of real images one grey level is the bound."""
    return row["sample_spread"] < (0.1 * row["real_spread"] if "real_spread" in row else GREY_LEVEL)


SYMPTOMS = [
    Symptom("different latents give the same image", ("sample_spread",), one_image),
    Symptom(
        "the images have left the range of images, they spread by more than 10",
        ("sample_spread",),
        lambda row: row["sample_spread"] > 10,
    ),
    Symptom("G's gradient has vanished, its norm is below 1e-6", ("gradient_g",), lambda row: row["gradient_g"] < 1e-6),
    Symptom(
        "D is flat, real and generated images get the same score",
        ("gradient_g", "wasserstein"),
        lambda row: row["gradient_g"] < 1e-3 and abs(row["wasserstein"]) < 1e-3,
        FLAT_TICKS,
    ),
    Symptom("the critic's estimate is beyond 10,000", ("wasserstein",), lambda row: abs(row["wasserstein"]) > 1e4),
]


def _shows(row: Row, symptom: Symptom) -> bool:
    return all(column in row for column in symptom.columns) and symptom.bad(row)


def symptom_of(row: Row) -> str | None:
    """The first symptom of a tick's row, in words; None where there is none."""
    return next((symptom.words for symptom in SYMPTOMS if _shows(row, symptom)), None)


def collapsed(history: list[Row], *, ended: bool = False) -> tuple[str, int] | None:
    """The symptom that made the run collapse, in words, and the number of ticks that showed it; None where none did.

    `ended`: this is the whole history of a run that is over.
    """
    for symptom in SYMPTOMS:
        ticks = TICKS if ended else symptom.ticks
        last = history[-ticks:]
        if len(last) == ticks and all(_shows(row, symptom) for row in last):
            return symptom.words, ticks
    return None


def sample_spread(images: Tensor) -> Tensor:
    """Standard deviation over images (N, C, H, W) of different latents, averaged over pixels and channels: a scalar."""
    return images.float().std(dim=0, correction=0).mean()


def real_spread(images: np.ndarray, most: int = 1024) -> float:
    """The same of `most` images (N, C, H, W) uint8 spread evenly over the data set."""
    chosen = images[:: max(1, len(images) // most)][:most]
    return float(sample_spread(to_float(Tensor(np.array(chosen)))))
