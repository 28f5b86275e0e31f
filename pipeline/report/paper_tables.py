"""The tables in which paper and measurement stand side by side, never in one column."""

from dataclasses import replace

import pandas as pd

from pipeline.report import paper, verdict
from pipeline.report.comparisons import (
    COMPARISONS,
    Outcome,
    off_full,
    outcome,
    paper_side,
    verdict_text,
)
from pipeline.report.metrics import as_in_the_paper, metrics_among, paper_protocols
from pipeline.report.results import cells_of, dataset_metrics, dataset_protocol, measurement
from pipeline.report.tables import (
    DETAILS,
    Table,
    details,
    main_metric,
    mean,
    measured_columns,
    seeds_note,
    variant_name,
)

ELSEWHERE = {
    *paper.ABLATION,
    *paper.AUGMENTATION_ALONE,
    *paper.COMPONENTS,
    *paper.HYBRIDS,
    *paper.SCALING,
    *paper.BEYOND,
    *(variant for pair in paper.MODELS.values() for variant in pair),
}


def main_results(cells: pd.DataFrame, dataset: str, confidence: float) -> Table:
    """The paper's Table 1 on one dataset: every method it lists, and what this pipeline measured of it."""
    methods = list(dict.fromkeys(paper.paper_rows("main", dataset).row)) or ["TransGAN"]
    protocols = paper_protocols(dataset)
    metrics = dataset_metrics(cells, dataset) or list(protocols.values())
    columns = metrics_among({*metrics, *(protocols.values() if paper.in_paper(dataset) else ())})
    rows = []
    for method in methods:
        variant = paper.METHODS.get(method)
        values = {metric: paper.paper_value("main", method, dataset, metric) for metric in protocols}
        row = {"method": f"{method} (`{variant}`)" if len(cells_of(cells, dataset, variant)) else method}
        row |= _paper_columns(values, {kind: kind for kind in values}, ("main", "TransGAN", dataset))
        row |= {
            "protocol of the paper's value": "; ".join(dict.fromkeys(v.protocol for v in values.values() if v)) or "-",
            "source": paper.sources(values),
        }
        row |= {
            f"measured: {metric}": measurement(cells, dataset, variant, metric).text(confidence) for metric in columns
        }
        for metric, value in values.items():
            name = protocols[metric] if protocols[metric] in metrics else metrics[0]
            row[f"verdict on {metric}"] = verdict.against_paper(
                measurement(cells, dataset, variant, name),
                value,
                name,
                mean(cells_of(cells, dataset, variant), "kimg"),
                confidence,
                same_settings=as_in_the_paper(dataset_protocol(cells, dataset, name)),
            )
        budget = next((value.budget for value in values.values() if value), "")
        rows.append(row | details(cells, dataset, variant, metrics[0], budget))
    return make_table(f"{dataset}_main", f"Main results: {paper.name_of(dataset)}", rows, least=1)


def ablation(cells: pd.DataFrame, dataset: str, confidence: float) -> Table:
    """The paper's rows (A) to (E): its FIDs on three datasets, then this pipeline's metrics on `dataset`.

    Every row has a difference to the row it is meant to be compared with, not to the row above.
    """
    pairs = {entry.variant: entry for entry in COMPARISONS if entry.topic in ("attention", "component")}
    metric, rows = main_metric(cells, dataset), []
    for variant, name in [*paper.ABLATION.items(), (None, paper.CONVERGED)]:
        values = {
            f"FID {paper.name_of(column)}": paper.paper_value("ablation", name, column, "FID")
            for column in paper.ABLATION_DATASETS
        }
        row = {"paper's row": name, "variant": variant_name(cells, dataset, variant) if variant else "-"}
        row |= {f"paper: {column}": paper.value_text(value) for column, value in values.items()}
        row |= {"source": paper.sources(values)} | measured_columns(cells, dataset, variant, confidence)
        if metric:
            found = outcome(cells, dataset, pairs[variant], confidence) if variant in pairs else None
            row |= _compared(found, metric)
        own = values.get(f"FID {paper.name_of(dataset)}")
        rows.append(row | details(cells, dataset, variant, metric, own.budget if own else ""))
    note = seeds_note(cells, dataset, confidence)
    return make_table(f"{dataset}_ablation", "Ablation: the paper's rows (A) to (E)", rows, note)


def augmentation(cells: pd.DataFrame, dataset: str, confidence: float) -> Table:
    """The paper's augmentation table (CIFAR-10) with every row's verdict, and each operation alone."""
    pairs = {entry.variant: entry for entry in COMPARISONS if entry.topic == "augmentation"}
    variants = {row: variant for variant, row in paper.AUGMENTATION.items()}
    listed = list(dict.fromkeys(paper.paper_rows("augmentation").row))
    entries = [(row, variants.get(row)) for row in listed]
    entries += [(f"TransGAN + {v.removeprefix('augment_')} alone", v) for v in paper.AUGMENTATION_ALONE]
    entries.sort(key=lambda entry: not entry[0].startswith("TransGAN"))
    metric, rows = main_metric(cells, dataset), []
    for name, variant in entries:
        values = {kind: paper.paper_value("augmentation", name, "cifar10", kind) for kind in ("FID", "IS")}
        row = {"method": name, "variant": variant_name(cells, dataset, variant) if variant else "-"}
        heads = {kind: f"{kind} CIFAR-10" for kind in values}
        row |= _paper_columns(values, heads, ("augmentation", "TransGAN + DiffAug", "cifar10"))
        row |= {"source": paper.sources(values)} | measured_columns(cells, dataset, variant, confidence)
        if metric:
            found = outcome(cells, dataset, pairs[variant], confidence) if variant in pairs else None
            row |= _compared(found, metric)
        budget = values["FID"].budget if values["FID"] else ""
        rows.append(row | details(cells, dataset, variant, metric, budget))
    note = seeds_note(cells, dataset, confidence)
    return make_table(f"{dataset}_augmentation", "With and without augmentation", rows, note)


def components(cells: pd.DataFrame, dataset: str, confidence: float) -> Table:
    """Normalisation and position, one change each off the full model. The paper's own figures were not found."""
    rows = [
        {"what": what, "variant": variant_name(cells, dataset, variant)}
        | _off_full(cells, dataset, variant, confidence)
        for variant, what in paper.COMPONENTS.items()
    ]
    note = "The paper's own figures (its appendix) were not found. " + seeds_note(cells, dataset, confidence)
    return make_table(f"{dataset}_components", "Normalisation and position", rows, note)


def others(cells: pd.DataFrame, dataset: str, confidence: float) -> Table | None:
    """Variants of the matrix that no other table shows, each against the full model; None if there are none."""
    own = dict.fromkeys(cells[cells.dataset == dataset].variant)
    rows = [
        {"variant": variant} | _off_full(cells, dataset, variant, confidence)
        for variant in own
        if variant not in ELSEWHERE
    ]
    note = "Changes off the full model that the paper has no row for. " + seeds_note(cells, dataset, confidence)
    return make_table(f"{dataset}_off_full", "Off the full model", rows, note) if rows else None


def decisions(found: list[Outcome], dataset: str, note: str) -> Table:
    """Every pair of rows that the matrix holds: the paper's order, both means, the paired difference, the verdict."""
    rows = [
        {
            "compared": f"`{entry.comparison.variant}` against `{entry.comparison.base}`",
            "what differs": entry.comparison.subject,
            "the paper's order": paper_side(entry),
            f"measured: {entry.metric}": entry.means[0],
            "of the other": entry.means[1],
            "difference": entry.difference,
            "seeds": len(entry.differences),
            "verdict": verdict_text(entry),
        }
        for entry in found
    ]
    title = f"What the seeds decide: {paper.name_of(dataset)}"
    return make_table(f"{dataset}_decisions", title, rows, note, [], least=1)


def sources() -> Table:
    """Every value of the paper and of its baselines with source, status, protocol and training."""
    frame = paper.packaged("paper_results.csv")
    marks = "; ".join(paper.MEANINGS.values())
    note = f"*checked*: read in the paper or in the method's own publication; {marks}."
    return Table(name="paper_values", title="Where the paper's numbers come from", frame=frame, note=note, folded=True)


def scores_elsewhere() -> Table:
    """What others measured of the released program and its weights."""
    found = paper.paper_rows("replication").drop(columns=["table", "std", "protocol", "paper_budget"])
    return Table(name="replications", title="The released program, scored by others", frame=found, folded=True)


def _paper_columns(
    values: dict[str, paper.PaperValue | None], heads: dict[str, str], own: tuple[str, str, str]
) -> dict[str, str]:
    """A column per metric for values under TransGAN's own protocol or one that is not stated, one for all others.

    `own`: table, row and dataset of TransGAN's values. Two protocols never share a column.
    """
    other = {
        kind: value
        for kind, value in values.items()
        if value and (reference := paper.paper_value(*own, kind)) and paper.protocols_differ(value, reference)
    }
    columns = {
        f"paper: {heads[kind]}": "other protocol" if kind in other else paper.value_text(value)
        for kind, value in values.items()
    }
    said = "; ".join(f"{kind} {value.text} by {value.protocol}" for kind, value in other.items())
    return columns | {"paper: under another protocol": said or "-"}


def _compared(entry: Outcome | None, metric: str) -> dict[str, str]:
    """The columns of a row's comparison: with which row, the paired difference, the verdict."""
    if entry is None:
        return {"compared with": "-", f"difference in {metric}": "-", "verdict": "-"}
    return {
        "compared with": entry.comparison.base,
        f"difference in {metric}": entry.difference,
        "verdict": verdict_text(entry),
    }


def _off_full(cells: pd.DataFrame, dataset: str, variant: str, confidence: float) -> dict[str, str]:
    """Every metric of a variant, its difference to the full model, and what stands behind them."""
    metric = main_metric(cells, dataset)
    row = measured_columns(cells, dataset, variant, confidence)
    if metric:
        same = variant == paper.MAIN_VARIANT
        row |= _compared(None if same else off_full(cells, dataset, variant, confidence), metric)
    return row | details(cells, dataset, variant, metric)


def make_table(
    name: str, title: str, rows: list[dict], note: str = "", hidden: list[str] | None = None, least: int = 2
) -> Table:
    """A table that explains the marks of its paper values and is folded where fewer than `least` rows were measured."""
    frame = pd.DataFrame(rows)
    text = " ".join(part for part in (note, paper.explained(frame)) if part)
    table = Table(name=name, title=title, frame=frame, details=DETAILS if hidden is None else hidden, note=text)
    rows_measured = table.measured_rows
    return replace(table, folded=rows_measured is not None and rows_measured < least)
