"""What the closed-form decoder of `pipeline.data.glyphs` says about generated glyphs, without any trained network.

Samples are the decoder's rows (n, 1 + F + 1 + 192). Valid, for all but the first metric, is above VALID_SHARE; where no
sample is, modes, agree and kappa are 0, and a divergence is that of samples that are all the same. What a perfect
sampler gets from as many samples is exact, mean and standard deviation: fewer samples cover less and diverge more,
without fault.
"""

import numpy as np

from pipeline.base.errors import UserError
from pipeline.data.glyphs import Glyphs
from pipeline.metrics.extractors.registry import GLYPH_SIDE
from pipeline.metrics.registry import Formula

LEVELS = (50, 70, 90)  # per cent of an image's variance that a valid glyph explains
VALID_SHARE = 0.7  # explained variance
PIXELS = 3 * GLYPH_SIDE**2
REACH = 12  # standard deviations of a binomial count that are summed over
PAIRS = 1024  # samples whose distances are held at a time


def valid(rows: np.ndarray) -> tuple[float, ...]:
    """Shares of samples of which a glyph explains more than 50, 70 and 90 per cent of the variance."""
    return tuple(float((rows[:, 0] > level / 100).mean()) for level in LEVELS)


def modes(rows: np.ndarray) -> float:
    """Share of all combinations of factors that valid samples show (Stacked MNIST's modes, Unrolled GAN)."""
    glyphs, read = _valid_factors(rows)
    return len(np.unique(read[:, -1])) / glyphs.cells


def kl(rows: np.ndarray) -> tuple[float, ...]:
    """Divergences of valid samples from uniform, in nats: of all combinations, and of each factor (of two: mean)."""
    glyphs, read = _valid_factors(rows)
    by_factor: dict[str, list[float]] = {}
    for column, (name, size) in enumerate(glyphs.factors.items()):
        by_factor.setdefault(name.removesuffix("_2"), []).append(divergence(read[:, column], size))
    return divergence(read[:, -1], glyphs.cells), *(float(np.mean(part)) for part in by_factor.values())


def agree(rows: np.ndarray) -> tuple[float, float]:
    """Cohen's kappa of the shapes of valid pairs, (share - chance) / (1 - chance), and the share that agree.

    Chance is the share that independent shapes of the samples' own frequencies give: 0.1 for uniform ones, near 1 for
    a generator that draws one shape alone. Kappa is 1 in real images, 0 by chance and where no sample is valid.
    Errors: `UserError` for no pairs.
    """
    glyphs, read = _valid_factors(rows)
    if not glyphs.pairs:
        raise UserError("agree_glyphs: given images of one glyph; allowed: glyphs_pairs")
    first, second = (read[:, glyphs.column(name)] for name in ("shape", "shape_2"))
    if not len(read):
        return 0.0, 0.0
    share = float((first == second).mean())
    frequencies = (np.bincount(shapes, minlength=glyphs.factors["shape"]) / len(read) for shapes in (first, second))
    chance = float(np.dot(*frequencies))
    return (share - chance) / (1 - chance) if chance < 1 else 0.0, share


def memorised(train: np.ndarray, test: np.ndarray, rows: np.ndarray) -> float:
    """Share of samples nearer to a training image than to any of as many held-out ones: 0.5 by chance."""
    import torch

    count = min(len(train), len(test))
    nearest = []
    for side in (train[:count], test[:count]):
        reference = torch.from_numpy(np.array(side[:, -PIXELS:]))
        parts = torch.from_numpy(np.array(rows[:, -PIXELS:])).split(PAIRS)
        nearest.append(torch.cat([torch.cdist(part, reference).amin(dim=1) for part in parts]))
    return float((nearest[0] < nearest[1]).double().mean())


def divergence(values: np.ndarray, size: int) -> float:
    """KL of the frequencies of integers (n,) in 0..size-1 from uniform, in nats; log(size) where there are none."""
    from scipy.stats import entropy

    return float(np.log(size) - (entropy(np.bincount(values)) if len(values) else 0))


def covered(count: int, cells: int) -> tuple[float, float]:
    """Share of `cells` that `count` uniform draws hit: mean and standard deviation."""
    one, two = (1 - 1 / cells) ** count, (1 - 2 / cells) ** count  # that one, that two given cells are missed
    variance = cells * one + cells * (cells - 1) * two - (cells * one) ** 2
    return 1 - one, max(variance, 0.0) ** 0.5 / cells


def uniform_divergence(count: int, size: int) -> tuple[float, float]:
    """The divergence of `count` uniform draws: mean and standard deviation, by sums over one and two cells' counts."""
    from scipy.stats import binom

    mean, spread = count / size, (count / size * (1 - 1 / size)) ** 0.5
    hits = np.arange(max(0, int(mean - REACH * spread - 2)), min(count, int(mean + REACH * spread + REACH)) + 1)
    term = hits / count * np.log(np.maximum(hits, 1) * size / count)
    first = binom.pmf(hits, count, 1 / size)
    second = binom.pmf(hits[None, :], count - hits[:, None], 1 / (size - 1))  # given the first count
    expected, square = first @ term, first @ term**2
    product = (first * term) @ (second @ term)
    variance = size * square + size * (size - 1) * product - (size * expected) ** 2
    return float(size * expected), float(max(variance, 0.0) ** 0.5)


def _perfect_kl(count: int, width: int) -> tuple[tuple[float, float], ...]:
    glyphs = _glyphs(width)
    sizes = [glyphs.cells, *(size for name, size in glyphs.factors.items() if not name.endswith("_2"))]
    return tuple(uniform_divergence(count, size) for size in sizes)


def _glyphs(width: int) -> Glyphs:
    """The kind of images that rows of this width were read of: it tells pairs."""
    return Glyphs(16, pairs=width - PIXELS - 2 == len(Glyphs(16, pairs=True).factors))


def _valid_factors(rows: np.ndarray) -> tuple[Glyphs, np.ndarray]:
    """The kind of images; the valid ones' factors and combination, (v, F + 1) int64."""
    glyphs = _glyphs(rows.shape[1])
    valid_rows = rows[rows[:, 0] > VALID_SHARE]
    return glyphs, np.rint(valid_rows[:, 1 : 2 + len(glyphs.factors)]).astype(np.int64)


_DIVERGENCE = "divergence of the valid samples' factors from uniform, in nats"
_EXPLAINED = "share of samples that a glyph explains to more than so many per cent"
_SHOWN = "share of all combinations that valid samples show"
_AGREE = "share of valid pairs whose two shapes agree"
_KAPPA = "Cohen's kappa of a pair's shapes (1: always the same, 0: as often as by chance)"
_NEARER = "share of samples nearer to a training than to a held-out image (0.5: none)"
_KL_NAMES = ("{name}", "{name}_shape", "{name}_place", "{name}_hue", "{name}_ground")
_VALID_NAMES = [f"{{name}}_{level}" for level in LEVELS]
CERTAIN = (1.0, 0.0)  # mean and standard deviation


KL = Formula(kl, dict.fromkeys(_KL_NAMES, _DIVERGENCE), lower=True, real=(), perfect=_perfect_kl)
MODES = Formula(
    modes, {"{name}": _SHOWN}, lower=False, real=(), perfect=lambda n, width: (covered(n, _glyphs(width).cells),)
)
VALID = Formula(
    valid, dict.fromkeys(_VALID_NAMES, _EXPLAINED), lower=False, real=(), perfect=lambda *_: (CERTAIN,) * len(LEVELS)
)
AGREE = Formula(
    agree, {"kappa{rest}": _KAPPA, "agree{rest}": _AGREE}, lower=False, real=(), perfect=lambda *_: (CERTAIN, CERTAIN)
)
MEMORISED = Formula(
    memorised, {"{name}": _NEARER}, lower=True, real=("train", "test"), perfect=lambda n, _: ((0.5, 0.5 / n**0.5),)
)
