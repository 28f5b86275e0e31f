"""The whole report from plan/, results/ and published/: needs no run, no data, no GPU."""

from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Template

from pipeline.base.errors import amount
from pipeline.base.files import read_json
from pipeline.report import appendix, architecture, charts, cost, decide, paper, pictures, tables
from pipeline.report.document import Content, Figure, Section, write_report
from pipeline.report.formats import CONFIDENCE
from pipeline.report.published import Published, published_runs
from pipeline.report.results import Results
from pipeline.report.revisions import short_report
from pipeline.report.row_pairs import Outcome, compared, counted

TITLE = "TransGAN: paper and measurement"
INTRO = "Long trainings that are no part of the matrix; `make publish NAME=<folder>` repeats one."
MOST = 10  # findings
# By dataset: the seed that settings were tried with, and the variants whose own metric chose theirs; others take those
# of `full`.
TUNED = {"digits": (0, ("stylegan2", "finite_difference_penalty"))}
WHY = "they need GPUs for days (CIFAR-10 took its authors 1.5 days on 8 GPUs: VITA-Group/TransGAN, issue 48)"


def build_report(params: dict[str, Any], *, networks: dict[str, dict[str, Any]] | None = None,
                 plan: str = "plan", results: str = "results", published_folder: str = "published",
                 out: str = "reports") -> Path:  # fmt: skip
    """Write tables/*.csv, figures/*.png, README.md and index.html to `out`; returns the path of README.md.

    `params`: the content of params.yaml, shown as it is. `networks`: the full model's on data sets of the paper, drawn
    although the matrix may not train them. A plan of one training gets a short report beside HEAD.
    """
    folder, loaded = Path(out), Results.load(plan, results)
    if len(loaded.cells) == 1:
        return short_report(loaded, params, folder)
    figures, runs = folder / "figures", published_runs(published_folder)
    outcomes = {dataset: compared(loaded, dataset) for dataset in loaded.datasets}
    first: list[Content | None] = []
    explained: set[str] = set()  # metrics
    for dataset, found in outcomes.items():
        own = [one for one in found if one.comparison.of_paper]
        title = f"What the paper says, and what was measured: {paper.name_of(dataset)}"
        first.append(tables.decisions(loaded, dataset, own, dataset, title))
        first.append(charts.ranking(loaded, dataset, figures))
    costs: list[Content] = [cost.growth(figures), cost.cost(loaded, [run.results for run in runs])]
    sections = [
        Section("Claims and findings", "findings", [*first, findings(loaded, outcomes, runs)], "Claims"),
        main_results(loaded, networks or {}, figures),
        *(ablation(loaded, dataset, found, figures, explained) for dataset, found in outcomes.items()),
        *[Section("Published runs", "published", [INTRO], "Published")] * bool(runs),
        *(run.section(folder, explained) for run in runs),
        Section("Cost", "cost", costs, "Cost"),
    ]
    drawn = [part.path.stem for one in sections for part in one.content if isinstance(part, Figure)]
    counts, status = appendix.claims(loaded, [entry for found in outcomes.values() for entry in found], drawn)
    template = Template(Path(__file__).with_name("rules.md.j2").read_text(encoding="utf-8"))
    rules = template.render(decide=decide, enough=tables.ENOUGH, confidence=CONFIDENCE)
    sections += [
        Section(status.title, "claims", [counts, status]),
        Section("Rules", "verdicts", [rules, appendix.from_file("deviations", "deviations.csv")], "Rules"),
        Section("Every training", "cells", [appendix.every_cell(loaded), appendix.settings(params)], "Trainings"),
    ]
    return write_report(TITLE, "", sections, folder)


def findings(results: Results, outcomes: dict[str, list[Outcome]], published: list[Published]) -> str:
    """A list: what was trained and what was not, what the comparisons say, tuning, machines, published runs."""
    lines = trained(results)
    for dataset, found in outcomes.items():
        own, rest = ([one for one in found if one.comparison.of_paper == of_paper] for of_paper in (True, False))
        if own:
            text = f"of the paper's {len(own)} comparisons {counted(own)} ([the rule](#verdicts))."
            lines.append(f"**{paper.name_of(dataset)}:** {text}")
        if rest:
            texts = (f"{e.comparison.subject} (`{e.comparison.variant}`): {e.answer.partition(';')[0]}" for e in rest)
            lines.append(f"**Off `{paper.MAIN_VARIANT}`, not in the paper's tables:** {'; '.join(texts)}.")
        if dataset in TUNED:
            seed, others = TUNED[dataset]
            by = [f", those of `{name}` by its own" for name in others if name in results.variants(dataset)]
            reported = "is" if seed in set(results.of(dataset).seed) else "is not"
            metric = f"the metric of `{paper.MAIN_VARIANT}`, seed {seed}{''.join(by)}"
            lines.append(f"**Tuned** by {metric}; that seed {reported} among those reported.")
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
    twins = sorted({(row.variant, row.twin_of) for row in cells.itertuples() if row.twin_of})
    same = "".join(f" `{one}` is the same training as `{two}`." for one, two in twins)
    seeds = ", ".join(map(str, index["seeds"]))
    rows = amount(cells.variant.nunique(), "variant")
    text = f"**Trained:** {names}, profile `{index['profile']}`: {amount(len(cells), 'training')} of {rows}, "
    text += f"{'seeds' if len(index['seeds']) > 1 else 'seed'} {seeds}: {states}.{same}"
    done = set(cells[cells.status == "ok"].dataset)
    missing = [name for name in (*paper.datasets_of("ablation"), *paper.datasets_of("main")) if name not in done]
    names = ", ".join(paper.name_of(name) for name in dict.fromkeys(missing))
    why = "some are in the matrix, but no training of them has ended well" if {*missing} & {*results.datasets} else WHY
    return [text, *[f"**Not trained:** {names}: {why}."] * bool(missing)]


def main_results(results: Results, networks: dict[str, dict[str, Any]], figures: Path) -> Section:
    """The paper's Table 1, dataset by dataset, those of the matrix first."""
    variant, source = paper.MAIN_VARIANT, "params.yaml, whether or not it was trained"
    content = [
        tables.overview(results),
        *(tables.main_results(results, dataset) for dataset in tables.main_datasets(results)),
        appendix.from_file("paper_values", "paper_results.csv", marks="; ".join(paper.MEANINGS.values())),
        *(architecture.diagram(network, variant, name, figures, source) for name, network in networks.items()),
    ]
    return Section("The paper's main results", "main", content, "Main")


def ablation(results: Results, dataset: str, outcomes: list[Outcome], figures: Path, explained: set[str]) -> Section:
    """Everything measured on one dataset: ablation and samples, then what is folded."""
    cells = [cell for _, cell in results.first_seed(dataset).iterrows()]
    missing = [pictures.label(cell) for cell in cells if results.sheet(cell, "samples") is None]
    missing = ["nothing has run"] if len(missing) == len(cells) else missing
    first, *others = (tables.row_table(results, dataset, name, outcomes) for name in tables.LAYOUTS)
    answers = read_json(results.folder / dataset / "reference.json", {})
    # The networks of the full model, or of the first variant of the matrix that a diagram can show.
    diagrams = (
        architecture.diagram(network, variant, dataset, figures, "the plan in plan/train/")
        for variant in sorted(results.variants(dataset), key=paper.MAIN_VARIANT.__ne__)
        if (network := results.training(dataset, variant).get("network"))
    )
    content = [
        f"{appendix.reading(results, dataset, explained)} Pictures are of seed {results.of(dataset).seed.min()}.",
        first,
        pictures.samples(results, dataset, figures),
        f"No pictures of: {'; '.join(missing)}." if missing else None,
        *others,
        charts.progress(results, dataset, figures),
        charts.training_curves(results, dataset, figures),
        charts.curve_numbers(results, dataset),
        next(filter(None, diagrams), None),
        *(draw(results, dataset, figures) for draw in pictures.FOLDED),
        appendix.memorisation(results, dataset),
        appendix.known_answers_table(answers, f"{dataset}_evaluator") if answers else None,
    ]
    link = "Ablation" * (dataset == results.datasets[0])
    return Section(f"Ablation: {paper.name_of(dataset)}", dataset, content, link)
