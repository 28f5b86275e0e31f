"""The tables in which paper and measurement stand side by side, never in one column."""

from dataclasses import dataclass, field

import pandas as pd

from pipeline.report import paper, verdict
from pipeline.report.cells import NOT_RUN, Measurement, cells_of, dataset_metrics, dataset_protocol, in_words, measurement
from pipeline.report.metrics import PAPER_PROTOCOLS, as_in_the_paper, metrics_among
from pipeline.report.statistics import number, shown, signed


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as it is written to tables/<name>.csv. `details`: columns that a page may fold away."""

    name: str
    title: str
    frame: pd.DataFrame
    details: list[str] = field(default_factory=list)
    note: str = ""


def measured(row: Measurement, confidence: float) -> str:
    """Mean and interval over seeds with what befell the other seeds, or what happened instead."""
    if row.values.empty:
        return row.trouble
    return shown(row.values, confidence) + (f" [{row.trouble}]" if row.troubles else "")


def details(cells: pd.DataFrame, dataset: str, variant: str | None, metric: str | None) -> dict[str, str]:
    """What stands behind a row: every seed, training against the paper's, size, time, memory, protocol."""
    own = cells_of(cells, dataset, variant)
    done = own[own.status == "ok"]
    row = measurement(cells, dataset, variant, metric) if metric else Measurement(pd.Series(dtype=float), {})
    seeds = {**{seed: number(value) for seed, value in row.values.items()}, **row.troubles}
    kimg = f"{done.kimg.mean():,.4g}" if len(done) else NOT_RUN
    return {
        "seed by seed": "; ".join(f"seed {seed}: {seeds[seed]}" for seed in sorted(seeds)) or NOT_RUN,
        "kimg trained / paper's": f"{kimg} / {budget(dataset)}",
        "parameters G / D": _both(done, "parameters_g", "parameters_d"),
        "hours per training": hours(done),
        "peak memory": peak_memory(done),
        "protocol": in_words(dataset_protocol(cells, dataset, metric)) if len(done) and metric else NOT_RUN,
    }


DETAILS = ["seed by seed", "parameters G / D", "hours per training", "peak memory", "protocol"]


def named(cells: pd.DataFrame, dataset: str, variant: str) -> str:
    """The variant, if it is in the matrix: the paper's rows stay when a variant leaves it, its name does not."""
    return variant if len(cells_of(cells, dataset, variant)) else "not in this matrix"


def budget(dataset: str) -> str:
    """The paper's training length, in kimg."""
    found = paper.paper_kimg(dataset)
    return f"{found:,.0f}" if found else "not known" if paper.in_paper(dataset) else "none"


def hours(done: pd.DataFrame) -> str:
    """Mean over the cells that were trained, not copied from a twin."""
    seconds = mean(trained_cells(done), "seconds")
    return number(seconds / 3600) if seconds else NOT_RUN if done.empty else "not measured"


def main_results(cells: pd.DataFrame, dataset: str, confidence: float) -> Table:
    """The paper's Table 1 on one dataset: every method it lists, and what this pipeline measured for its own."""
    found = paper.packaged("paper_results.csv")
    listed = found[(found.table == "main") & (found.dataset == dataset)]
    methods = list(dict.fromkeys(listed.row)) or ["TransGAN"]
    metrics = dataset_metrics(cells, dataset) or list(PAPER_PROTOCOLS.values())
    columns = metrics_among({*metrics, *(PAPER_PROTOCOLS.values() if len(listed) else ())})
    rows = []
    for method in methods:
        variant = paper.MAIN_VARIANT if method == "TransGAN" else None
        row = {"method": f"TransGAN (`{variant}`)" if len(cells_of(cells, dataset, variant)) else method}
        row |= {f"paper: {metric}": paper.paper_text("main", method, dataset, metric) for metric in PAPER_PROTOCOLS}
        row |= {f"measured: {metric}": measured(measurement(cells, dataset, variant, metric), confidence) for metric in columns}
        for metric, protocol in PAPER_PROTOCOLS.items():
            value = paper.paper_value("main", method, dataset, metric)
            measure = protocol if protocol in metrics else metrics[0]
            row[f"verdict on {metric}"] = verdict.against_paper(
                measurement(cells, dataset, variant, measure), value, measure,
                comparable=measure == protocol and as_in_the_paper(dataset_protocol(cells, dataset, measure)), kimg=mean(cells_of(cells, dataset, variant), "kimg"),
                kimg_paper=paper.paper_kimg(dataset), confidence=confidence,
            )  # fmt: skip
        rows.append(row | details(cells, dataset, variant, metrics[0]))
    return Table(name=f"{dataset}_main", title=f"Main results: {paper.name_of(dataset)}", frame=pd.DataFrame(rows), details=DETAILS)


def ablation(cells: pd.DataFrame, dataset: str, confidence: float) -> Table:
    """The paper's cumulative rows (A) to (E): its FIDs on three datasets, then this pipeline's metrics on `dataset`."""
    metrics, rows, above = dataset_metrics(cells, dataset), [], None
    for variant, name in [*paper.ABLATION.items(), (None, paper.CONVERGED)]:
        values = {column: paper.paper_value("ablation", name, column, "FID") for column in paper.ABLATION_DATASETS}
        row = {"paper's row": name, "variant": named(cells, dataset, variant) if variant else "-"}
        row |= {f"paper: FID {paper.name_of(column)}": value.text if value else paper.NOTHING for column, value in values.items()}
        row |= {f"measured: {metric}": measured(measurement(cells, dataset, variant, metric), confidence) for metric in metrics}
        if metrics:
            first = metrics[0]
            pairs = differences(cells, dataset, variant, above[0] if above else None, first)
            steps = [(value.value - above[1][key].value, value.mark or above[1][key].mark) for key, value in values.items() if above and _known(value, above[1][key])]
            row[f"{first} minus the row above"] = subtracted(cells, dataset, variant, above[0] if above else None, first, confidence)
            own = measurement(cells, dataset, variant, first)
            row["verdict"] = "first row" if not above else verdict.step(own, pairs, first, [value for value, _ in steps], [mark for _, mark in steps], confidence)
        rows.append(row | details(cells, dataset, variant, metrics[0] if metrics else None))
        above = (variant, values)
    return Table(name=f"{dataset}_ablation", title="Ablation: the paper's rows (A) to (E)", frame=pd.DataFrame(rows), details=DETAILS)


def _known(value: paper.PaperValue | None, other: paper.PaperValue | None) -> bool:
    return value is not None and other is not None and value.value is not None and other.value is not None


def differences(cells: pd.DataFrame, dataset: str, variant: str | None, other: str | None, metric: str) -> list[float]:
    """`metric` of `variant` minus that of `other`, for every seed that has both."""
    if variant is None or other is None:
        return []
    return list((measurement(cells, dataset, variant, metric).values - measurement(cells, dataset, other, metric).values).dropna())


def subtracted(cells: pd.DataFrame, dataset: str, variant: str | None, other: str | None, metric: str, confidence: float) -> str:
    """The difference with its interval, or why there is none."""
    if other is None or variant == other:
        return "-"
    pairs = differences(cells, dataset, variant, other, metric)
    if pairs:
        return signed(pairs, confidence)
    own, base = measurement(cells, dataset, variant, metric), measurement(cells, dataset, other, metric)
    return own.trouble if own.values.empty else f"`{other}`: {base.trouble}"


def augmentation(cells: pd.DataFrame, dataset: str, confidence: float) -> Table:
    """The paper's augmentation table (CIFAR-10), and each operation alone; differences to no augmentation."""
    found = paper.packaged("paper_results.csv")
    variants = {row: variant for variant, row in paper.AUGMENTATION.items()}
    listed = [(row, variants.get(row)) for row in dict.fromkeys(found[found.table == "augmentation"].row)]
    entries = [entry for entry in listed if entry[1]] + [(f"TransGAN + {v.removeprefix('augment_')} alone", v) for v in paper.AUGMENTATION_ALONE]
    entries += [entry for entry in listed if not entry[1]]
    rows = []
    for name, variant in entries:
        row = {"method": name, "variant": named(cells, dataset, variant) if variant else "-"}
        row |= {f"paper: {metric} CIFAR-10": paper.paper_text("augmentation", name, "cifar10", metric) for metric in ("FID", "IS")}
        rows.append(row | _compared(cells, dataset, variant, "no_augment", confidence))
    return Table(name=f"{dataset}_augmentation", title="Augmentation", frame=pd.DataFrame(rows), details=DETAILS)


def components(cells: pd.DataFrame, dataset: str, confidence: float) -> Table:
    """Normalisation and position, one change each off the full model. The paper's own figures were not found."""
    rows = [
        {"what": what, "variant": named(cells, dataset, variant), "paper": "not found (appendix)"} | _compared(cells, dataset, variant, paper.MAIN_VARIANT, confidence)
        for variant, what in paper.COMPONENTS.items()
    ]
    return Table(name=f"{dataset}_components", title="Normalisation and position", frame=pd.DataFrame(rows), details=DETAILS)


def others(cells: pd.DataFrame, dataset: str, confidence: float) -> Table:
    """Variants of the matrix that no table above shows: the paper has no such rows."""
    elsewhere = {*paper.ABLATION, *paper.AUGMENTATION, *paper.AUGMENTATION_ALONE, *paper.COMPONENTS}
    variants = [variant for variant in dict.fromkeys(cells[cells.dataset == dataset].variant) if variant not in elsewhere]
    rows = [{"variant": variant, "paper": "no such row"} | _compared(cells, dataset, variant, paper.MAIN_VARIANT, confidence) for variant in variants]
    return Table(name=f"{dataset}_other_variants", title="Other variants", frame=pd.DataFrame(rows), details=DETAILS)


def _compared(cells: pd.DataFrame, dataset: str, variant: str | None, base: str, confidence: float) -> dict[str, str]:
    """Every metric of a row, the main one's difference to the row `base`, and what stands behind them."""
    metrics = dataset_metrics(cells, dataset)
    row = {f"measured: {metric}": measured(measurement(cells, dataset, variant, metric), confidence) for metric in metrics}
    if metrics and len(cells_of(cells, dataset, base)):
        row[f"{metrics[0]} minus `{base}`"] = subtracted(cells, dataset, variant, base, metrics[0], confidence)
    return row | details(cells, dataset, variant, metrics[0] if metrics else None)


def mean(frame: pd.DataFrame, column: str) -> float | None:
    """Mean of what is there, None where nothing is."""
    values = frame[column].dropna() if column in frame else []
    return float(values.mean()) if len(values) else None


def trained_cells(done: pd.DataFrame) -> pd.DataFrame:
    """Cells that were trained, not copied from a twin."""
    return done[done.copied_from.isna()] if "copied_from" in done else done


def _both(done: pd.DataFrame, first: str, second: str) -> str:
    values = [mean(done, first), mean(done, second)]
    return " / ".join(f"{value:,.0f}" for value in values) if None not in values else NOT_RUN


def peak_memory(done: pd.DataFrame) -> str:
    """Largest of the cells', in MiB."""
    if done.empty:
        return NOT_RUN
    found = done.peak_memory_mib.dropna() if "peak_memory_mib" in done else []
    return f"{found.max():,.0f} MiB" if len(found) else "not measured"
