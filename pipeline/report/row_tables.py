"""The tables of one data set: the paper's ablation and augmentation, models, changes off the full model and beyond."""

import numpy as np
import pandas as pd

from pipeline.report import paper
from pipeline.report.comparisons import Outcome, of_pair
from pipeline.report.content import Table
from pipeline.report.formats import NOT_RUN
from pipeline.report.paper import PaperValue
from pipeline.report.results import Results
from pipeline.report.tables import Row, fold, gflop, parameters, side_by_side
from pipeline.report.training_flops import flops_per_kimg, forward_flops


def ablation(results: Results, dataset: str, outcomes: list[Outcome]) -> Table:
    """The paper's rows (A) to (E): its FIDs on three datasets, then this pipeline's metrics on `dataset`."""
    compared = {e.comparison.variant: e for e in outcomes if e.comparison.topic in ("attention", "component")}
    rows = [
        Row(
            name=name, variant=variant, outcome=compared.get(variant or ""),
            values={
                f"FID {paper.name_of(column)}": paper.paper_value("ablation", name, column, "FID")
                for column in paper.ABLATION_DATASETS
            },
        )
        for variant, name in [*paper.ABLATION.items(), (None, paper.CONVERGED)]
    ]  # fmt: skip
    title = "Ablation: the paper's rows (A) to (E)"
    return side_by_side(results, dataset, "ablation", title, rows, first="paper's row")


def augmentation(results: Results, dataset: str, outcomes: list[Outcome]) -> Table:
    """The paper's augmentation table (CIFAR-10) with every row's verdict, and each operation alone."""
    compared = {e.comparison.variant: e for e in outcomes if e.comparison.topic == "augmentation"}
    variants = {row: variant for variant, row in paper.AUGMENTATION.items()}
    named = [(row, variants.get(row)) for row in dict.fromkeys(paper.paper_rows("augmentation").row)]
    named += [(f"TransGAN + {v.removeprefix('augment_')} alone", v) for v in paper.AUGMENTATION_ALONE]
    rows = [
        Row(name=name, variant=variant, values=_both("augmentation", name), outcome=compared.get(variant or ""))
        for name, variant in sorted(named, key=lambda entry: not entry[0].startswith("TransGAN"))
    ]
    own = ("augmentation", "TransGAN + DiffAug", "cifar10")
    return side_by_side(
        results, dataset, "augmentation", "With and without augmentation", rows, first="method", own=own
    )


def components(results: Results, dataset: str, outcomes: list[Outcome]) -> Table:
    """Normalisation and position, one change each off the full model."""
    rows = [
        Row(name=what, variant=variant, outcome=of_pair(outcomes, variant, paper.MAIN_VARIANT))
        for variant, what in paper.COMPONENTS.items()
    ]
    note = "The paper's own figures (its appendix) were not found."
    return side_by_side(results, dataset, "components", "Normalisation and position", rows, first="what", note=note)


def others(results: Results, dataset: str, outcomes: list[Outcome]) -> Table | None:
    """Variants of the matrix that no other table shows, each against the full model; None if there are none."""
    elsewhere = {
        *paper.ABLATION, *paper.AUGMENTATION_ALONE, *paper.COMPONENTS, *paper.HYBRIDS, *paper.SCALING, *paper.BEYOND,
        *(variant for pair in paper.MODELS.values() for variant in pair),
    }  # fmt: skip
    rows = [
        Row(name=variant.replace("_", " "), variant=variant, outcome=of_pair(outcomes, variant, paper.MAIN_VARIANT))
        for variant in results.variants(dataset)
        if variant not in elsewhere
    ]
    note = "Changes off the full model that the paper has no row for."
    return (
        side_by_side(results, dataset, "off_full", "Off the full model", rows, first="what", note=note)
        if rows
        else None
    )


def early_versions(results: Results, dataset: str) -> list[Table]:
    """The paper's first version (CIFAR-10): four sizes of TransGAN; transformer and CNN mixed, without augmentation."""
    listed = {
        "scaling_v1": ("Sizes of TransGAN (v1)", paper.SCALING),
        "hybrid_v1": ("Transformer and CNN mixed (v1)", paper.HYBRIDS),
    }
    return [
        side_by_side(
            results, dataset, table, title,
            [
                Row(name=name, variant=variant, values=_both(table, name),
                    more={"GFLOP G / D, one image": gflop(dataset, variant)})
                for variant, name in variants.items()
            ],
            first="paper's row",
        )
        for table, (title, variants) in listed.items()
    ]  # fmt: skip


def models(results: Results, dataset: str, outcomes: list[Outcome]) -> Table:
    """Transformer and CNNs in one table: size, arithmetic, time, the main metric without and with augmentation."""
    metric, rows = results.main_metric(dataset), []
    for model, pair in paper.MODELS.items():
        pace, found = results.pace(dataset, *pair), of_pair(outcomes, pair[1], pair[0])
        row = {
            "model": model,
            "networks": "transformer" if model == "TransGAN" else "CNN",
            "parameters G / D": parameters(results, dataset, *pair),
            "GFLOP G / D, one image": gflop(dataset, pair[model == "TransGAN"]),
            "s/kimg": f"{pace:.2g}" if pace else NOT_RUN,
        }
        for words, variant in zip(("without", "with"), pair, strict=True):
            row[f"measured: {metric or 'nothing'}, {words} augmentation"] = results.measurement(
                dataset, variant, metric
            ).text
        rows.append(
            row
            | {
                "ratio with / without": found.ratio if found else "-",
                "as in the paper?": found.answer if found else "-",
            }
        )
    note = (
        "Parameters are from the trainings, arithmetic from the networks' definitions (2 FLOP per multiply-add), time "
        "per thousand images shown to D is measured. Each model has its own recipe."
    )
    return fold(Table(name=f"{dataset}_models", title="Transformer and CNN", frame=pd.DataFrame(rows), note=note), 2)


def beyond(results: Results, dataset: str, outcomes: list[Outcome]) -> Table:
    """Changes the paper does not have, each against the full model: as trained, at equal time, at equal arithmetic."""
    metric, main, rows = results.main_metric(dataset), paper.MAIN_VARIANT, []
    networks = forward_flops(dataset, main)
    base_pace, base_flops = results.pace(dataset, main), flops_per_kimg(networks, results.recipe(dataset, main))
    for variant, what in paper.BEYOND.items():
        pace, flops = results.pace(dataset, variant), flops_per_kimg(networks, results.recipe(dataset, variant))
        more = {}
        for words, column, price in (
            ("seconds", "seconds", 1.0), ("FLOP", "kimg", flops / base_flops if flops and base_flops else None),
        ):  # fmt: skip
            ratio = equal_cost_ratio(results, dataset, variant, metric, column, price) if price and metric else None
            more[f"ratio at equal {words}"] = f"{ratio:.2f}" if ratio else "not measured"
        more["s/kimg, share of `full`"] = f"{pace / base_pace:.0%}" if pace and base_pace else NOT_RUN
        more["FLOP/kimg, share of `full`"] = f"{flops / base_flops:.0%}" if flops and base_flops else "not computed"
        rows.append(Row(name=what, variant=variant, outcome=of_pair(outcomes, variant, main), more=more))
    note = (
        "Ideas from later work, on the networks of `full`. *Ratio* compares the ends of both trainings. *At equal "
        "seconds* and *at equal FLOP* compare both where the cheaper one ended, between two measurements of each on "
        "its way; without such measurements nothing is said."
    )
    return side_by_side(
        results, dataset, "beyond", "Beyond the paper", rows, first="what it changes", note=note, least=1
    )


def equal_cost_ratio(
    results: Results, dataset: str, variant: str, metric: str, column: str, price: float = 1.0
) -> float | None:
    """`metric` of a variant / that of the full model at equal cost, as a ratio of geometric means over trainings.

    Cost is `column` of progress.csv (seconds or kimg); one of the variant costs `price` of the full model's. The metric
    is read where the cheaper training ended, between its two nearest measurements; a training that was not measured on
    both sides of that cost is left out. None where a row has none.
    """
    curves: dict[str, list[pd.DataFrame]] = {}
    for name, factor in ((variant, price), (paper.MAIN_VARIANT, 1.0)):
        for _, cell in results.done(dataset, name).iterrows():
            curve = results.series(cell, "progress")
            if curve is not None and {column, metric} <= {*curve}:
                known = curve[[column, metric]].dropna()
                curves.setdefault(name, []).append(known.assign(**{column: known[column] * factor}))
    if len(curves) < 2:
        return None
    moment = min(float(np.mean([curve[column].max() for curve in runs])) for runs in curves.values())
    logs = []
    for runs in curves.values():
        # An end that lies a little before the mean of all ends is that end.
        reached = [min(moment, curve[column].max()) for curve in runs]
        at = [
            float(np.interp(cost, curve[column], curve[metric]))
            for cost, curve in zip(reached, runs, strict=True)
            if curve[column].min() <= cost and cost >= 0.9 * moment
        ]
        if not at or min(at) <= 0:
            return None
        logs.append(float(np.mean(np.log(at))))
    return float(np.exp(logs[0] - logs[1]))


def _both(table: str, row: str) -> dict[str, PaperValue | None]:
    return {f"{kind} CIFAR-10": paper.paper_value(table, row, "cifar10", kind) for kind in ("FID", "IS")}
