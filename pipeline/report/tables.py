"""The tables in which paper and measurement stand side by side, never in one column; rows.csv lists their rows."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import pandas as pd

from pipeline.metrics.registry import PAPER_PROTOCOLS, PAPER_SETTINGS
from pipeline.report import paper
from pipeline.report.cost import flops_per_kimg, forward_flops
from pipeline.report.decide import FEWEST_SEEDS, against_value
from pipeline.report.document import Table, caption
from pipeline.report.formats import CONFIDENCE, NOT_RUN
from pipeline.report.paper import PaperValue
from pipeline.report.results import Results, lower_is_better
from pipeline.report.row_pairs import OFF_FULL, Outcome

ENOUGH = 0.99  # share of a paper value's training from which on a row counts as trained like it
ABSENT = ("not run", "not reported", "not measured", "not in this matrix", "other protocol", "-")  # no measurement


def size(results: Results, dataset: str, row: Any) -> dict[str, str]:
    """Parameters of a row's training, computed arithmetic of its networks (or those it is compared with), and pace."""
    counts = [results.mean(dataset, row.variant, f"parameters_{network}") for network in "gd"]
    flops = forward_flops(dataset, row.variant) or forward_flops(dataset, row.against)
    pace = results.mean(dataset, row.variant, "pace")
    return {
        "parameters G / D": NOT_RUN if None in counts else " / ".join(f"{count:,.0f}" for count in counts),
        "GFLOP G / D, one image": " / ".join(f"{f / 1e9:,.3g}" for f in flops) if flops else "not computed",
        "s/kimg": f"{pace:.2g}" if pace else NOT_RUN,
    }


def shares(results: Results, dataset: str, row: Any) -> dict[str, str]:
    """Time and arithmetic per thousand images of a row with the networks of `full`, as shares of those of `full`."""
    networks, names = forward_flops(dataset, paper.MAIN_VARIANT), (row.variant, paper.MAIN_VARIANT)
    recipes = [results.training(dataset, name).get("train") for name in names]
    pace, base_pace = (results.mean(dataset, name, "pace") for name in names)
    flops, base_flops = (flops_per_kimg(networks, recipe) for recipe in recipes)
    return {
        "s/kimg, share of `full`": f"{pace / base_pace:.0%}" if pace and base_pace else NOT_RUN,
        "FLOP/kimg, share of `full`": f"{flops / base_flops:.0%}" if flops and base_flops else "not computed",
    }


CIFAR = {f"{kind} CIFAR-10": ("cifar10", kind) for kind in ("FID", "IS")}  # columns of the paper's tables
ABLATION = {f"FID {paper.name_of(name)}": (name, "FID") for name in paper.datasets_of("ablation")}


def side_by_side(
    results: Results, dataset: str, name: str, rows: pd.DataFrame, compared: dict[str, Outcome], *,
    first: str, columns: Mapping[str, tuple[str, str]] = MappingProxyType({}), own: str = "",
    more: Callable[[Results, str, Any], dict[str, str]] = lambda *_: {}, least: int = 2, whole: bool = False,
) -> Table:  # fmt: skip
    """The table of `rows` (columns row, variant, against), folded where fewer than `least` or half were measured.

    `compared`: outcomes by variant. `first`: heading of the rows' names. `columns`: of the paper, heading -> its data
    set and metric, under the protocol of `own`, TransGAN's row, or one that is not stated. `more`: columns of this
    pipeline. `whole`: all metrics are shown, not the main one alone.
    """
    metrics, lines, measured = results.metrics(dataset), [], 0
    for row in rows.itertuples():
        absent = row.variant and not len(results.of(dataset, row.variant))
        line = {first: row.row, "variant": "not in this matrix" if absent else row.variant or "-"}
        line |= paper_columns(name, row.row, columns, own) | more(results, dataset, row)
        line |= {f"measured: {m}": results.measurement(dataset, row.variant, m).text for m in metrics}
        measured += any(k.startswith("measured") and not text.startswith(ABSENT) for k, text in line.items())
        if compared:
            found = compared.get(row.variant)
            line["against"] = found.comparison.base if found else "-"
            line["ratio"] = found.verdict.ratio_text if found else "-"
            line["as in the paper?"] = found.answer if found else "-"
        lines.append(line)
    frame, folded = pd.DataFrame(lines), measured < max(least, len(lines) / 2)
    words = caption(name, dataset=paper.name_of(dataset))
    words["title"] += f" ({measured or 'nothing'} measured)" * folded
    hidden = () if whole else tuple(f"measured: {metric}" for metric in metrics[1:])
    return Table(name=f"{dataset}_{name}", frame=frame, folded=folded, hidden=hidden, **words)


def paper_columns(table: str, row: str, places: Mapping[str, tuple[str, str]], own: str = "") -> dict[str, str]:
    """A column per value of the paper, one for values of another protocol than TransGAN's own, one for all sources."""
    columns, others, sources = {}, [], {}
    for head, (dataset, metric) in places.items():
        value = paper.paper_value(table, row, dataset, metric)
        columns[f"paper: {head}"] = value.text if value else "not reported"
        if value:
            sources[head] = value.source
            if value.differs_from(paper.paper_value(table, own, dataset, metric)):
                columns[f"paper: {head}"] = "other protocol"
                others.append(f"{metric} {value.text} by {value.protocol}")
    if own:
        columns["paper: under another protocol"] = "; ".join(others) or "-"
    shared = len({*sources.values()}) == 1
    texts = {*sources.values()} if shared else [f"{head}: {source}" for head, source in sources.items()]
    return columns | ({"source": "; ".join(texts) or "-"} if places else {})


LAYOUTS = {
    "ablation": partial(side_by_side, first="paper's row", columns=ABLATION),
    "augmentation": partial(side_by_side, first="method", columns=CIFAR, own="TransGAN + DiffAug", more=size),
    "components": partial(side_by_side, first="what"),
    "beyond": partial(side_by_side, first="what it changes", more=shares, least=1),
    "scaling_v1": partial(side_by_side, first="paper's row", columns=CIFAR, more=size),
    "hybrid_v1": partial(side_by_side, first="paper's row", columns=CIFAR, more=size),
    OFF_FULL: partial(side_by_side, first="what"),
}  # fmt: skip


def row_table(results: Results, dataset: str, name: str, outcomes: list[Outcome]) -> Table | None:
    """A table of LAYOUTS for a data set; None for one without rows."""
    rows = paper.packaged("rows.csv")
    rows = rows[rows.table == name]
    compared = {entry.comparison.variant: entry for entry in outcomes if entry.comparison.table == name}
    if name == OFF_FULL:
        found = [{"row": entry.comparison.subject, "variant": variant} for variant, entry in compared.items()]
        rows = pd.DataFrame(found).assign(against=paper.MAIN_VARIANT)
    return LAYOUTS[name](results, dataset, name, rows, compared) if len(rows) else None


def decisions(results: Results, dataset: str, outcomes: list[Outcome], name: str, title: str, *,
              folded: bool = False) -> Table | None:  # fmt: skip
    """What the paper says of two rows, what was measured, and whether it holds; None without comparisons."""
    if not outcomes:
        return None
    rows, metric = [], str(results.main_metric(dataset))
    better = "lower" if lower_is_better(metric) else "higher"
    words = caption("decisions", title=title, metric=metric, better=better, confidence=CONFIDENCE)
    for entry in outcomes:
        own, base, subject, _ = entry.comparison
        found = entry.verdict
        relation = {True: "better than", False: "worse than", None: "against"}[entry.improves]
        ratio = "" if found.ratio_text == "-" else f"; ratio {found.ratio_text}"
        rows.append(
            {
                "claim": f"{subject[:1].upper()}{subject[1:]}{': ' * bool(subject)}`{own}` {relation} `{base}`",
                "paper (source)": entry.paper,
                "measured": f"{entry.texts[0]} / {entry.texts[1]}{ratio}",
                "same?": entry.answer,
                "variant": own, "base": base, "verdict": str(found.kind), "ratio": found.ratio, "low": found.low,
                "high": found.high, "p, Holm": found.p, "p of equivalence": found.p_equivalent,
                "trainings": " / ".join(map(str, found.seeds)), "trainings needed": found.seeds_needed,
            }
        )  # fmt: skip
    frame = pd.DataFrame(rows)
    frame = frame.map(lambda value: float(f"{value:.4g}") if isinstance(value, float) else value)
    return Table(name=f"{name}_decisions", frame=frame, hidden=tuple(frame.columns[4:]), folded=folded, **words)


def main_datasets(results: Results) -> list[str]:
    """The data sets of the paper's Table 1, those of the matrix first."""
    return sorted(paper.datasets_of("main"), key=lambda name: name not in results.datasets)


def overview(results: Results) -> Table:
    """The paper's own results in one table: a row per data set, with what was measured here under the same protocol."""
    rows = []
    for dataset in main_datasets(results):
        columns = {kind: (dataset, kind) for kind in ("FID", "IS")}
        row = {"data set": paper.name_of(dataset)} | paper_columns("main", "TransGAN", columns)
        for kind, metric in PAPER_PROTOCOLS[dataset].items():
            row[f"measured: {kind}"] = results.measurement(dataset, paper.MAIN_VARIANT, metric).text
        rows.append(row)
    return Table(name="main_overview", frame=pd.DataFrame(rows), **caption("overview", variant=paper.MAIN_VARIANT))


def main_results(results: Results, dataset: str) -> Table:
    """The paper's Table 1 on one dataset: every method it lists, and what this pipeline measured of it."""
    methods = list(dict.fromkeys(paper.paper_rows("main", dataset).row)) or ["TransGAN"]
    variants = {row: variant for variant, row in paper.rows_of("main").items()}
    columns = {kind: (dataset, kind) for kind in ("FID", "IS")}
    rows = pd.DataFrame({"row": methods, "variant": [variants.get(method, "") for method in methods], "against": ""})
    return side_by_side(results, dataset, "main", rows, {}, first="method", columns=columns, own="TransGAN",
                        more=verdicts, least=1, whole=True)  # fmt: skip


def verdicts(results: Results, dataset: str, row: Any) -> dict[str, str]:
    """A method of the paper's Table 1 against the paper's own values."""
    protocols, metrics = PAPER_PROTOCOLS[dataset], results.metrics(dataset)
    values = {kind: paper.paper_value("main", row.row, dataset, kind) for kind in protocols}
    found = "; ".join(dict.fromkeys(value.protocol for value in values.values() if value))
    columns = {"protocol of the paper's value": found}
    if not metrics:
        columns |= {f"measured: {metric}": NOT_RUN for metric in protocols.values()}
    for kind, value in values.items():
        metric = protocols[kind] if protocols[kind] in metrics else next(iter(metrics), protocols[kind])
        columns[f"verdict on {kind}"] = against_paper(results, dataset, row.variant, metric, value)
    return columns


def against_paper(results: Results, dataset: str, variant: str, metric: str, value: PaperValue | None) -> str:
    """Verdict of a row against the paper's own value, in words; without one, why there is none."""
    measured = results.measurement(dataset, variant, metric)
    mark = f", paper value {value.mark}" if value and value.mark else ""
    if measured.values.empty:
        same = value is not None and value.value is None and set(measured.troubles.values()) == {"oom"}
        return "as in the paper" + mark if same else measured.text
    if value is None:
        return "no paper value"
    facts = results.protocols.get((dataset, metric), {})
    if not value.measured_as(metric) or any(facts.get(name, fact) != fact for name, fact in PAPER_SETTINGS.items()):
        return f"no verdict: {metric} is not the paper's protocol"
    if value.value is None:
        return "contrary to the paper: it ran out of memory" + mark
    values, kimg = list(measured.values), results.mean(dataset, variant, "kimg") or 0
    if not value.kimg:
        found = "no verdict: the paper's training length is not known"
    elif kimg < ENOUGH * value.kimg:
        found = f"no verdict: {kimg / value.kimg:.1%} of the paper's training"
    elif len(values) < FEWEST_SEEDS:
        found = f"no verdict: {len(values)} of {FEWEST_SEEDS} trainings"
    else:
        found = against_value(values, value.value, lower_is_better=lower_is_better(metric))
    return f"{found} ({measured.values.mean() - value.value:+.2f}){mark}"
