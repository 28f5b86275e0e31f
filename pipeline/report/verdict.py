"""The written rules by which a row gets its verdict. The report prints RULES; the functions below are the rules."""

from collections.abc import Sequence
from enum import StrEnum

from pipeline.report.metrics import better
from pipeline.report.paper import PaperValue
from pipeline.report.results import Measurement
from pipeline.report.statistics import difference_text, interval

ENOUGH = 0.99  # share of a paper value's training from which on a row counts as trained like it
LEAST_SEEDS = 2  # seeds that both rows need before their order can be decided

RULES = (
    (
        "values",
        "A mean is over the seeds whose training ended well, with its t-interval from two seeds on. A seed that "
        "ran out "
        "of memory or diverged is named beside the mean, not averaged.",
    ),
    (
        "orders",
        "Two rows are compared by a paired test: the differences of the main metric between trainings with the same "
        "seed, and the t-interval of their mean. The paper's order is *seen* if the interval excludes 0 and the "
        "sign is "
        "the paper's, *contradicted* if it excludes 0 and the sign is the other one, *undecided* if it includes 0 or "
        "fewer than two seeds have both values. Where the paper states no order, a difference that excludes 0 is "
        "*better here* or *worse here*. No order is stated otherwise.",
    ),
    (
        "the paper's order",
        "The sign of the difference between the paper's own two values: on the same dataset where the paper has "
        "it, else "
        "the sign that all its datasets share. Values whose protocols are known to differ give no order.",
    ),
    (
        "many comparisons",
        "Each comparison stands at the confidence below. Of twenty comparisons without any real difference, one is "
        "expected to look decided at 95 %.",
    ),
    (
        "against the paper's value",
        "Only where metric, dataset, split, resize and sample count are those of the paper's value, the row was "
        "trained "
        "for at least 99 % of that value's own training, and at least two seeds ended well: *agrees* if the paper's "
        "value lies in the measured interval, else *better* or *worse*. Anything less is *no verdict*, with the "
        "reason.",
    ),
    (
        "citations",
        "A paper value that was not read in the paper is marked *quoted*, *recalled* or *weak*, and so is a "
        "verdict that "
        "rests on it.",
    ),
    (
        "never",
        "A value of the paper never fills a measured cell. Two protocols never share a column. `fd_`, `is_` and `kd_` "
        "are never compared with the paper's FID and IS.",
    ),
)


class Order(StrEnum):
    """What the seeds say about the order of two rows."""

    SEEN = "seen"
    CONTRADICTED = "contradicted"
    UNDECIDED = "undecided"
    BETTER = "better here"
    WORSE = "worse here"
    SAME = "the same training"
    NOTHING = "nothing to compare"


def order(differences: Sequence[float], metric: str, paper_improves: bool | None, confidence: float) -> Order:
    """The order of two rows from `differences` of `metric`, one per shared seed; `paper_improves`: None = no order."""
    if not len(differences):
        return Order.NOTHING
    if not any(differences):
        return Order.SAME
    mean, half = interval(differences, confidence)
    if half is None or len(differences) < LEAST_SEEDS or abs(mean) <= half:
        return Order.UNDECIDED
    improves = better(metric, mean)
    if paper_improves is None:
        return Order.BETTER if improves else Order.WORSE
    return Order.SEEN if improves == paper_improves else Order.CONTRADICTED


def against_paper(measured: Measurement, paper: PaperValue | None, metric: str, kimg: float | None, confidence: float,
                  *, same_settings: bool = True) -> str:  # fmt: skip
    """Verdict of a row against the paper's own value, in words.

    `kimg`: thousands of images the row was trained on; `same_settings`: whether what a metric's name does not tell
    (splits) is the paper's too.
    """
    if measured.values.empty:
        same = paper is not None and paper.value is None and set(measured.troubles.values()) == {"oom"}
        return "as in the paper" + _mark(paper) if same else measured.trouble
    if paper is None:
        return "no verdict: no paper value"
    if not (paper.measured_as(metric) and same_settings):
        return f"no verdict: {metric} is not the paper's protocol"
    if paper.value is None:
        return "contrary to the paper: it ran out of memory" + _mark(paper)
    mean, half = interval(list(measured.values), confidence)
    off = f"{mean - paper.value:+.2f}"
    if not paper.kimg:
        return f"no verdict: the paper's training length is not known ({off})"
    if kimg is None or kimg < ENOUGH * paper.kimg:
        return f"no verdict: {(kimg or 0) / paper.kimg:.1%} of the paper's training ({off})"
    if half is None:
        return f"no verdict: one seed ({off})"
    if abs(mean - paper.value) <= half:
        return f"agrees ({off}{_mark(paper)})"
    return f"{'better' if better(metric, mean - paper.value) else 'worse'} ({off}{_mark(paper)})"


def change(differences: Sequence[float], metric: str, confidence: float) -> str:
    """Verdict of one side of a comparison of revisions against the other, from differences paired by seed."""
    found = order(differences, metric, None, confidence)
    if found == Order.UNDECIDED and len(differences) < LEAST_SEEDS:
        return f"undecided: one seed ({difference_text(differences, confidence)})"
    words = {Order.BETTER: "better", Order.WORSE: "worse", Order.SAME: "the same"}
    return words.get(found, str(found))


def _mark(paper: PaperValue | None) -> str:
    return f", paper value {paper.mark}" if paper and paper.mark else ""
