"""What was found, in sentences made from the numbers: the first thing a reader sees."""

from typing import Any

import pandas as pd

from pipeline.report import dynamics, paper
from pipeline.report.comparisons import Outcome, paper_side
from pipeline.report.metrics import family
from pipeline.report.results import cells_of, dataset_metrics, measurement
from pipeline.report.verdict import Order

FAR = 2.0  # times the full model's metric: from there on a CNN's distance is commented on
# By dataset: the variants whose settings were chosen by their own metric, and the seed they were tried with. All other
# variants take the settings of the first one.
TUNED = {"digits": ([paper.MAIN_VARIANT, "stylegan2", "finite_difference_penalty"], 0)}
HEADINGS = {
    Order.SEEN: "**Seen, as the paper says:**",
    Order.CONTRADICTED: "**Contradicted, the other way round than the paper says:**",
    Order.BETTER: "**Better here; the paper states no order:**",
    Order.WORSE: "**Worse here; the paper states no order:**",
    Order.UNDECIDED: "**Cannot be decided from these seeds:**",
    Order.SAME: "**The same training:**",
}


def findings(
    index: dict[str, Any],
    cells: pd.DataFrame,
    outcomes: dict[str, list[Outcome]],
    beyond: dict[str, list[Outcome]],
    results: str,
    cnns: set[str],
) -> list[str]:
    """Lines of text, `- ` before the entries of a list: what was trained, what was not and why, what was found.

    `outcomes`, `beyond`: comparisons by dataset, of the paper's rows and of rows that it does not have.
    """
    lines = [trained(index, cells), not_trained(index, cells)]
    for dataset, found in outcomes.items():
        if not found:
            lines.append(f"On {paper.name_of(dataset)} the matrix holds no two rows whose order means something.")
            continue
        lines += [*decided(dataset, found), *beyond_paper(beyond[dataset])]
        stability = dynamics.sentence(dynamics.counted(cells, dataset, results, cnns))
        lines += [stability, cnns_learn(dataset, cells, cnns), tuned_on(dataset, cells), machines(cells)]
    return [line for line in lines if line]


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
        f"{dataset}_decisions_heading). {marks_explained(found)}".strip()
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
    """`Grid attention: `grid_attention` 35.4 against `standard_attention` 35.9: -0.5 (1 seed). Paper: worse.`"""
    seeds = len(entry.differences)
    said = "" if entry.paper_improves is None else f" The paper has it {paper_side(entry)}."
    return (
        f"{_capital(entry.comparison.subject)}: `{entry.comparison.variant}` {entry.means[0]} against "
        f"`{entry.comparison.base}` {entry.means[1]}, difference {entry.difference} "
        f"({seeds} seed{'s' * (seeds > 1)}).{said}"
    )


def tuned_on(dataset: str, cells: pd.DataFrame) -> str:
    """On which cells the settings were chosen, and whether they are among those reported."""
    if dataset not in TUNED:
        return ""
    (main, *others), seed = TUNED[dataset]
    own = cells[cells.dataset == dataset]
    others = [f"`{variant}`" for variant in others if variant in set(own.variant)]
    inside = "is among the seeds reported here" if seed in set(own.seed) else "is not among the seeds reported here"
    chosen = f"the settings of this demo were chosen by the main metric of `{main}`, seed {seed}"
    if others:
        chosen += f", those of {' and '.join(others)} by their own, seed {seed}; no other row was tuned by itself"
    return f"**Tuning:** {chosen}; that seed {inside}."


def marks_explained(found: list[Outcome]) -> str:
    """What the marks of the paper's orders mean, before the first of them is used; '' where there are none."""
    used = [paper.MEANINGS[mark] for mark in paper.MEANINGS if any(mark in entry.marks for entry in found)]
    return f"Marks of the paper's values: {'; '.join(used)}." if used else ""


def cnns_learn(dataset: str, cells: pd.DataFrame, cnns: set[str]) -> str:
    """How far each CNN comes against the full model; '' where one of the two sides has no value."""
    metrics = dataset_metrics(cells, dataset)
    base = measurement(cells, dataset, paper.MAIN_VARIANT, metrics[0]).values if metrics else pd.Series(dtype=float)
    if base.empty:
        return ""
    texts = []
    for variant in (name for name in dict.fromkeys(cells[cells.dataset == dataset].variant) if name in cnns):
        own = measurement(cells, dataset, variant, metrics[0]).values
        if len(own):
            ratio = float(own.mean() / base.mean())
            texts.append(f"`{variant}` {ratio:.2f} times{_why_far(dataset, cells, variant) if ratio > FAR else ''}")
    return (
        f"**CNNs beside `{paper.MAIN_VARIANT}`**, mean `{metrics[0]}` over its own: {'; '.join(texts)}."
        if texts
        else ""
    )


def _why_far(dataset: str, cells: pd.DataFrame, variant: str) -> str:
    """For a CNN far behind: how its training compares with its published length."""
    model = next((name for name, pair in paper.MODELS.items() if variant in pair), "")
    value = paper.paper_value("main", model, "cifar10", "FID")
    kimg = cells_of(cells, dataset, variant).kimg.mean()
    known = f"; its published training on CIFAR-10 is {value.kimg:,.0f} kimg" if value and value.kimg else ""
    return f" (trained for {kimg:,.4g} kimg{known}; more is not known)"


def beyond_paper(found: list[Outcome]) -> list[str]:
    """Rows that the paper does not have, apart from its own."""
    known = [entry for entry in found if entry.differences]
    if not known:
        return []
    heading = (
        f"**Beyond the paper**, against `{paper.MAIN_VARIANT}`, as trained; [at equal cost](#{{}}_beyond_heading):"
    )
    return [
        heading.format(known[0].dataset),
        *(f"- {sentence(entry)} {_capital(str(entry.order))}." for entry in known),
    ]


def machines(cells: pd.DataFrame) -> str:
    """Which machines the numbers are from: another kind of processor gives other ones."""
    if "device" not in cells or cells.device.dropna().empty:
        return ""
    names = sorted(set(cells.device.dropna()))
    return (
        f"**Machine:** trained on {'; '.join(names)}. The same settings on another kind of processor give other "
        "values, as another seed does. That can turn a verdict into `undecided`: `docs/demo.md` has measured cases."
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
