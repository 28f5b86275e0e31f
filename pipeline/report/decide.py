"""The rule by which two rows of a data set are compared, and a row with the paper's value; rules.md.j2 has it in words.

A row is its metric's logarithms, one per training. They spread by about 0.15 whatever the row's mean, so the spread is
estimated from all rows of a data set together, which gives a test of three seeds the degrees of freedom of thirty.
Trainings are not paired by seed, which explains none of the spread (F = 0.03, p = 0.97, three seeds of eleven rows).
"""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pipeline.report.formats import CONFIDENCE

LEVEL = 1 - CONFIDENCE  # of every test
MARGIN = 0.25  # two rows are equivalent if one is at most 25 % above the other
PAPER_MARGIN = 0.10  # and a row agrees with the paper's value within 10 %
FEWEST_SEEDS = 3  # trainings that a row needs before it gets a verdict
POWER = 0.8  # of the test that `seeds_needed` plans
MOST_SEEDS = 50  # a question that needs more seeds than this is out of reach, and says so
SAME_SPREAD = 0.05  # below this p of Levene's test the rows do not share one spread

Logs = NDArray[np.float64]  # of a row's values, one a training
# Whether the first row is better than the second; what the paper says, if it does.
Question = tuple[str, str, bool | None]


class Kind(StrEnum):
    """What the trainings say about a row against another, or against the paper's value."""

    CONFIRMED = "confirmed"  # the order is decided, and it is the paper's
    REVERSED = "reversed"  # the order is decided, and the paper has the other one
    BETTER = "better"  # the order is decided, and the paper states none
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    OPEN = "open"


class Verdict(NamedTuple):
    """The outcome of a comparison. `ratio`: geometric means, variant / base, with its two-sided interval."""

    kind: Kind
    seeds: tuple[int, int] = (0, 0)  # trainings of variant and base
    ratio: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan  # of the order, after Holm's correction
    p_equivalent: float = math.nan
    seeds_needed: int | None = None  # per row, of an open question; None: more than MOST_SEEDS, or unknown

    @property
    def ratio_text(self) -> str:
        """`0.61 (0.50 to 0.74)`: the ratio with its interval."""
        return "-" if math.isnan(self.ratio) else f"{self.ratio:.2f} ({self.low:.2f} to {self.high:.2f})"


class Difference(NamedTuple):
    """A difference of mean logarithms, its standard error, and the deviation between trainings behind it."""

    value: float
    error: float
    freedom: float
    deviation: float
    margin: float = MARGIN

    @property
    def p(self) -> float:
        """Of the two-sided t-test."""
        return float(2 * stats.t.sf(abs(self.value) / self.error, self.freedom)) if self.error else 1.0

    @property
    def p_equivalent(self) -> float:
        """The larger of two one-sided tests: that the difference lies within the margin."""
        room = math.log1p(self.margin)
        if not self.error:  # every training gave the same number: the same training twice
            return 0.0 if abs(self.value) < room else 1.0
        return float(max(stats.t.sf((room + sign * self.value) / self.error, self.freedom) for sign in (-1, 1)))

    def kind(self, p: float, improves: bool | None, lower_is_better: bool) -> Kind:
        """The verdict, where `p` is that of the order after any correction."""
        if p >= LEVEL:
            return Kind.EQUIVALENT if self.p_equivalent < LEVEL else Kind.OPEN
        better = (self.value < 0) == lower_is_better
        if improves is None:
            return Kind.BETTER if better else Kind.WORSE
        return Kind.CONFIRMED if better == improves else Kind.REVERSED


def compare_rows(
    rows: Mapping[str, Sequence[float]], questions: Sequence[Question], *, lower_is_better: bool = True
) -> list[Verdict]:
    """A verdict per question. `rows`: the values of the main metric by row, one per training that ended well.

    A row that holds a value of zero or below (an unbiased kernel distance may) has no logarithm: its comparisons are
    open, with the number of trainings that it has.
    """
    logs = {name: np.log(np.asarray(row, dtype=float)) for name, row in rows.items() if all(v > 0 for v in row)}
    spread = pooled_spread(logs)
    found = [_difference(logs.get(variant), logs.get(base), spread) for variant, base, _ in questions]
    corrected = holm([one.p for one in found if one])
    left, verdicts = iter(corrected), []
    for (variant, base, improves), one in zip(questions, found, strict=True):
        seeds = (len(rows.get(variant, ())), len(rows.get(base, ())))
        if one is None:
            verdicts.append(Verdict(Kind.OPEN, seeds))
            continue
        p = next(left)
        kind = one.kind(p, improves, lower_is_better)
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, one.freedom)) * one.error
        ratio, low, high = (math.exp(one.value + shift) for shift in (0, -half, half))
        more = seeds_needed(one.value, one.deviation, len(corrected)) if kind == Kind.OPEN else None
        verdicts.append(Verdict(kind, seeds, ratio, low, high, p, one.p_equivalent, more))
    return verdicts


def against_value(values: Sequence[float], paper: float, *, lower_is_better: bool) -> Kind:
    """A row against the paper's value, by the spread of its own trainings."""
    if len(values) < FEWEST_SEEDS or min(values) <= 0:
        return Kind.OPEN
    logs = np.log(np.asarray(values, dtype=float) / paper)
    deviation = float(logs.std(ddof=1))
    found = Difference(float(logs.mean()), deviation / math.sqrt(len(logs)), len(logs) - 1, deviation, PAPER_MARGIN)
    # A row within the margin agrees, however surely it differs from the value.
    p = 1.0 if found.p_equivalent < LEVEL else found.p
    return found.kind(p, None, lower_is_better)


def pooled_spread(logs: Mapping[str, Logs]) -> tuple[float, int, bool]:
    """Standard deviation within rows, its degrees of freedom (0 without two values), and whether all rows share it."""
    several = [row for row in logs.values() if len(row) > 1]
    freedom = sum(len(row) - 1 for row in several)
    deviation = math.sqrt(sum(float(((row - row.mean()) ** 2).sum()) for row in several) / max(freedom, 1))
    with np.errstate(divide="ignore", invalid="ignore"):  # rows without any spread
        p = float(stats.levene(*several, center="median").pvalue) if len(several) > 1 else math.nan
    return deviation, freedom, not p < SAME_SPREAD


def _difference(own: Logs | None, base: Logs | None, spread: tuple[float, int, bool]) -> Difference | None:
    """Two rows of logarithms compared; None with fewer than FEWEST_SEEDS trainings in one of them."""
    if own is None or base is None or min(len(own), len(base)) < FEWEST_SEEDS:
        return None
    value, (deviation, pooled, shared) = float(own.mean() - base.mean()), spread
    if shared:
        return Difference(value, deviation * math.sqrt(1 / len(own) + 1 / len(base)), pooled, deviation)
    first, second = (float(row.var(ddof=1)) for row in (own, base))
    parts = first / len(own), second / len(base)
    weights = parts[0] ** 2 / (len(own) - 1) + parts[1] ** 2 / (len(base) - 1)
    freedom = sum(parts) ** 2 / weights if weights else pooled
    return Difference(value, math.sqrt(sum(parts)), freedom, math.sqrt((first + second) / 2))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the p of each of a family of tests, none smaller than one before it."""
    order, adjusted = np.argsort(p_values), np.empty(len(p_values))
    steps = np.asarray(p_values)[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.maximum.accumulate(steps.clip(max=1))
    return adjusted.tolist()


def seeds_needed(difference: float, deviation: float, family: int) -> int | None:
    """Trainings per row until an order (at 5 % / `family`) or an equivalence (at 5 %) is decided with chance POWER.

    `difference` and `deviation` are taken as the true ones. None: more than MOST_SEEDS.
    """
    if not deviation:  # every training gave the same number: more of them would, too
        return None
    for seeds in range(FEWEST_SEEDS, MOST_SEEDS + 1):
        error, freedom = deviation * math.sqrt(2 / seeds), 2 * seeds - 2
        shift, room = abs(difference) / error, math.log1p(MARGIN) / error
        order = stats.nct.sf(stats.t.ppf(1 - LEVEL / family / 2, freedom), freedom, shift)
        one_sided = stats.t.ppf(CONFIDENCE, freedom)
        same = stats.nct.sf(one_sided, freedom, room - shift) + stats.nct.sf(one_sided, freedom, room + shift) - 1
        if max(order, same) >= POWER:
            return seeds
    return None
