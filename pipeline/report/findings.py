"""What was found, in at most ten sentences made from the numbers."""

from pipeline.report import paper
from pipeline.report.comparisons import Outcome
from pipeline.report.curves import is_cnn
from pipeline.report.published import Published, counted
from pipeline.report.results import Results

MOST = 10  # lines
# By dataset: the variants whose settings were chosen by their own metric, and the seed they were tried with. All other
# variants take the settings of the first one.
TUNED = {"digits": ([paper.MAIN_VARIANT, "stylegan2", "finite_difference_penalty"], 0)}
WHY = "they need GPUs for days (CIFAR-10 took its authors 1.5 days on 8 GPUs: VITA-Group/TransGAN, issue 48)"


def findings(results: Results, outcomes: dict[str, list[Outcome]], published: list[Published]) -> str:
    """A list: what was trained and what was not, what the comparisons say, CNNs, tuning, machines, published runs."""
    lines = [trained(results), not_trained(results)]
    for dataset, found in outcomes.items():
        lines += [*decided(dataset, found), cnns(results, dataset), tuned_on(results, dataset)]
    lines += [machines(results), beside(published)]
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
    if not missing:
        return ""
    names = ", ".join(paper.name_of(name) for name in dict.fromkeys(missing))
    planned = set(missing) & set(results.datasets)
    why = "some are in the matrix, but no training of them has ended well" if planned else WHY
    return f"**Not trained:** {names}: {why}."


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


def cnns(results: Results, dataset: str) -> str:
    """How far each CNN comes against the full model; '' where one of the two sides has no value."""
    metric = results.main_metric(dataset)
    base = results.mean(dataset, paper.MAIN_VARIANT, metric) if metric else None
    texts = [
        f"`{variant}` {mean / base:.2f} times"
        for variant in results.variants(dataset)
        if base and metric and is_cnn(results, dataset, variant) and (mean := results.mean(dataset, variant, metric))
    ]
    return f"**CNNs**, mean `{metric}` over that of `{paper.MAIN_VARIANT}`: {', '.join(texts)}." if texts else ""


def tuned_on(results: Results, dataset: str) -> str:
    """On which cells the settings were chosen, and whether they are among those reported."""
    if dataset not in TUNED:
        return ""
    (main, *others), seed = TUNED[dataset]
    own = results.of(dataset)
    mine = [f"`{variant}`" for variant in others if variant in set(own.variant)]
    inside = "is" if seed in set(own.seed) else "is not"
    by = f", those of {' and '.join(mine)} by their own" if mine else ""
    return f"**Tuned** by the metric of `{main}`, seed {seed}{by}; that seed {inside} among those reported."


def machines(results: Results) -> str:
    """Which machines the numbers are from: another kind of processor gives other ones."""
    if "device" not in results.cells or results.cells.device.dropna().empty:
        return ""
    names = "; ".join(sorted(set(results.cells.device.dropna())))
    return f"**Machine:** {names}. Another kind of processor gives other values, as another seed does (docs/notes/)."


def beside(published: list[Published]) -> str:
    """What was published beside the matrix, with the best setting of each run."""
    texts = (f"[{run.title}](#{run.anchor}): {run.best}" if run.best else f"[{run.title}](#{run.anchor})"
             for run in published)  # fmt: skip
    return f"**Published beside it:** {'; '.join(texts)}." if published else ""
