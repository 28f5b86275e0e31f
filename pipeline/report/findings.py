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
    lines = [trained(results), not_trained(results)]
    for dataset, found in outcomes.items():
        lines += [*decided(dataset, found), tuned_on(results, dataset)]
    if devices := sorted(set(results.cells.get("device", pd.Series(dtype=str)).dropna())):
        after = "Another kind of processor gives other values, as another seed does (docs/notes/)"
        lines.append(f"**Machine:** {'; '.join(devices)}. {after}.")
    if published:
        runs = (f"[{run.title}](#{run.anchor}){': ' * bool(run.best)}{run.best}" for run in published)
        lines.append(f"**Published beside the matrix:** {'; '.join(runs)}.")
    return "\n".join([f"- {line}" for line in lines if line][:MOST])


def trained(results: Results) -> str:
    """What was trained, how it ended, and what stands for what."""
    cells, index = results.cells, results.index
    states = ", ".join(f"{count} {state}" for state, count in cells.state.value_counts().items())
    names = ", ".join(paper.name_of(dataset) for dataset in results.datasets)
    seeds = ", ".join(map(str, index["seeds"]))
    twins = {(row.variant, row.twin_of) for row in cells.itertuples() if row.twin_of}
    same = "".join(f" `{variant}` is the same training as `{twin}`." for variant, twin in sorted(twins))
    return (
        f"**Trained:** {names}, profile `{index['profile']}`: {len(cells)} trainings of {cells.variant.nunique()} "
        f"variants, seeds {seeds}: {states}.{same}"
    )


def not_trained(results: Results) -> str:
    """Which of the paper's data sets have no result, and why."""
    done = set(results.cells[results.cells.status == "ok"].dataset)
    missing = [name for name in (*paper.ABLATION_DATASETS, *paper.MAIN_DATASETS) if name not in done]
    names = ", ".join(paper.name_of(name) for name in dict.fromkeys(missing))
    why = "some are in the matrix, but no training of them has ended well" if {*missing} & {*results.datasets} else WHY
    return f"**Not trained:** {names}: {why}." if missing else ""


def decided(dataset: str, found: list[Outcome]) -> list[str]:
    """Counts of the paper's comparisons, then those beyond the paper."""
    lines = []
    if own := [entry for entry in found if entry.comparison.of_paper]:
        text = f"of {len(own)} comparisons {counted(own)} ([the rule](#verdicts))"
        lines.append(f"**{paper.name_of(dataset)}:** {text}.")
    if rest := [entry for entry in found if not entry.comparison.of_paper]:
        texts = [f"{e.comparison.subject} (`{e.comparison.variant}`): {e.answer.partition(';')[0]}" for e in rest]
        lines.append(f"**Off `{paper.MAIN_VARIANT}`, not in the paper's tables:** {'; '.join(texts)}.")
    return lines


def tuned_on(results: Results, dataset: str) -> str:
    """On which cells the settings were chosen, and whether they are among those reported; '' where nobody chose."""
    seed, others = TUNED.get(dataset, (None, ()))
    by = "".join(f", those of `{variant}` by its own" for variant in others if variant in results.variants(dataset))
    inside = "is" if seed in set(results.of(dataset).seed) else "is not"
    text = (
        f"**Tuned** by the metric of `{paper.MAIN_VARIANT}`, seed {seed}{by}; that seed {inside} among those reported."
    )
    return text if dataset in TUNED else ""
