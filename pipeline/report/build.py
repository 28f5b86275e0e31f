"""The whole report from plan/, results/ and published/: needs no run, no data, no GPU."""

from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Template

from pipeline.base.files import read_json
from pipeline.report import appendix, architecture, charts, cost, decide, paper, pictures, tables
from pipeline.report.compare import short_report
from pipeline.report.comparisons import Outcome, compared
from pipeline.report.document import Content, Figure, Section, Table, write_report
from pipeline.report.findings import findings
from pipeline.report.formats import CONFIDENCE
from pipeline.report.published import published_runs
from pipeline.report.results import Results

TITLE = "TransGAN: paper and measurement"


def build_report(dpi: int, params: dict[str, Any], *, networks: dict[str, dict[str, Any]] | None = None,
                 plan: str = "plan", results: str = "results", published_folder: str = "published",
                 out: str = "reports") -> Path:  # fmt: skip
    """Write tables/*.csv, figures/*.png, README.md and index.html to `out`; returns the path of README.md.

    `params`: the content of params.yaml, shown as it is. `networks`: the full model's on data sets of the paper, drawn
    although the matrix may not train them. A plan of one training gets a short report beside HEAD.
    """
    folder, loaded = Path(out), Results.load(plan, results)
    if len(loaded.cells) == 1:
        return short_report(loaded, params, dpi, folder)
    figures, runs = folder / "figures", published_runs(published_folder)
    outcomes = {dataset: compared(loaded, dataset) for dataset in loaded.datasets}
    first: list[Content | None] = []
    for dataset, found in outcomes.items():
        own = [one for one in found if one.comparison.of_paper]
        title = f"What the paper says, and what was measured: {paper.name_of(dataset)}"
        first += [tables.decisions(loaded, dataset, own, dataset, title),
                  charts.ranking(loaded, dataset, figures, dpi)]  # fmt: skip
    growth, intro = (
        cost.growth(figures, dpi),
        "Long trainings beside the matrix, which `make publish NAME=<folder>` makes again.",
    )
    sections = [
        Section("Claims and findings", "findings", [*first, findings(loaded, outcomes, runs)], "Claims"),
        Section("The paper's main results", "main", main_results(loaded, networks or {}, figures, dpi), "Main"),
        *(
            Section(f"Ablation: {paper.name_of(dataset)}", dataset, ablation(loaded, dataset, found, figures, dpi),
                    "Ablation" * (dataset == loaded.datasets[0]))
            for dataset, found in outcomes.items()
        ),
        *[Section("Published runs", "published", [intro], "Published")] * bool(runs),
        *(run.section(folder, dpi) for run in runs),
        Section("Cost", "cost", [growth, cost.cost(loaded, [run.results for run in runs])], "Cost"),
    ]  # fmt: skip
    drawn = [part.path.stem for one in sections for part in one.content if isinstance(part, Figure)]
    counts, status = appendix.claims(loaded, [entry for found in outcomes.values() for entry in found], drawn)
    deviations = Table(name="deviations", title="Where this departs from the paper or the released code",
                       frame=paper.packaged("deviations.csv"), folded=True)  # fmt: skip
    sections += [
        Section(status.title, "claims", [counts, status]),
        Section("Rules", "verdicts", [rules(), deviations], "Rules"),
        Section("Every training", "cells", [appendix.every_cell(loaded), appendix.settings(params)], "Trainings"),
    ]
    return write_report(TITLE, "", sections, folder)


def main_results(results: Results, networks: dict[str, dict[str, Any]], figures: Path,
                 dpi: int) -> list[Content | None]:  # fmt: skip
    """The paper's Table 1, dataset by dataset, those of the matrix first."""
    return [
        tables.overview(results),
        *(tables.main_results(results, dataset) for dataset in tables.main_datasets(results)),
        *appendix.from_the_paper(),
        *(
            architecture.diagram(network, f"{paper.MAIN_VARIANT} on {paper.name_of(name)}",
                                 figures / f"{name}_architecture.png", dpi,
                                 "Drawn from params.yaml, whether or not it was trained.")
            for name, network in networks.items()
        ),
    ]  # fmt: skip


def ablation(results: Results, dataset: str, outcomes: list[Outcome], figures: Path,
             dpi: int) -> list[Content | None]:  # fmt: skip
    """Everything measured on one dataset: ablation and samples, then what is folded."""
    cells = [cell for _, cell in results.first_seed(dataset).iterrows()]
    missing = [pictures.label(cell) for cell in cells if results.sheet(cell, "samples") is None]
    missing = ["nothing has run"] if len(missing) == len(cells) else missing
    first, *others = (tables.row_table(results, dataset, name, outcomes) for name in tables.LAYOUTS)
    answers = results.folder / dataset / "reference.json"
    # The networks of the full model, or of the first variant of the matrix that a diagram can show.
    diagrams = (
        architecture.diagram(plan.get("network"), f"{variant} on {paper.name_of(dataset)}",
                             figures / f"{dataset}_architecture.png", dpi, "Drawn from the plan in plan/train/.")
        for (name, variant), plan in sorted(results.trainings.items(), key=lambda row: row[0][1] != paper.MAIN_VARIANT)
        if name == dataset
    )  # fmt: skip
    return [
        f"{appendix.reading(results, dataset)} Pictures are of seed {results.of(dataset).seed.min()}.",
        first,
        pictures.samples(results, dataset, figures),
        f"No pictures of: {'; '.join(missing)}." if missing else None,
        *others,
        charts.progress(results, dataset, figures / f"{dataset}_progress.png", dpi),
        charts.training_curves(results.curves(dataset, "history"), paper.name_of(dataset),
                               figures / f"{dataset}_curves.png", dpi),
        charts.curve_numbers(results, dataset),
        next((diagram for diagram in diagrams if diagram), None),
        pictures.augmentation(results, dataset, figures),
        pictures.timelines(results, dataset, figures),
        pictures.interpolations(results, dataset, figures),
        pictures.neighbours(results, dataset, figures),
        pictures.attention(results, dataset, figures),
        pictures.relative_positions(results, dataset, figures),
        appendix.memorisation(results, dataset),
        appendix.known_answers_table(read_json(answers), f"{dataset}_evaluator") if answers.is_file() else None,
    ]  # fmt: skip


def rules() -> str:
    """The written rules with their numbers."""
    template = Template(resources.files("pipeline.report").joinpath("rules.md.j2").read_text(encoding="utf-8"))
    return template.render(
        same_spread=decide.SAME_SPREAD, margin=decide.MARGIN, paper_margin=decide.PAPER_MARGIN, power=decide.POWER,
        fewest_seeds=decide.FEWEST_SEEDS, enough=tables.ENOUGH, confidence=CONFIDENCE,
    )  # fmt: skip
