"""What was found, in sentences made from the numbers: the first thing a reader sees."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from pipeline.report import paper
from pipeline.report.comparisons import Outcome, verdict_text
from pipeline.report.curve_summary import LEAST_TICKS, spikes
from pipeline.report.metrics import family
from pipeline.report.results import load_history
from pipeline.report.verdict import Order

TUNED = {"digits": (paper.MAIN_VARIANT, 0)}  # the cell whose metric chose the demo's settings
HEADINGS = {
    Order.SEEN: "**Seen, as the paper says:**",
    Order.CONTRADICTED: "**Contradicted, the other way round than the paper says:**",
    Order.BETTER: "**Better here; the paper states no order:**",
    Order.WORSE: "**Worse here; the paper states no order:**",
    Order.UNDECIDED: "**Cannot be decided from these seeds:**",
    Order.SAME: "**The same training:**",
}


def findings(
    index: dict[str, Any], cells: pd.DataFrame, outcomes: dict[str, list[Outcome]], results: str, cnns: set[str]
) -> list[str]:
    """Lines of text, `- ` before the entries of a list: what was trained, what was not and why, what was found."""
    lines = [trained(index, cells), not_trained(index, cells)]
    for dataset, found in outcomes.items():
        if not found:
            lines.append(f"On {paper.name_of(dataset)} the matrix holds no two rows whose order means something.")
            continue
        lines += decided(dataset, found)
        lines += [line for line in (dynamics(cells, dataset, results, cnns), tuned_on(dataset, cells)) if line]
    return lines


def trained(index: dict[str, Any], cells: pd.DataFrame) -> str:
    """What was trained, and how it ended."""
    states = ", ".join(f"{count} {state}" for state, count in cells.state.value_counts().items())
    seeds = ", ".join(map(str, index["seeds"]))
    names = ", ".join(paper.name_of(dataset) for dataset in index["datasets"])
    return (
        f"**Trained:** {names}, profile `{index['profile']}`: {len(index['variants'])} variants, "
        f"seed{'s' * (len(index['seeds']) > 1)} {seeds}; {len(cells)} trainings: {states}. Every measured number was "
        "written by the code in this repository; the paper's values stand in columns of their own."
    )


def not_trained(index: dict[str, Any], cells: pd.DataFrame) -> str:
    """Which of the paper's data sets have no result, and why."""
    known = set(cells[cells.status == "ok"].dataset)
    there = [name for name in (*paper.MAIN_DATASETS, "celeba64") if name in known]
    missing = [
        name for name in ("cifar10", "stl10", "celeba64", "celeba128", "celebahq256", "church256") if name not in known
    ]
    if not missing:
        return "**Not trained:** every data set of the paper has a result."
    names = ", ".join(paper.name_of(name) for name in missing)
    why = (
        "not selected in `matrix.datasets`: they need GPUs for days (CIFAR-10, the smallest, took its authors "
        "1.5 days on 8 GPUs: VITA-Group/TransGAN, GitHub issue 48)"
        if not set(missing) & set(index["datasets"])
        else "some are in the matrix, but no training of them has ended well"
    )
    subject = "none of the paper's data sets has a result in this matrix" if not there else "without a result"
    return f"**Not trained:** {subject}: {names}; {why}."


def decided(dataset: str, found: list[Outcome]) -> list[str]:
    """Every comparison of a dataset as a sentence, under what the seeds say about it."""
    metric = next((entry.metric for entry in found if entry.metric), "")
    kind = family(metric) if metric else None
    better = "lower" if kind and kind.lower else "higher"
    count = sum(entry.paper_improves is not None for entry in found)
    by = f" by `{metric}` ({kind.label}; {better} is better)" if kind else ""
    lines = [
        f"**{paper.name_of(dataset)}**{by}: {len(found)} comparisons, {count} of which the paper has an order for. "
        "Each is a paired test over seeds; [the rule](#verdicts) and [all numbers](#"
        f"{dataset}_decisions_heading)."
    ]
    for order, heading in HEADINGS.items():
        own = [entry for entry in found if entry.order == order]
        if own:
            lines += [heading, *(f"- {sentence(entry)}" for entry in own)]
    missing = [entry for entry in found if entry.order == Order.NOTHING]
    if missing:
        names = "; ".join(f"{entry.comparison.subject} ({entry.reason})" for entry in missing)
        lines += [f"**Nothing to compare:** {names}."]
    return lines


def sentence(entry: Outcome) -> str:
    """`Grid attention: `grid_attention` 35.4 against `standard_attention` 35.9, difference -0.5 (1 seed): ...`"""
    seeds = len(entry.differences)
    return (
        f"{_capital(entry.comparison.subject)}: `{entry.comparison.variant}` {entry.means[0]} against "
        f"`{entry.comparison.base}` {entry.means[1]}, difference {entry.difference} "
        f"({seeds} seed{'s' * (seeds > 1)}): {verdict_text(entry)}."
    )


def dynamics(cells: pd.DataFrame, dataset: str, results: str, cnns: set[str]) -> str:
    """Are transformers less stable than CNNs? Divergence and gradient spikes, counted; '' without both kinds."""
    own = cells[(cells.dataset == dataset) & (cells.status != "not run") & ~cells.variant.isin(paper.MIXED)]
    sides = {"transformers": own[~own.variant.isin(cnns)], "CNNs": own[own.variant.isin(cnns)]}
    if any(side.empty for side in sides.values()):
        return ""
    texts = []
    for name, side in sides.items():
        gone = int((side.status == "diverged").sum())
        shares = {network: _spike_share(side, results, f"gradient_{network.lower()}") for network in "DG"}
        spiky = " and ".join(
            f"{share:.1%} of {network}'s ticks" for network, share in shares.items() if share is not None
        )
        texts.append(
            f"{gone} of {len(side)} trainings of {name} diverged" + (f", {spiky} were gradient spikes" if spiky else "")
        )
    return (
        f"**Training dynamics:** {'; '.join(texts)}. A spike is a gradient norm above ten times the training's median. "
        "Objectives and recipes differ between the two, so their losses are not compared."
    )


def tuned_on(dataset: str, cells: pd.DataFrame) -> str:
    """On which cell the settings were chosen, and whether it is among those reported."""
    if dataset not in TUNED:
        return ""
    variant, seed = TUNED[dataset]
    own = cells[cells.dataset == dataset]
    inside = "is among the seeds reported here" if seed in set(own.seed) else "is not among the seeds reported here"
    chosen = f"the settings of this demo were chosen by the main metric of `{variant}`, seed {seed}"
    return f"**Tuning:** {chosen}; that seed {inside}."


def _spike_share(cells: pd.DataFrame, results: str, column: str) -> float | None:
    counted = [
        (spikes(history[column]), len(history))
        for history in _histories(cells, results)
        if column in history and len(history) >= LEAST_TICKS
    ]
    return float(np.sum([few for few, _ in counted]) / np.sum([all_ for _, all_ in counted])) if counted else None


def _histories(cells: pd.DataFrame, results: str) -> Iterable[pd.DataFrame]:
    found = (load_history(results, cell) for _, cell in cells.iterrows())
    return (history for history in found if history is not None)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
