"""Transformer and CNN side by side, sizes of TransGAN, and what goes beyond the paper."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.report import paper
from pipeline.report.comparisons import COMPARISONS, off_full, outcome, verdict_text
from pipeline.report.paper_tables import make_table
from pipeline.report.results import cells_of, load_series, measurement
from pipeline.report.statistics import NOT_RUN, difference_text, number
from pipeline.report.tables import (
    Table,
    both,
    details,
    gflop,
    main_metric,
    measured_columns,
    seconds_per_kimg,
    seeds_note,
    variant_name,
)
from pipeline.report.training_flops import flops_per_kimg, forward_flops


def models(cells: pd.DataFrame, dataset: str, confidence: float) -> Table:
    """Transformer and CNNs in one table: size, arithmetic, time, the main metric without and with augmentation."""
    metric = main_metric(cells, dataset)
    rows = []
    for model, (bare, augmented) in paper.MODELS.items():
        done = cells[(cells.dataset == dataset) & cells.variant.isin((bare, augmented)) & (cells.status == "ok")]
        pace = seconds_per_kimg(done)
        row = {
            "model": model,
            "networks": "transformer" if model == "TransGAN" else "CNN",
            "parameters G / D": both(done, "parameters_g", "parameters_d"),
            "GFLOP G / D, one image": gflop(dataset, augmented if model == "TransGAN" else bare),
            "s/kimg": number(pace) if pace else NOT_RUN,
        }
        for words, variant in (("without", bare), ("with", augmented)):
            there = len(cells_of(cells, dataset, variant)) > 0
            row[f"measured: {metric or 'nothing'}, {words} augmentation"] = (
                measurement(cells, dataset, variant, metric).text(confidence) if metric and there else NOT_RUN
            )
        pair = next(entry for entry in COMPARISONS if (entry.variant, entry.base) == (augmented, bare))
        found = outcome(cells, dataset, pair, confidence)
        rows.append(row | {"with minus without": found.difference, "verdict": verdict_text(found)})
    note = (
        "Parameters from the trainings, forward arithmetic computed from the networks' definitions (2 FLOP per "
        "multiply-add), seconds per thousand images shown to D measured. Every model has its own recipe: its "
        "optimiser, its number of D steps, its length. " + seeds_note(cells, dataset, confidence)
    )
    return make_table(f"{dataset}_models", "Transformer and CNN", rows, note, [])


def hybrids(cells: pd.DataFrame, dataset: str, confidence: float) -> Table:
    """v1's Table 1: transformer and CNN mixed, without augmentation."""
    return _early_version(cells, dataset, confidence, "hybrid_v1", paper.HYBRIDS, "Transformer and CNN mixed (v1)")


def scaling(cells: pd.DataFrame, dataset: str, confidence: float) -> Table:
    """v1's Table 4: four sizes of TransGAN."""
    return _early_version(cells, dataset, confidence, "scaling_v1", paper.SCALING, "Sizes of TransGAN (v1)")


def _early_version(
    cells: pd.DataFrame, dataset: str, confidence: float, table: str, variants: dict[str, str], title: str
) -> Table:
    """A table of the paper's first version (CIFAR-10) beside the variants that stand for its rows."""
    metric, rows = main_metric(cells, dataset), []
    for variant, name in variants.items():
        values = {kind: paper.paper_value(table, name, "cifar10", kind) for kind in ("FID", "IS")}
        row = {"paper's row": name, "variant": variant_name(cells, dataset, variant)}
        row |= {f"paper: {kind} CIFAR-10": paper.value_text(value) for kind, value in values.items()}
        row |= {"source": paper.sources(values), "GFLOP G / D, one image": gflop(dataset, variant)}
        row |= measured_columns(cells, dataset, variant, confidence)
        rows.append(row | details(cells, dataset, variant, metric))
    return make_table(f"{dataset}_{table}", title, rows, seeds_note(cells, dataset, confidence))


def beyond(
    cells: pd.DataFrame, dataset: str, results: str, recipes: dict[str, dict[str, Any]], confidence: float
) -> Table:
    """Changes the paper does not have, each against the full model: as trained, at equal time, at equal arithmetic.

    `recipes`: the `train` block of each variant's plan.
    """
    metric, rows = main_metric(cells, dataset), []
    base = cells_of(cells, dataset, paper.MAIN_VARIANT)
    base_pace = seconds_per_kimg(base[base.status == "ok"])
    networks = forward_flops(dataset, paper.MAIN_VARIANT)
    base_flops = flops_per_kimg(networks, recipes.get(paper.MAIN_VARIANT))
    for variant, what in paper.BEYOND.items():
        own = cells_of(cells, dataset, variant)
        pace = seconds_per_kimg(own[own.status == "ok"])
        flops = flops_per_kimg(networks, recipes.get(variant))
        row = {"variant": variant_name(cells, dataset, variant), "what it changes": what}
        row |= measured_columns(cells, dataset, variant, confidence)
        if metric:
            found = off_full(cells, dataset, variant, confidence)
            timed = equal_cost_differences(own, base, metric, results, "seconds")
            counted = (
                equal_cost_differences(own, base, metric, results, "kimg", flops / base_flops)
                if flops and base_flops
                else []
            )
            row |= {
                f"{metric} minus `full`, as trained": found.difference,
                "verdict": verdict_text(found),
                f"{metric} minus `full`, at equal seconds": difference_text(timed, confidence) if timed else NOT_RUN,
                f"{metric} minus `full`, at equal FLOP": difference_text(counted, confidence) if counted else NOT_RUN,
            }
        row["s/kimg, share of `full`"] = f"{pace / base_pace:.0%}" if pace and base_pace else NOT_RUN
        row["FLOP/kimg, share of `full`"] = f"{flops / base_flops:.0%}" if flops and base_flops else "not computed"
        rows.append(row | details(cells, dataset, variant, metric))
    note = (
        "Ideas from later work, on the networks of `full`; no row of the paper. *As trained* compares the ends of both "
        "trainings. *At equal seconds* and *at equal FLOP* compare both where the cheaper one ended, read from "
        "`progress.csv` where a training was measured on its way; FLOP are computed from networks and recipe. "
        + seeds_note(cells, dataset, confidence)
    )
    return make_table(f"{dataset}_beyond", "Beyond the paper", rows, note)


def equal_cost_differences(
    own: pd.DataFrame, base: pd.DataFrame, metric: str, results: str, column: str, price: float = 1.0
) -> list[float]:
    """`metric` of a variant minus that of its base at equal cost, for every shared seed that was measured on its way.

    Cost is `column` of progress.csv (seconds or kimg); one of the variant costs `price` of the base's. The metric is
    read between its two nearest measurements, where the cheaper of the two trainings ended.
    """
    found = []
    for _, cell in own.iterrows():
        partner = base[base.seed == cell.seed]
        if partner.empty:
            continue
        curves = [load_series(results, entry, "progress") for entry in (cell, partner.iloc[0])]
        known = [c[[column, metric]].dropna() for c in curves if c is not None and {column, metric} <= {*c}]
        if len(known) < 2 or any(curve.empty for curve in known):
            continue
        spent = [known[0][column] * price, known[1][column]]
        moment = min(cost.max() for cost in spent)
        first, second = (
            float(np.interp(moment, cost, curve[metric])) for cost, curve in zip(spent, known, strict=True)
        )
        found.append(first - second)
    return found
