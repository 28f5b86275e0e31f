"""What was found, in at most ten sentences made from the numbers."""

import pandas as pd

from pipeline.report import paper
from pipeline.report.comparisons import Outcome, counted
from pipeline.report.published import Published
from pipeline.report.results import Results

MOST = 10  # lines
# By dataset: the seed that settings were tried with, and the variants whose own metric chose theirs; others take those
# of `full`.
TUNED = {"digits": (0, ("stylegan2", "finite_difference_penalty"))}
WHY = "they need GPUs for days (CIFAR-10 took its authors 1.5 days on 8 GPUs: VITA-Group/TransGAN, issue 48)"


def findings(results: Results, outcomes: dict[str, list[Outcome]], published: list[Published]) -> str:
    """A list: what was trained and what was not, what the comparisons say, tuning, machines, published runs."""
    lines = trained(results)
    for dataset, found in outcomes.items():
        own = [entry for entry in found if entry.comparison.of_paper]
        name = paper.name_of(dataset)
        lines += [f"**{name}:** of {len(own)} comparisons {counted(own)} ([the rule](#verdicts))."] * bool(own)
        rest = [
            f"{entry.comparison.subject} (`{entry.comparison.variant}`): {entry.answer.partition(';')[0]}"
            for entry in found
            if not entry.comparison.of_paper
        ]
        lines += [f"**Off `{paper.MAIN_VARIANT}`, not in the paper's tables:** {'; '.join(rest)}."] * bool(rest)
        lines += [tuned_on(results, dataset)] * (dataset in TUNED)
    if devices := sorted(set(results.cells.get("device", pd.Series(dtype=str)).dropna())):
        after = "Another kind of processor gives other values, as another seed does (docs/notes/)"
        lines.append(f"**Machine:** {'; '.join(devices)}. {after}.")
    if published:
        runs = (f"[{run.title}](#{run.anchor}){': ' * bool(run.best)}{run.best}" for run in published)
        lines.append(f"**Published beside the matrix:** {'; '.join(runs)}.")
    return "\n".join(f"- {line}" for line in lines[:MOST])


def trained(results: Results) -> list[str]:
    """What was trained, how it ended, what stands for what; which of the paper's data sets have no result, and why."""
    cells, index = results.cells, results.index
    states = ", ".join(f"{count} {state}" for state, count in cells.state.value_counts().items())
    names = ", ".join(paper.name_of(dataset) for dataset in results.datasets)
    twins = {(row.variant, row.twin_of) for row in cells.itertuples() if row.twin_of}
    same = "".join(f" `{variant}` is the same training as `{twin}`." for variant, twin in sorted(twins))
    text = (
        f"**Trained:** {names}, profile `{index['profile']}`: {len(cells)} trainings of {cells.variant.nunique()} "
        f"variants, seeds {', '.join(map(str, index['seeds']))}: {states}.{same}"
    )
    done = set(cells[cells.status == "ok"].dataset)
    missing = [name for name in (*paper.ABLATION_DATASETS, *paper.MAIN_DATASETS) if name not in done]
    names = ", ".join(paper.name_of(name) for name in dict.fromkeys(missing))
    why = "some are in the matrix, but no training of them has ended well" if {*missing} & {*results.datasets} else WHY
    return [text, *[f"**Not trained:** {names}: {why}."] * bool(missing)]


def tuned_on(results: Results, dataset: str) -> str:
    """On which cells the settings were chosen, and whether they are among those reported."""
    seed, others = TUNED[dataset]
    by = "".join(f", those of `{variant}` by its own" for variant in others if variant in results.variants(dataset))
    inside = "is" if seed in set(results.of(dataset).seed) else "is not"
    return (
        f"**Tuned** by the metric of `{paper.MAIN_VARIANT}`, seed {seed}{by}; that seed {inside} among those reported."
    )
