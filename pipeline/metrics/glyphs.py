"""What the closed-form decoder of `pipeline.data.glyphs` says about generated glyphs, without any trained network.

    valid       shares of samples of which a glyph explains more than 50, 70 and 90 per cent of the variance
    modes       share of all combinations of factors that valid samples show (Stacked MNIST's modes, Unrolled GAN)
    kl          divergence of the valid samples from uniform, of all combinations together and of each factor, in nats
    agree       share of valid pairs whose two shapes are the same: 1 in real images, 0.1 by chance
    memorised   share of samples nearer to a training image than to any of as many held-out ones: 0.5 by chance

Valid, for all but the first, is above VALID. `perfect` says what a perfect sampler gets from as many samples.
"""

import numpy as np
import torch
from scipy.stats import binom

from pipeline.base.errors import UserError
from pipeline.data.glyphs import Glyphs
from pipeline.metrics.extractors.registry import GLYPH_SIDE
from pipeline.metrics.registry import LEVELS, Protocol

VALID = 0.7  # explained variance
PIXELS = 3 * GLYPH_SIDE**2
REACH = 12  # standard deviations of a binomial count that are summed over
PAIRS = 1024  # samples whose distances are held at a time


def value(
    kind: str, rows: np.ndarray, *, train: np.ndarray | None = None, test: np.ndarray | None = None
) -> tuple[float, ...]:
    """The values of one metric of samples (n, 1 + F + 1 + 192), as the module says; in the order of its names.

    `train`, `test`: the same of the training images and of held-out ones, for `memorised`. Where no sample is valid,
    modes and agree are 0, and a divergence is that of samples that are all the same.
    Errors: `UserError` for `agree` of images that are no pairs.
    """
    glyphs = _glyphs(rows)
    if kind == "valid":
        return tuple(float((rows[:, 0] > level / 100).mean()) for level in LEVELS)
    if kind == "memorised" and train is not None and test is not None:
        return (memorised(rows[:, -PIXELS:], train[:, -PIXELS:], test[:, -PIXELS:]),)
    valid = rows[rows[:, 0] > VALID]
    read = np.rint(valid[:, 1 : 2 + len(glyphs.factors)]).astype(np.int64)
    factors, cells = read[:, :-1], read[:, -1]
    if kind == "modes":
        return (len(np.unique(cells)) / glyphs.cells,)
    if kind == "agree":
        if not glyphs.pairs:
            raise UserError("agree_glyphs: given images of one glyph; allowed: glyphs_pairs")
        columns = [factors[:, glyphs.column(name)] for name in ("shape", "shape_2")]
        return (float((columns[0] == columns[1]).mean()) if len(valid) else 0.0,)
    by_factor: dict[str, list[float]] = {}
    for column, (name, size) in enumerate(glyphs.factors.items()):
        by_factor.setdefault(name.removesuffix("_2"), []).append(divergence(factors[:, column], size))
    return (divergence(cells, glyphs.cells), *(float(np.mean(part)) for part in by_factor.values()))


def divergence(values: np.ndarray, size: int) -> float:
    """KL of the frequencies of integers (n,) in 0..size-1 from uniform, in nats; log(size) where there are none."""
    if not len(values):
        return float(np.log(size))
    shares = np.bincount(values, minlength=size) / len(values)
    seen = shares[shares > 0]
    return float((seen * np.log(seen * size)).sum())


def memorised(samples: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
    """The share of samples (n, d) that are nearer to one of `train` than to any of `test`, as many of each."""
    count = min(len(train), len(test))
    nearest = []
    for side in (train[:count], test[:count]):
        reference = torch.from_numpy(np.array(side))
        parts = torch.from_numpy(np.array(samples)).split(PAIRS)
        nearest.append(torch.cat([torch.cdist(part, reference).amin(dim=1) for part in parts]))
    return float((nearest[0] < nearest[1]).double().mean())


def perfect(protocol: Protocol, count: int, features: int) -> dict[str, tuple[float, float]]:
    """By value: what a perfect sampler gets from `count` valid samples, mean and standard deviation, both exact.

    `features`: the width of the decoder's output.
    """
    glyphs = _glyphs(np.empty((0, features)))
    if protocol.kind == "modes":
        return {protocol.name: _covered(count, glyphs.cells)}
    if protocol.kind == "agree":
        return {protocol.name: (1.0, 0.0)}
    if protocol.kind == "memorised":
        return {protocol.name: (0.5, 0.5 / count**0.5)}
    if protocol.kind == "kl":
        sizes = {"": glyphs.cells} | {f"_{name}": size for name, size in glyphs.factors.items()}
        return {name: _divergence(count, sizes[name.removeprefix(protocol.name)]) for name in protocol.values}
    return {}


def _covered(count: int, cells: int) -> tuple[float, float]:
    """Share of `cells` that `count` uniform draws hit: mean and standard deviation."""
    one, two = (1 - 1 / cells) ** count, (1 - 2 / cells) ** count  # that one, that two given cells are missed
    variance = cells * one + cells * (cells - 1) * two - (cells * one) ** 2
    return 1 - one, max(variance, 0.0) ** 0.5 / cells


def _divergence(count: int, size: int) -> tuple[float, float]:
    """The divergence of `count` uniform draws: mean and standard deviation, by sums over one and two cells' counts."""
    mean, spread = count / size, (count / size * (1 - 1 / size)) ** 0.5
    hits = np.arange(max(0, int(mean - REACH * spread - 2)), min(count, int(mean + REACH * spread + REACH)) + 1)
    term = hits / count * np.log(np.maximum(hits, 1) * size / count)
    first = binom.pmf(hits, count, 1 / size)
    second = binom.pmf(hits[None, :], count - hits[:, None], 1 / (size - 1))  # given the first count
    expected, square = first @ term, first @ term**2
    product = (first * term) @ (second @ term)
    variance = size * square + size * (size - 1) * product - (size * expected) ** 2
    return float(size * expected), float(max(variance, 0.0) ** 0.5)


def _glyphs(rows: np.ndarray) -> Glyphs:
    """The kind of images that features have been read of: their width tells pairs."""
    pairs = rows.shape[1] - PIXELS - 2 == len(Glyphs(16, pairs=True).factors)
    return Glyphs(16, pairs=pairs)
