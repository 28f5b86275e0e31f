"""The tables in which paper and measurement stand side by side, never in one column."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from pipeline.metrics.registry import PAPER_SETTINGS, paper_protocols
from pipeline.report import paper
from pipeline.report.comparisons import Outcome
from pipeline.report.content import Table
from pipeline.report.decide import FEWEST_SEEDS, against_value
from pipeline.report.formats import NOT_RUN, duration
from pipeline.report.paper import PaperValue
from pipeline.report.results import Measurement, Results, lower_is_better, protocol_text
from pipeline.report.training_flops import forward_flops

ENOUGH = 0.99  # share of a paper value's training from which on a row counts as trained like it
DETAILS = (
    "seed by seed",
    "kimg trained",
    "kimg behind the paper's value",
    "parameters G / D",
    "time per training",
    "peak memory",
    "protocol",
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table: the paper's name of it, the variant that stands for it here, the paper's values by column.

    `outcome`: its comparison; `own`: table, row and dataset of TransGAN's values, whose protocol the columns have.
    """

    name: str
    variant: str | None
    values: dict[str, PaperValue | None] = field(default_factory=dict)
    outcome: Outcome | None = None
    more: dict[str, Any] = field(default_factory=dict)


def side_by_side(results: Results, dataset: str, name: str, title: str, rows: list[Row], *, first: str,
                 note: str = "", own: tuple[str, str, str] | None = None, all_metrics: bool = False,
                 least: int = 2) -> Table:  # fmt: skip
    """The table of `rows`, folded where fewer than `least` of them were measured.

    `first`: heading of the names; `own`: table, row and dataset of TransGAN's values. Columns of the paper hold values
    under their protocol or one that is not stated; other protocols have a column of their own.
    """
    metrics, lines = results.metrics(dataset), []
    for row in rows:
        there = len(results.of(dataset, row.variant)) > 0 if row.variant else False
        line: dict[str, Any] = {first: row.name}
        line["variant"] = (row.variant if there else "not in this matrix") if row.variant else "-"
        line |= _paper_columns(row.values, own) | row.more
        line |= {f"measured: {m}": results.measurement(dataset, row.variant, m).text for m in metrics}
        if any(entry.outcome for entry in rows):
            found = row.outcome
            line["against"] = found.comparison.base if found else "-"
            line["ratio"] = found.ratio if found else "-"
            line["as in the paper?"] = found.answer if found else "-"
        budget = next((value.budget for value in row.values.values() if value), "")
        lines.append(line | details(results, dataset, row.variant, budget))
    hidden = DETAILS if all_metrics else (*DETAILS, *(f"measured: {metric}" for metric in metrics[1:]))
    frame = pd.DataFrame(lines)
    note = " ".join(part for part in (note, paper.explained(frame)) if part)
    return fold(Table(name=f"{dataset}_{name}", title=title, frame=frame, note=note, hidden=hidden), least)


def fold(table: Table, least: int) -> Table:
    """The table, closed at first where fewer than `least` or half of its rows were measured, as its title then says."""
    measured = table.measured_rows
    if measured >= max(least, len(table.frame) / 2):
        return table
    return replace(table, folded=True, title=f"{table.title} ({measured or 'nothing'} measured)")


def details(results: Results, dataset: str, variant: str | None, budget: str = "") -> dict[str, str]:
    """What stands behind a row. `budget`: the training behind its own paper value."""
    variant = variant or ""
    kimg, seconds = (results.mean(dataset, variant, fact) for fact in ("kimg", "seconds"))
    done, metric = results.done(dataset, variant), results.main_metric(dataset)
    memory = done.peak_memory_mib.max() if "peak_memory_mib" in done else None
    values = (
        results.measurement(dataset, variant, metric).seeds,
        (f"{kimg:,.4g}" if kimg else "imported") if len(done) else NOT_RUN,
        budget or "not known",
        parameters(results, dataset, variant),
        duration(seconds) if seconds else NOT_RUN,
        f"{memory:,.0f} MiB" if memory and memory == memory else NOT_RUN,
        protocol_text(results.protocol(dataset, metric)) if len(done) and metric else NOT_RUN,
    )
    return dict(zip(DETAILS, values, strict=True))


def parameters(results: Results, dataset: str, *variants: str) -> str:
    """`1,000 / 200`: parameters of G and D of the first variant that was trained."""
    for variant in variants:
        pair = [results.mean(dataset, variant, f"parameters_{network}") for network in "gd"]
        if None not in pair:
            return " / ".join(f"{count:,.0f}" for count in pair)
    return NOT_RUN


def gflop(dataset: str, variant: str) -> str:
    """Computed forward GFLOP of G / D for one image; a variant whose networks were not computed says so."""
    found = forward_flops(dataset, variant)
    return " / ".join(f"{value / 1e9:,.3g}" for value in found) if found else "not computed"


def claims_here(outcomes: list[Outcome], dataset: str, note: str) -> Table:
    """The first table of the report: what the paper says of two rows, what was measured, and whether it holds."""
    rows = []
    for entry in outcomes:
        own, base = entry.comparison.variant, entry.comparison.base
        found, improves = entry.verdict, entry.paper.improves
        relation = {True: "better than", False: "worse than", None: "against"}[improves]
        subject = entry.comparison.subject
        ratio = "" if np.isnan(found.ratio) else f"; ratio {entry.ratio}"
        rows.append(
            {
                "claim": f"{subject[:1].upper()}{subject[1:]}: `{own}` {relation} `{base}`",
                "paper (source)": entry.paper.text,
                "measured": f"{entry.texts[0]} / {entry.texts[1]}{ratio}",
                "same?": entry.answer,
                "variant": own, "base": base, "verdict": str(found.kind), "ratio": found.ratio, "low": found.low,
                "high": found.high, "p, Holm": found.p, "p of equivalence": found.p_equivalent,
                "trainings": " / ".join(map(str, found.seeds)), "trainings needed": found.seeds_needed,
            }
        )  # fmt: skip
    frame = pd.DataFrame(rows)
    frame = frame.map(lambda value: float(f"{value:.4g}") if isinstance(value, float) else value)
    title = f"What the paper says, and what was measured: {paper.name_of(dataset)}"
    return Table(name=f"{dataset}_decisions", title=title, frame=frame, note=note, hidden=tuple(frame.columns[4:]))


def overview(results: Results) -> Table:
    """The paper's own results in one table: a row per data set, with what was measured here under the same protocol."""
    rows = []
    for dataset in dict.fromkeys([*(d for d in results.datasets if paper.in_paper(d)), *paper.MAIN_DATASETS]):
        values = {kind: paper.paper_value("main", "TransGAN", dataset, kind) for kind in ("FID", "IS")}
        row = {"data set": paper.name_of(dataset)} | _paper_columns(values, None)
        for kind, metric in paper_protocols(dataset).items():
            row[f"measured: {kind}"] = results.measurement(dataset, paper.MAIN_VARIANT, metric).text
        rows.append(row)
    frame = pd.DataFrame(rows)
    note = f"TransGAN as the paper reports it; `{paper.MAIN_VARIANT}` as trained here. {paper.explained(frame)}"
    return Table(name="main_overview", title="TransGAN on the paper's data sets", frame=frame, note=note.strip())


def main_results(results: Results, dataset: str) -> Table:
    """The paper's Table 1 on one dataset: every method it lists, and what this pipeline measured of it."""
    protocols, metrics, rows = paper_protocols(dataset), results.metrics(dataset), []
    for method in list(dict.fromkeys(paper.paper_rows("main", dataset).row)) or ["TransGAN"]:
        variant = paper.METHODS.get(method)
        values = {metric: paper.paper_value("main", method, dataset, metric) for metric in protocols}
        more = {"protocol of the paper's value": "; ".join(dict.fromkeys(v.protocol for v in values.values() if v))}
        if not metrics:
            more |= {f"measured: {metric}": NOT_RUN for metric in protocols.values()}
        for kind, value in values.items():
            metric = protocols[kind] if protocols[kind] in metrics else next(iter(metrics), protocols[kind])
            more[f"verdict on {kind}"] = against_paper(results, dataset, variant, metric, value)
        rows.append(Row(name=method, variant=variant, values=values, more=more))
    title = f"Main results: {paper.name_of(dataset)}"
    own = ("main", "TransGAN", dataset)
    return side_by_side(results, dataset, "main", title, rows, first="method", own=own, all_metrics=True, least=1)


def against_paper(results: Results, dataset: str, variant: str | None, metric: str, value: PaperValue | None) -> str:
    """Verdict of a row against the paper's own value, in words; without one, why there is none."""
    measured = results.measurement(dataset, variant, metric)
    mark = f", paper value {value.mark}" if value and value.mark else ""
    if measured.values.empty:
        same = value is not None and value.value is None and set(measured.troubles.values()) == {"oom"}
        return "as in the paper" + mark if same else measured.trouble
    if value is None:
        return "no paper value"
    facts = results.protocol(dataset, metric) or {}
    if not value.measured_as(metric) or any(facts.get(name, fact) != fact for name, fact in PAPER_SETTINGS.items()):
        return f"no verdict: {metric} is not the paper's protocol"
    if value.value is None:
        return "contrary to the paper: it ran out of memory" + mark
    off, kimg = f"{measured.values.mean() - value.value:+.2f}", results.mean(dataset, variant or "", "kimg")
    return _verdict(measured, value, metric, kimg, off, results.confidence) + mark * ("verdict" not in off)


def _verdict(
    measured: Measurement, value: PaperValue, metric: str, kimg: float | None, off: str, confidence: float
) -> str:
    """`equivalent (+0.10)`, or which training is missing for a verdict."""
    if not value.kimg or value.value is None:
        return f"no verdict: the paper's training length is not known ({off})"
    if kimg is None or kimg < ENOUGH * value.kimg:
        return f"no verdict: {(kimg or 0) / value.kimg:.1%} of the paper's training ({off})"
    if len(measured.values) < FEWEST_SEEDS:
        return f"no verdict: {len(measured.values)} of {FEWEST_SEEDS} trainings ({off})"
    kind = against_value(
        list(measured.values), value.value, lower_is_better=lower_is_better(metric), confidence=confidence
    )
    return f"{kind} ({off})"


def _paper_columns(values: dict[str, PaperValue | None], own: tuple[str, str, str] | None) -> dict[str, str]:
    """A column per value, one for values of another protocol than TransGAN's `own`, one for all sources."""
    if not values:
        return {}
    other = {
        head: value
        for head, value in values.items()
        if own
        and value
        and (ours := paper.paper_value(*own, head.partition(" ")[0]))
        and paper.protocols_differ(value, ours)
    }
    columns = {
        f"paper: {head}": "other protocol" if head in other else paper.value_text(value)
        for head, value in values.items()
    }
    said = "; ".join(f"{head.partition(' ')[0]} {value.text} by {value.protocol}" for head, value in other.items())
    if own:
        columns["paper: under another protocol"] = said or "-"
    return columns | {"source": paper.sources(values)}
