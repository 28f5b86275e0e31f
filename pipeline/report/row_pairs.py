"""The pairs of rows whose order means something, what the paper says of each, and what the trainings say."""

import math
from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from pipeline.report import paper
from pipeline.report.decide import FEWEST_SEEDS, MARGIN, MOST_SEEDS, Kind, Verdict, compare_rows
from pipeline.report.formats import NOT_RUN, number
from pipeline.report.results import Results, lower_is_better

SAME = {
    Kind.CONFIRMED: "confirmed",
    Kind.REVERSED: "reversed",
    Kind.BETTER: "better here; no order in the paper",
    Kind.WORSE: "worse here; no order in the paper",
    Kind.EQUIVALENT: f"equivalent within {MARGIN:.0%}".replace("%", " %"),
}
OFF_FULL = "off_full"  # the table of variants that rows.csv does not name


class Comparison(NamedTuple):
    """`variant` against `base`, and `subject`, what differs, if it has words. `table`: of rows.csv, or OFF_FULL."""

    variant: str
    base: str
    subject: str
    table: str

    @property
    def of_paper(self) -> bool:
        """Whether the paper makes this comparison, with values or without."""
        return self.table in ("ablation", "augmentation", "models")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was measured about a comparison, by the dataset's main metric.

    `improves`, `paper`: of `paper_order`; `texts`: of variant and base, mean and interval, or what happened instead;
    `others`: metrics that say the opposite.
    """

    comparison: Comparison
    improves: bool | None
    paper: str
    texts: tuple[str, str]
    verdict: Verdict
    twins: bool = False  # both rows are one training
    others: str = ""

    @property
    def answer(self) -> str:
        """Whether what the paper says is seen here; what is open says what it needs."""
        found = self.verdict
        if self.twins:
            return "the same training"
        if found.kind != Kind.OPEN:
            text = SAME[found.kind]
        elif min(found.seeds) < FEWEST_SEEDS:
            text = f"open: {min(found.seeds)} of {FEWEST_SEEDS} trainings" if max(found.seeds) else NOT_RUN
        elif math.isnan(found.ratio):
            text = "open: values of 0 or below have no ratio"
        else:
            text = f"open: {found.seeds_needed or f'more than {MOST_SEEDS}'} trainings a row would decide"
        return f"{text}; but {self.others}" if self.others else text


COMPARISONS = [
    Comparison(row.variant, row.against, row.subject or row.row, row.table)
    for row in paper.packaged("rows.csv").itertuples()
    if row.against
]


def paper_order(comparison: Comparison, dataset: str) -> tuple[bool | None, str]:
    """Whether the paper's FID improves from base to variant (None: no order), by which values.

    The dataset's own values decide where the paper has them, else the sign that all its datasets share. Values whose
    protocols are known to differ give no order.
    """
    table = "augmentation" if comparison.table == "models" else comparison.table
    rows = [paper.rows_of(table).get(name, "") for name in (comparison.variant, comparison.base)]
    pairs = {}
    for name in dict.fromkeys(paper.paper_rows(table).dataset):
        own, base = (paper.paper_value(table, row, name, "FID") for row in rows)
        if own and base and own.value and base.value and not own.differs_from(base):
            pairs[name] = (own, base)
    pairs = {dataset: pairs[dataset]} if dataset in pairs else pairs
    signs = {(own.value or 0) < (base.value or 0) for own, base in pairs.values()}
    if len(signs) != 1:
        return None, "no order"
    improves, (name, (own, base)) = signs.pop(), next(iter(pairs.items()))
    marks = dict.fromkeys(value.mark for pair in pairs.values() for value in pair if value.mark)
    text = f"{'better' if improves else 'worse'}: {own.value:g} / {base.value:g}, {paper.name_of(name)}"
    return improves, f"{text} ({', '.join([own.source, *marks])})"


def listed(results: Results, dataset: str) -> list[Comparison]:
    """The comparisons of rows.csv of which the matrix holds both rows; a variant that it does not name: with `full`."""
    own, named = results.variants(dataset), set(paper.packaged("rows.csv").variant)
    rest = [Comparison(v, paper.MAIN_VARIANT, v.replace("_", " "), OFF_FULL) for v in own if v not in named]
    return [entry for entry in (*COMPARISONS, *rest) if {entry.variant, entry.base} <= {*own}]


def every_pair(results: Results, dataset: str) -> list[Comparison]:
    """Every row with every row before it; where the paper has both in one table, that table says their order."""
    tables = {table: paper.rows_of(table).keys() for table in ("ablation", "augmentation")}
    return [
        Comparison(variant, base, "", next((t for t, rows in tables.items() if {variant, base} <= rows), OFF_FULL))
        for base, variant in combinations(results.variants(dataset), 2)
    ]


def compared(results: Results, dataset: str, asked: list[Comparison] | None = None) -> list[Outcome]:
    """The outcome of every comparison, `listed` ones if none are given, judged as one family."""
    asked, metric = listed(results, dataset) if asked is None else asked, results.main_metric(dataset)
    if metric is None:
        return []
    orders = [paper_order(entry, dataset) for entry in asked]
    rows = {name: results.measurement(dataset, name, metric) for name in results.variants(dataset)}
    verdicts = compare_rows(
        {name: list(row.values) for name, row in rows.items()},
        [(entry.variant, entry.base, improves) for entry, (improves, _) in zip(asked, orders, strict=True)],
        lower_is_better=lower_is_better(metric),
    )  # fmt: skip
    twins = [{row.variant, row.twin_of} for row in results.of(dataset).itertuples() if row.twin_of]
    return [
        Outcome(
            comparison=entry, improves=improves, paper=text, texts=(rows[entry.variant].text, rows[entry.base].text),
            verdict=verdict, twins={*entry[:2]} in twins, others=disagreeing(results, dataset, entry),
        )
        for entry, (improves, text), verdict in zip(asked, orders, verdicts, strict=True)
    ]  # fmt: skip


def disagreeing(results: Results, dataset: str, comparison: Comparison) -> str:
    """Metrics whose means are better by more than MARGIN where the main one is worse: `recall 0.75 against 0.54`."""
    texts, leads, main = [], 0.0, results.main_metric(dataset)
    for metric in results.metrics(dataset):
        own, base = (results.values(dataset, name, metric) for name in comparison[:2])
        if min(len(own), len(base)) < FEWEST_SEEDS or min(own.mean(), base.mean()) <= 0:
            continue
        gain = math.log(base.mean() / own.mean()) * (1 if lower_is_better(metric) else -1)
        leads = leads or gain  # of the main metric, or of the first that both rows have
        if gain * leads < 0 and abs(gain) > math.log1p(MARGIN) and not metric.startswith(f"{main}_"):  # a part of it
            texts.append(f"{metric} {number(own.mean())} against {number(base.mean())}")
    return ", ".join(texts)


def counted(outcomes: list[Outcome]) -> str:
    """`3 confirmed, 2 open`: how often each verdict was given, in the order of `Kind`."""
    kinds = Counter(entry.verdict.kind for entry in outcomes)
    return ", ".join(f"{kinds[kind]} {kind}" for kind in Kind if kinds[kind])
