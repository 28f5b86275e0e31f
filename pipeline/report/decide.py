"""The rule by which two rows of a data set are compared, and a row with the paper's value. The report prints RULES.

Metrics are compared as ratios: a row is its metric's logarithms, one per training. Between trainings the logarithm
spreads by about 0.15 whatever the row's mean, so the spread is estimated from all rows of a data set together, which
gives a test of three seeds the degrees of freedom of thirty. Trainings are not paired by seed: the seed of a training
explains none of that spread (F = 0.03, p = 0.97 over three seeds of eleven rows).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import stats

MARGIN = 0.25  # two rows are equivalent if one is at most 25 % above the other
PAPER_MARGIN = 0.10  # and a row agrees with the paper's value within 10 %
FEWEST_SEEDS = 3  # trainings that a row needs before it gets a verdict
POWER = 0.8  # of the test that `seeds_needed` plans
MOST_SEEDS = 50  # a question that needs more seeds than this is out of reach, and says so
SAME_SPREAD = 0.05  # below this p of Levene's test the rows do not share one spread


class Kind(StrEnum):
    """What the trainings say about a row against another, or against the paper's value."""

    SEEN = "seen"  # the order is decided, and it is the paper's
    CONTRADICTED = "contradicted"  # the order is decided, and the paper has the other one
    BETTER = "better"  # the order is decided, and the paper states none
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    OPEN = "open"


RULES = (
    (
        "spread",
        "A row is the logarithms of its main metric, one per training that ended well. Their standard deviation is "
        f"pooled over all rows of the data set. Levene's test checks that the rows share it: where p < {SAME_SPREAD}, "
        "each comparison uses the spread of its own two rows (Welch).",
    ),
    (
        "orders",
        "A two-sided t-test of the difference of two means of logarithms. Holm's method corrects its p over all "
        "comparisons of the data set. Below 5 % the order is decided: *seen* where it is the paper's, *contradicted* "
        "where the paper has the other one, *better* or *worse* where the paper states none. No order is stated "
        "otherwise.",
    ),
    (
        "equivalent",
        f"Two one-sided t-tests at 5 % (TOST): the ratio of the two rows lies within 1 / {1 + MARGIN} and "
        f"{1 + MARGIN}. Each pair stands for itself, without Holm's correction.",
    ),
    (
        "open",
        "Neither. The report then says how many trainings a row needs until one of the two tests decides with a "
        f"chance of {POWER:.0%}, if today's ratio and spread are the true ones. With fewer than {FEWEST_SEEDS} "
        "trainings in either row, every comparison is open.",
    ),
    (
        "the paper's value",
        "Only where metric, data set, split, resize and sample count are those of the paper's value, the row was "
        f"trained for at least 99 % of its training, and at least {FEWEST_SEEDS} trainings ended well: *equivalent* "
        f"within {PAPER_MARGIN:.0%} (TOST), *better* or *worse* by a t-test, else *open*.",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Question:
    """Whether `variant` is better than `base`. `paper_improves`: what the paper says, None where it states no order."""

    variant: str
    base: str
    paper_improves: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The standard deviation of the logarithms within rows, its degrees of freedom, and p that all rows share it."""

    deviation: float
    freedom: int
    homogeneity: float

    @property
    def shared(self) -> bool:
        return not self.homogeneity < SAME_SPREAD


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The outcome of a comparison. `ratio`: geometric means, variant / base, with its two-sided interval."""

    kind: Kind
    ratio: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan  # of the order, after Holm's correction
    p_equivalent: float = math.nan
    seeds: tuple[int, int] = (0, 0)  # trainings of variant and base
    seeds_needed: int | None = None  # per row, of an open question; None: more than MOST_SEEDS, or unknown

    @property
    def decided(self) -> bool:
        return self.kind != Kind.OPEN


def pooled_spread(rows: Mapping[str, Sequence[float]]) -> Spread | None:
    """The common spread of the logarithms of all rows (row -> positive values); None where no row has two values."""
    logs = [np.log(np.asarray(values, dtype=float)) for values in rows.values() if len(values) > 1]
    freedom = sum(len(row) - 1 for row in logs)
    if not freedom:
        return None
    deviation = math.sqrt(sum(float(((row - row.mean()) ** 2).sum()) for row in logs) / freedom)
    with np.errstate(divide="ignore", invalid="ignore"):  # rows without any spread
        homogeneity = float(stats.levene(*logs, center="median").pvalue) if len(logs) > 1 else math.nan
    return Spread(deviation=deviation, freedom=freedom, homogeneity=homogeneity)


def compare_rows(
    rows: Mapping[str, Sequence[float]],
    questions: Sequence[Question],
    *,
    lower_is_better: bool = True,
    confidence: float = 0.95,
    margin: float = MARGIN,
) -> list[Verdict]:
    """A verdict per question. `rows`: the values of the main metric by row, one per training that ended well.

    A row that holds a value of zero or below (an unbiased kernel distance may) has no logarithm: its comparisons are
    open, with the number of trainings that it has.
    """
    measured, rows = rows, {name: values for name, values in rows.items() if all(value > 0 for value in values)}
    spread = pooled_spread(rows)
    tests = [_test(rows, question, spread, margin) for question in questions]
    adjusted = holm([test.p for test in tests if test])
    corrected = iter(adjusted)
    family = len(adjusted)
    verdicts = []
    for question, test in zip(questions, tests, strict=True):
        seeds = (len(measured.get(question.variant, ())), len(measured.get(question.base, ())))
        if test is None:
            verdicts.append(Verdict(kind=Kind.OPEN, seeds=seeds))
            continue
        p = next(corrected)
        kind = _kind(test, p, question.paper_improves, lower_is_better, 1 - confidence)
        half = float(stats.t.ppf((1 + confidence) / 2, test.freedom)) * test.error
        verdicts.append(
            Verdict(
                kind=kind,
                ratio=math.exp(test.difference),
                low=math.exp(test.difference - half),
                high=math.exp(test.difference + half),
                p=p,
                p_equivalent=test.p_equivalent,
                seeds=seeds,
                seeds_needed=seeds_needed(test.difference, test.deviation, family, margin)
                if kind == Kind.OPEN
                else None,
            )
        )
    return verdicts


def against_value(
    values: Sequence[float],
    paper: float,
    *,
    lower_is_better: bool,
    confidence: float = 0.95,
    margin: float = PAPER_MARGIN,
) -> Kind:
    """A row against the paper's value, by the spread of its own trainings."""
    if len(values) < FEWEST_SEEDS or min(values) <= 0:
        return Kind.OPEN
    differences = np.log(np.asarray(values, dtype=float) / paper)
    test = _Test(
        difference=float(differences.mean()),
        error=float(differences.std(ddof=1)) / math.sqrt(len(differences)),
        freedom=len(differences) - 1,
        deviation=float(differences.std(ddof=1)),
        margin=margin,
    )
    if test.p_equivalent < 1 - confidence:
        return Kind.EQUIVALENT
    return _kind(test, test.p, None, lower_is_better, 1 - confidence)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the p of each of a family of tests, none smaller than one before it."""
    order = np.argsort(p_values)
    adjusted, highest = np.empty(len(p_values)), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return [float(value) for value in adjusted]


def seeds_needed(difference: float, deviation: float, family: int, margin: float = MARGIN) -> int | None:
    """Trainings per row until an order (at 5 % / `family`) or an equivalence (at 5 %) is decided with chance POWER.

    `difference` and `deviation` are taken as the true ones. None: more than MOST_SEEDS.
    """
    if not deviation:  # every training gave the same number: more of them would, too
        return None
    for seeds in range(FEWEST_SEEDS, MOST_SEEDS + 1):
        error, freedom = deviation * math.sqrt(2 / seeds), 2 * seeds - 2
        shift = abs(difference) / error
        limit = stats.t.ppf(1 - 0.05 / family / 2, freedom)
        order = stats.nct.sf(limit, freedom, shift)
        one_sided = stats.t.ppf(0.95, freedom)
        room = math.log1p(margin) / error
        same = stats.nct.sf(one_sided, freedom, room - shift) + stats.nct.sf(one_sided, freedom, room + shift) - 1
        if max(order, same) >= POWER:
            return seeds
    return None


@dataclass(frozen=True, kw_only=True)
class _Test:
    """A t-test of a difference of logarithms, and the two one-sided tests of equivalence."""

    difference: float
    error: float  # its standard error
    freedom: float
    deviation: float  # between trainings
    margin: float

    @property
    def p(self) -> float:
        return float(2 * stats.t.sf(abs(self.difference) / self.error, self.freedom)) if self.error else 1.0

    @property
    def p_equivalent(self) -> float:
        if not self.error:  # every training gave the same number: the same training twice
            return 0.0 if abs(self.difference) < math.log1p(self.margin) else 1.0
        room = math.log1p(self.margin)
        return float(max(stats.t.sf((room + sign * self.difference) / self.error, self.freedom) for sign in (-1, 1)))


def _test(
    rows: Mapping[str, Sequence[float]], question: Question, spread: Spread | None, margin: float
) -> _Test | None:
    """The test of a question; None with fewer than FEWEST_SEEDS trainings in one of its rows."""
    own, base = (np.log(np.asarray(rows.get(name, ()), dtype=float)) for name in (question.variant, question.base))
    if spread is None or min(len(own), len(base)) < FEWEST_SEEDS:
        return None
    difference = float(own.mean() - base.mean())
    if spread.shared:
        error = spread.deviation * math.sqrt(1 / len(own) + 1 / len(base))
        return _Test(
            difference=difference, error=error, freedom=spread.freedom, deviation=spread.deviation, margin=margin
        )
    parts = [float(row.var(ddof=1)) / len(row) for row in (own, base)]
    freedom = sum(parts) ** 2 / sum(
        part**2 / (len(row) - 1) for part, row in zip(parts, (own, base), strict=True) if part
    )
    deviation = math.sqrt((own.var(ddof=1) + base.var(ddof=1)) / 2)
    return _Test(
        difference=difference, error=math.sqrt(sum(parts)), freedom=freedom, deviation=deviation, margin=margin
    )


def _kind(test: _Test, p: float, paper_improves: bool | None, lower_is_better: bool, level: float) -> Kind:
    if p < level:
        improves = (test.difference < 0) == lower_is_better
        if paper_improves is None:
            return Kind.BETTER if improves else Kind.WORSE
        return Kind.SEEN if improves == paper_improves else Kind.CONTRADICTED
    return Kind.EQUIVALENT if test.p_equivalent < level else Kind.OPEN
