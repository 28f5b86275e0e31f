"""The pairs of rows whose order means something, what the paper says of each, and what the trainings say."""

from dataclasses import dataclass

import numpy as np

from pipeline.report import paper
from pipeline.report.decide import FEWEST_SEEDS, MARGIN, MOST_SEEDS, Kind, Question, Verdict, compare_rows
from pipeline.report.formats import NOT_RUN, number
from pipeline.report.results import Results, lower_is_better

SAME = {
    Kind.SEEN: "yes",
    Kind.CONTRADICTED: "no, the other way round",
    Kind.BETTER: "better here; no order in the paper",
    Kind.WORSE: "worse here; no order in the paper",
    Kind.EQUIVALENT: "equivalent within 25 %",
}


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`variant` against `base`, and `subject`, what differs. `rows`: the paper's table and its two rows, if any.

    `topic`: attention | component | augmentation | models | off full | beyond.
    """

    variant: str
    base: str
    subject: str
    topic: str
    rows: tuple[str, str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class PaperOrder:
    """What the paper says of two rows: whether the first is better (None: no order), and from which values."""

    improves: bool | None = None
    text: str = "no order"
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was measured about a comparison on one dataset, by the dataset's main metric.

    `others`: metrics that say the opposite, in words.
    """

    comparison: Comparison
    dataset: str
    paper: PaperOrder
    texts: tuple[str, str]  # of variant and base: mean and interval, or what happened instead
    verdict: Verdict
    twins: bool  # both rows are one training
    others: str = ""

    @property
    def ratio(self) -> str:
        """`0.61 (0.50 to 0.74)`: variant / base, with its interval."""
        found = self.verdict
        return "-" if np.isnan(found.ratio) else f"{found.ratio:.2f} ({found.low:.2f} to {found.high:.2f})"

    @property
    def answer(self) -> str:
        """Whether what the paper says is seen here; what is open says what it needs."""
        found = self.verdict
        if self.twins:
            return "the same training"
        if found.kind != Kind.OPEN:
            text = SAME[found.kind]
        elif np.isnan(found.ratio):
            text = f"open: {min(found.seeds)} trainings" if max(found.seeds) else NOT_RUN
        else:
            text = f"open: {found.seeds_needed or f'more than {MOST_SEEDS}'} trainings a row would decide"
        return f"{text}; but {self.others}" if self.others else text


def _ablation(variant: str, base: str, subject: str, topic: str) -> Comparison:
    rows = ("ablation", paper.ABLATION[variant], paper.ABLATION[base])
    return Comparison(variant=variant, base=base, subject=subject, rows=rows, topic=topic)


def _augmentation(variant: str, base: str, subject: str, topic: str = "augmentation") -> Comparison:
    own, other = paper.AUGMENTATION.get(variant), paper.AUGMENTATION.get(base)
    rows = ("augmentation", own, other) if own and other else None
    return Comparison(variant=variant, base=base, subject=subject, rows=rows, topic=topic)


COMPARISONS = (
    _ablation("nystrom_attention", "standard_attention", "Nyström attention", "attention"),
    _ablation("axis_attention", "standard_attention", "axis attention", "attention"),
    _ablation("grid_attention", "standard_attention", "grid attention", "attention"),
    _ablation("multiscale", "grid_attention", "the multi-scale discriminator", "component"),
    _ablation("token_norm", "multiscale", "token-wise normalisation", "component"),
    _ablation("full", "token_norm", "relative position", "component"),
    *(_augmentation(pair[1], pair[0], f"DiffAug for {model}") for model, pair in paper.MODELS.items()),
    *(_augmentation(name, "no_augment", f"{name.removeprefix('augment_')} alone") for name in paper.AUGMENTATION_ALONE),
    *(
        _augmentation(paper.MODELS["TransGAN"][i], pair[i], f"TransGAN against {model}, {word} augmentation", "models")
        for model, pair in paper.MODELS.items()
        if model != "TransGAN"
        for i, word in enumerate(("without", "with"))
    ),
    *(
        Comparison(variant=variant, base=paper.MAIN_VARIANT, subject=subject, topic="off full")
        for variant, subject in paper.COMPONENTS.items()
        if variant != paper.MAIN_VARIANT
    ),
    *(
        Comparison(variant=variant, base=paper.MAIN_VARIANT, subject=subject, topic="beyond")
        for variant, subject in paper.BEYOND.items()
    ),
)
LISTED = {entry.variant for entry in COMPARISONS if entry.base == paper.MAIN_VARIANT}


def paper_order(comparison: Comparison, dataset: str) -> PaperOrder:
    """Whether the paper's FID improves from base to variant, by which values.

    The dataset's own values decide where the paper has them, else the sign that all its datasets share. Values whose
    protocols are known to differ give no order.
    """
    if comparison.rows is None:
        return PaperOrder()
    table, own, base = comparison.rows
    pairs = {
        name: (first, second)
        for name in dict.fromkeys(paper.paper_rows(table).dataset)
        if (first := paper.paper_value(table, own, name, "FID")) and first.value
        and (second := paper.paper_value(table, base, name, "FID")) and second.value
        and not paper.protocols_differ(first, second)
    }  # fmt: skip
    if dataset in pairs:
        pairs = {dataset: pairs[dataset]}
    signs = {(first.value or 0) < (second.value or 0) for first, second in pairs.values()}
    if len(signs) != 1:
        return PaperOrder()
    improves = signs.pop()
    name, (first, second) = next(iter(pairs.items()))
    marks = tuple(dict.fromkeys(v.mark for pair in pairs.values() for v in pair if v.mark))
    origin = ", ".join([paper.short_source(first.source), *marks])
    text = f"{'better' if improves else 'worse'}: {first.value:g} / {second.value:g}, {paper.name_of(name)} ({origin})"
    return PaperOrder(improves=improves, text=text, marks=marks)


def compared(results: Results, dataset: str) -> list[Outcome]:
    """Every comparison of which the matrix holds both rows on `dataset`, judged as one family.

    A variant that no list names is compared with the full model.
    """
    own = results.variants(dataset)
    named = {entry.variant for entry in COMPARISONS} | {entry.base for entry in COMPARISONS}
    rest = [name for name in own if name not in named | {*paper.HYBRIDS, *paper.SCALING}]
    asked = [
        *COMPARISONS,
        *(Comparison(variant=v, base=paper.MAIN_VARIANT, subject=v.replace("_", " "), topic="off full") for v in rest),
    ]
    asked = [entry for entry in asked if entry.variant in own and entry.base in own]
    orders = [paper_order(entry, dataset) for entry in asked]
    metric = results.main_metric(dataset)
    if metric is None:
        return []
    pairs = zip(asked, orders, strict=True)
    verdicts = compare_rows(
        {name: list(results.values(dataset, name, metric)) for name in own},
        [Question(variant=e.variant, base=e.base, paper_improves=o.improves) for e, o in pairs],
        lower_is_better=lower_is_better(metric), confidence=results.confidence,
    )  # fmt: skip
    twins = {(row.variant, row.twin_of) for row in results.of(dataset).itertuples() if row.twin_of}
    return [
        Outcome(
            comparison=entry, dataset=dataset, paper=order, verdict=verdict,
            texts=(results.measurement(dataset, entry.variant, metric).text,
                   results.measurement(dataset, entry.base, metric).text),
            twins=bool({(entry.variant, entry.base), (entry.base, entry.variant)} & twins),
            others=disagreeing(results, dataset, entry),
        )
        for entry, order, verdict in zip(asked, orders, verdicts, strict=True)
    ]  # fmt: skip


def disagreeing(results: Results, dataset: str, comparison: Comparison) -> str:
    """Metrics by which the row that is worse by the main metric is better: `recall_digits 0.75 against 0.54`.

    By means over trainings, FEWEST_SEEDS of each row at least, and by more than MARGIN.
    """
    texts: list[str] = []
    leads = None
    for metric in results.metrics(dataset):
        own, base = (results.values(dataset, v, metric) for v in (comparison.variant, comparison.base))
        if min(len(own), len(base)) < FEWEST_SEEDS or min(own.mean(), base.mean()) <= 0:
            continue
        ratio = own.mean() / base.mean() if lower_is_better(metric) else base.mean() / own.mean()  # < 1: better
        if leads is None:
            leads = ratio < 1
        elif (ratio > 1 + MARGIN) if leads else (ratio < 1 / (1 + MARGIN)):
            texts.append(f"{metric} {number(own.mean())} against {number(base.mean())}")
    return ", ".join(texts)


def of_pair(outcomes: list[Outcome], variant: str, base: str) -> Outcome | None:
    """The outcome of one pair, None where the matrix does not hold both rows."""
    pairs = {(entry.comparison.variant, entry.comparison.base): entry for entry in outcomes}
    return pairs.get((variant, base))
