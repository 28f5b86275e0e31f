"""When a training that still computes finite numbers is over all the same: the rule of collapse.

A tick is *ailing* if it shows one of the SYMPTOMS; a run has *collapsed* once the same symptom was seen in each of the
last TICKS ticks. So a bad moment is forgiven, nothing can fire before tick number TICKS, and a run of fewer ticks never
collapses.

- Every latent gives one image: over 16 fixed latents the averaged generator's pixels differ, as a standard deviation,
  by less than one of 256 grey levels. Healthy runs lie forty times and more above that.
- The images have left the range they are shown in: that spread is above 10, where images in [-1, 1] cannot reach more
  than 1.
- G learns nothing: the norm of its gradient, before clipping, is below 1e-6; healthy runs have about 1.
- The critic's estimate has lost its meaning: beyond 1e4. Images in [-1, 1] lie at most 2 sqrt(C H W) apart, 887 at
  256 x 256, and a critic of slope 1, to which the penalty pulls it, cannot say more than that.
"""

from collections.abc import Callable

from torch import Tensor

TICKS = 10
GREY_LEVEL = 1 / 127.5  # one of 256 levels, for images in [-1, 1]
SYMPTOMS: list[tuple[str, str, Callable[[float], bool]]] = [  # in words, column of history.csv, what a bad value is
    (
        "different latents give the same image to within one grey level",
        "sample_spread",
        lambda value: value < GREY_LEVEL,
    ),
    (
        "the images have left the range of images, they spread by more than 10",
        "sample_spread",
        lambda value: value > 10,
    ),
    ("G's gradient has vanished, its norm is below 1e-6", "gradient_g", lambda value: value < 1e-6),
    ("the critic's estimate is beyond 10,000", "wasserstein", lambda value: abs(value) > 1e4),
]


def symptom_of(row: dict[str, float]) -> str | None:
    """The first symptom of a tick's row, in words; a column that the row does not have shows none."""
    return next((words for words, column, bad in SYMPTOMS if column in row and bad(row[column])), None)


def collapsed(history: list[dict[str, float]]) -> str | None:
    """The symptom that each of the last TICKS rows shows, in words; None where there is none."""
    last = history[-TICKS:]
    if len(last) < TICKS:
        return None
    return next(
        (words for words, column, bad in SYMPTOMS if all(column in row and bad(row[column]) for row in last)), None
    )


def sample_spread(images: Tensor) -> Tensor:
    """Standard deviation over images (N, C, H, W) of different latents, averaged over pixels and channels: a scalar."""
    return images.float().std(dim=0, correction=0).mean()
