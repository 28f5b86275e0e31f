"""The pairs of rows whose order means something, and what the seeds say about each."""

from dataclasses import dataclass, field

import pandas as pd

from pipeline.report import paper
from pipeline.report.results import cells_of, dataset_metrics, measurement
from pipeline.report.statistics import NOT_RUN, difference_text
from pipeline.report.verdict import Order, order


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`variant` against `base`, and `subject`, what differs.

    `rows`: the paper's table and its two rows, if it has them.
    `topic`: attention | component | augmentation | models | off full.
    """

    variant: str
    base: str
    subject: str
    topic: str
    rows: tuple[str, str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was measured about a comparison on one dataset: both rows, their paired differences, the order."""

    comparison: Comparison
    dataset: str
    metric: str
    means: tuple[str, str]
    differences: list[float] = field(default_factory=list)
    difference: str = "-"
    paper_improves: bool | None = None
    marks: tuple[str, ...] = ()
    order: Order
    reason: str = ""  # why it is undecided, or nothing is there to compare
    outside: bool = False  # a row of it is not in the matrix

    @property
    def decided(self) -> bool:
        """Whether the seeds give an order."""
        return self.order in (Order.SEEN, Order.CONTRADICTED, Order.BETTER, Order.WORSE)


def _ablation(variant: str, base: str, subject: str, topic: str) -> Comparison:
    rows = ("ablation", paper.ABLATION[variant], paper.ABLATION[base])
    return Comparison(variant=variant, base=base, subject=subject, rows=rows, topic=topic)


def _augmentation_rows(variant: str, base: str) -> tuple[str, str, str] | None:
    own, other = paper.AUGMENTATION.get(variant), paper.AUGMENTATION.get(base)
    return ("augmentation", own, other) if own and other else None


def _augmented(model: str) -> Comparison:
    bare, augmented = paper.MODELS[model]
    rows = _augmentation_rows(augmented, bare)
    return Comparison(variant=augmented, base=bare, subject=f"DiffAug for {model}", rows=rows, topic="augmentation")


def _families(model: str, with_it: int) -> Comparison:
    variants = paper.MODELS["TransGAN"][with_it], paper.MODELS[model][with_it]
    rows = _augmentation_rows(*variants)
    subject = f"TransGAN against {model}, {'with' if with_it else 'without'} augmentation"
    return Comparison(variant=variants[0], base=variants[1], subject=subject, rows=rows, topic="models")


CNNS = [model for model in paper.MODELS if model != "TransGAN"]
COMPARISONS = (
    _ablation("nystrom_attention", "standard_attention", "Nyström attention", "attention"),
    _ablation("axis_attention", "standard_attention", "axis attention", "attention"),
    _ablation("grid_attention", "standard_attention", "grid attention", "attention"),
    _ablation("multiscale", "grid_attention", "the multi-scale discriminator", "component"),
    _ablation("token_norm", "multiscale", "token-wise normalisation", "component"),
    _ablation("full", "token_norm", "relative position", "component"),
    *(_augmented(model) for model in paper.MODELS),
    *(
        Comparison(
            variant=variant,
            base="no_augment",
            subject=f"{variant.removeprefix('augment_')} alone",
            topic="augmentation",
        )
        for variant in paper.AUGMENTATION_ALONE
    ),
    *(_families(model, with_it) for model in CNNS for with_it in (0, 1)),
    *(
        Comparison(variant=variant, base=paper.MAIN_VARIANT, subject=what, topic="off full")
        for variant, what in paper.COMPONENTS.items()
        if variant != paper.MAIN_VARIANT
    ),
)


def paper_order(comparison: Comparison, dataset: str) -> tuple[bool | None, tuple[str, ...]]:
    """Whether the paper's FID improves from base to variant (None: no order), and the marks of the values behind it.

    The dataset's own values decide where the paper has them, else the sign that all its datasets share.
    """
    if comparison.rows is None:
        return None, ()
    table, own, base = comparison.rows
    signs: dict[str, tuple[bool, tuple[str, ...]]] = {}
    for name in dict.fromkeys(paper.paper_rows(table).dataset):
        first, second = (paper.paper_value(table, row, name, "FID") for row in (own, base))
        if first and second and first.value and second.value and not paper.protocols_differ(first, second):
            marks = tuple(dict.fromkeys(mark for mark in (first.mark, second.mark) if mark))
            signs[name] = (first.value < second.value, marks)
    if dataset in signs:
        return signs[dataset]
    improves = {sign for sign, _ in signs.values()}
    marks = tuple(dict.fromkeys(mark for _, found in signs.values() for mark in found))
    return (improves.pop() if len(improves) == 1 else None), marks


def outcome(cells: pd.DataFrame, dataset: str, comparison: Comparison, confidence: float) -> Outcome:
    """The comparison on one dataset by its main metric, paired by seed."""
    improves, marks = paper_order(comparison, dataset)
    metrics = dataset_metrics(cells, dataset)
    missing = [v for v in (comparison.variant, comparison.base) if cells_of(cells, dataset, v).empty]
    if not metrics or missing:
        reason = f"`{'`, `'.join(missing)}` not in this matrix" if missing else "nothing measured"
        return Outcome(
            comparison=comparison, dataset=dataset, metric=metrics[0] if metrics else "", means=("-", "-"),
            paper_improves=improves, marks=marks, order=Order.NOTHING, reason=reason, outside=bool(missing),
        )  # fmt: skip
    own, base = (measurement(cells, dataset, v, metrics[0]) for v in (comparison.variant, comparison.base))
    differences = [float(value) for value in (own.values - base.values).dropna()]
    found = order(differences, metrics[0], improves, confidence)
    return Outcome(
        comparison=comparison,
        dataset=dataset,
        metric=metrics[0],
        means=(own.text(confidence), base.text(confidence)),
        differences=differences,
        difference=difference_text(differences, confidence) if differences else "-",
        paper_improves=improves,
        marks=marks,
        order=found,
        reason=_reason(found, differences, comparison, own.trouble, base.trouble),
    )


def _reason(found: Order, differences: list[float], comparison: Comparison, own: str, base: str) -> str:
    if found == Order.UNDECIDED:
        return "one seed" if len(differences) < 2 else "the interval includes 0"
    if found == Order.NOTHING:
        sides = ((comparison.variant, own), (comparison.base, base))
        return "; ".join(f"`{variant}`: {trouble}" for variant, trouble in sides if trouble) or "no shared seed"
    return ""


def outcomes(cells: pd.DataFrame, dataset: str, confidence: float) -> list[Outcome]:
    """Every comparison of which the matrix holds both rows on `dataset`."""
    found = [outcome(cells, dataset, comparison, confidence) for comparison in COMPARISONS]
    return [entry for entry in found if not entry.outside]


def beyond_outcomes(cells: pd.DataFrame, dataset: str, confidence: float) -> list[Outcome]:
    """Rows beyond the paper of which the matrix holds the variant and the full model on `dataset`."""
    found = [off_full(cells, dataset, variant, confidence, what) for variant, what in paper.BEYOND.items()]
    return [entry for entry in found if not entry.outside]


def off_full(cells: pd.DataFrame, dataset: str, variant: str, confidence: float, subject: str = "") -> Outcome:
    """Any variant against the full model, without an order of the paper."""
    comparison = Comparison(variant=variant, base=paper.MAIN_VARIANT, subject=subject or variant, topic="off full")
    return outcome(cells, dataset, comparison, confidence)


def verdict_text(entry: Outcome) -> str:
    """`seen: better here (paper: better, recalled)`; what is undecided says why."""
    text = NOT_RUN if entry.outside else str(entry.order)
    if entry.order in (Order.UNDECIDED, Order.NOTHING) and not entry.outside:
        text += f": {entry.reason}"
    elif entry.order in (Order.SEEN, Order.CONTRADICTED):
        improves = entry.paper_improves == (entry.order == Order.SEEN)
        text += f": {'better' if improves else 'worse'} here"
    return text + (f" (paper: {paper_side(entry)})" if entry.paper_improves is not None else "")


def paper_side(entry: Outcome) -> str:
    """The paper's own order with the marks of the values behind it: `better, recalled`."""
    if entry.paper_improves is None:
        return "no order"
    side = "better" if entry.paper_improves else "worse"
    return ", ".join([side, *entry.marks])
