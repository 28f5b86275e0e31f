"""The whole report from plan/, results/ and published/: needs no run, no data, no GPU."""

from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Template

from pipeline.base.files import read_json
from pipeline.plan.config import ReportConfig
from pipeline.report import appendix, architecture, charts, curves, decide, paper, pictures, tables
from pipeline.report.compare import short_report
from pipeline.report.comparisons import Outcome, compared
from pipeline.report.content import Content, Figure, Section, Text
from pipeline.report.findings import findings
from pipeline.report.page import write_report
from pipeline.report.published import Published, published_runs
from pipeline.report.results import Results
from pipeline.report.unfinished import unfinished_section

TITLE = "TransGAN: paper and measurement"


def build_report(config: ReportConfig, params: dict[str, Any], *, networks: dict[str, dict[str, Any]] | None = None,
                 plan: str = "plan", results: str = "results", published_folder: str = "published",
                 out: str = "reports") -> Path:  # fmt: skip
    """Write tables/*.csv, figures/*.png, README.md and index.html to `out`; returns the path of README.md.

    `params`: the content of params.yaml, shown as it is. `networks`: the full model's on data sets of the paper, drawn
    although the matrix may not train them. A plan of one training gets a short report beside HEAD.
    """
    folder, loaded = Path(out), Results.load(plan, results, config.confidence)
    if len(loaded.cells) == 1:
        return short_report(loaded, params, config, folder)
    figures, runs = folder / "figures", published_runs(published_folder, config.confidence)
    outcomes = {dataset: compared(loaded, dataset) for dataset in loaded.datasets}
    intro = Text("Long trainings beside the matrix, which `make publish NAME=<folder>` makes again.")
    sections = [
        first_section(loaded, outcomes, runs, figures, config),
        main_section(loaded, networks or {}, figures, config),
        *(ablation_section(loaded, dataset, found, figures, config) for dataset, found in outcomes.items()),
        *[Section(title="Published runs", anchor="published", link="Published", content=[intro])] * bool(runs),
        *(run.section(folder, config.dpi) for run in runs),
        *unfinished_section(loaded, figures, config.dpi),
        cost_section(loaded, runs, figures, config),
    ]
    drawn = [part.path.stem for section in sections for part in section.content if isinstance(part, Figure)]
    counts, claims = appendix.claims(loaded, [entry for found in outcomes.values() for entry in found], drawn)
    sections += [
        Section(title="Every claim of the paper", anchor="claims", content=[Text(counts), claims]),
        rules_section(config),
        Section(title="Every training", anchor="cells", link="Trainings", content=[
            appendix.every_cell(loaded), appendix.means(loaded), appendix.provenance(loaded), appendix.settings(params),
        ]),
    ]  # fmt: skip
    return write_report(TITLE, "", sections, folder)


def first_section(results: Results, outcomes: dict[str, list[Outcome]], runs: list[Published], figures: Path,
                  config: ReportConfig) -> Section:  # fmt: skip
    """What the paper says and whether it is seen here, the rows compared, and at most ten lines of findings."""
    content: list[Content | None] = []
    for dataset, found in outcomes.items():
        own, title = [entry for entry in found if entry.comparison.of_paper], paper.name_of(dataset)
        title = f"What the paper says, and what was measured: {title}"
        content.append(tables.decisions(results, dataset, own, dataset, title) if own else None)
        content.append(charts.ranking(results, dataset, figures, config.dpi))
    content.append(Text(findings(results, outcomes, runs)))
    shown = [part for part in content if part]
    return Section(title="Claims and findings", anchor="findings", link="Claims", content=shown)


def main_section(results: Results, networks: dict[str, dict[str, Any]], figures: Path, config: ReportConfig) -> Section:
    """The paper's Table 1, dataset by dataset, those of the matrix first."""
    datasets = dict.fromkeys([*(d for d in results.datasets if paper.in_paper(d)), *paper.MAIN_DATASETS])
    note = "Drawn from params.yaml, whether or not it was trained."
    diagrams = [
        architecture.diagram(network, f"{paper.MAIN_VARIANT} on {paper.name_of(name)}",
                             figures / f"{name}_architecture.png", config.dpi, note)
        for name, network in networks.items()
    ]  # fmt: skip
    content: list[Content] = [
        tables.overview(results),
        *(tables.main_results(results, dataset) for dataset in datasets),
        *appendix.from_the_paper(),
        *(diagram for diagram in diagrams if diagram),
    ]
    return Section(title="The paper's main results", anchor="main", link="Main", content=content)


def ablation_section(results: Results, dataset: str, outcomes: list[Outcome], figures: Path,
                     config: ReportConfig) -> Section:  # fmt: skip
    """Everything measured on one dataset: ablation and samples, then what is folded."""
    runs = {
        variant: [h for _, cell in results.of(dataset, variant).iterrows() if (h := results.history(cell)) is not None]
        for variant in results.variants(dataset)
    }
    missing = pictures.without_samples(results, dataset)
    missing = ["nothing has run"] if len(missing) == len(results.first_seed(dataset)) else missing
    ablation, *others = (tables.row_table(results, dataset, name, outcomes) for name in tables.LAYOUTS)
    answers = results.folder / dataset / "reference.json"
    seed = f" Pictures are of seed {results.of(dataset).seed.min()}."
    content: list[Content | None] = [
        Text(appendix.reading(results, dataset) + seed),
        ablation,
        pictures.samples(results, dataset, figures, config),
        Text(f"No pictures of: {'; '.join(missing)}.") if missing else None,
        *others,
        charts.progress(results, dataset, figures, config.dpi),
        charts.sample_sizes(results, dataset, figures, config.dpi),
        charts.training_curves(
            {variant: frames for variant, frames in runs.items() if frames}, paper.name_of(dataset),
            figures / f"{dataset}_curves.png", config.dpi,
        ),
        curves.curve_numbers(results, dataset),
        _diagram(results, dataset, figures, config),
        pictures.augmentation(results, dataset, figures),
        pictures.timelines(results, dataset, figures, config),
        pictures.interpolations(results, dataset, figures),
        pictures.neighbours(results, dataset, figures),
        pictures.attention(results, dataset, figures),
        pictures.relative_positions(results, dataset, figures),
        appendix.memorisation(results, dataset),
        appendix.known_answers_table(read_json(answers) if answers.is_file() else {}, f"{dataset}_evaluator"),
    ]  # fmt: skip
    link = "Ablation" * (dataset == results.datasets[0])
    shown = [part for part in content if part]
    return Section(title=f"Ablation: {paper.name_of(dataset)}", anchor=dataset, link=link, content=shown)


def _diagram(results: Results, dataset: str, figures: Path, config: ReportConfig) -> Figure | None:
    """The networks of the full model, or of the first variant of the matrix that a diagram can show."""
    variants = [variant for name, variant in results.trainings if name == dataset]
    for variant in sorted(variants, key=lambda name: name != paper.MAIN_VARIANT):
        network = results.trainings[dataset, variant].get("network")
        path, title = figures / f"{dataset}_architecture.png", f"{variant} on {paper.name_of(dataset)}"
        if drawn := architecture.diagram(network, title, path, config.dpi, "Drawn from the plan in plan/train/."):
            return drawn
    return None


def cost_section(results: Results, runs: list[Published], figures: Path, config: ReportConfig) -> Section:
    """Counted and computed cost against resolution, and measured time and memory."""
    trainings = [training for run in runs for training in run.records.items()]
    content: list[Content] = [charts.growth(figures, config.dpi), appendix.cost(results, trainings)]
    return Section(title="Cost", anchor="cost", link="Cost", content=content)


def rules_section(config: ReportConfig) -> Section:
    """The written rules with their numbers, and where this departs from the paper."""
    template = Template(resources.files("pipeline.report").joinpath("rules.md.j2").read_text(encoding="utf-8"))
    text = template.render(
        same_spread=decide.SAME_SPREAD, margin=decide.MARGIN, paper_margin=decide.PAPER_MARGIN, power=decide.POWER,
        fewest_seeds=decide.FEWEST_SEEDS, enough=tables.ENOUGH, confidence=config.confidence,
    )  # fmt: skip
    return Section(title="Rules", anchor="verdicts", link="Rules", content=[Text(text), appendix.deviations()])
