"""The whole report from plan/, results/ and published/: needs no run, no data, no GPU."""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.report import (
    appendix_tables,
    architecture,
    attention_figures,
    charts,
    curves,
    model_tables,
    paper,
    paper_tables,
    published,
    sample_figures,
)
from pipeline.report.claims import claims
from pipeline.report.comparisons import Outcome, outcomes
from pipeline.report.config import ReportConfig
from pipeline.report.findings import findings
from pipeline.report.metrics import family
from pipeline.report.results import (
    cell_sheet,
    dataset_metrics,
    dataset_protocol,
    families,
    load_cells,
    load_index,
    load_reference_answers,
    load_training_plan,
    protocol_text,
)
from pipeline.report.sample_figures import SPACES
from pipeline.report.sections import Block, Section, write_report
from pipeline.report.tables import seeds_note
from pipeline.report.verdict import RULES

TITLE = "TransGAN: paper and measurement"
# What a figure is called in claims.csv -> how its file's name ends.
FIGURES = {
    "architecture": "_architecture",
    "samples": "_samples",
    "attention": "_attention",
    "relative_position": "_relative_position",
    "augment": "_augment",
    "dynamics": "_curves_transformer_and_CNN",
    "growth": "growth",
}


class Report:
    """What all sections are made from, read once."""

    def __init__(self, config: ReportConfig, plan: str, results: str, out: Path):
        self.config, self.results, self.figures = config, results, out / "figures"
        self.index = load_index(plan)
        self.datasets: list[str] = self.index["datasets"]
        self.cells = load_cells(self.index, results)
        self.answers = load_reference_answers(self.index, results)
        self.plans = {(c["dataset"], c["variant"]): load_training_plan(plan, c) for c in reversed(self.index["cells"])}
        self.outcomes: dict[str, list[Outcome]] = {
            dataset: outcomes(self.cells, dataset, config.confidence) for dataset in self.datasets
        }

    def cnns(self) -> set[str]:
        """Variants without a transformer, by their plans; those without a plan by the paper's names."""
        named = {v for model, pair in paper.MODELS.items() if model != "TransGAN" for v in pair}
        found = {variant: families(plan.get("network")) for (_, variant), plan in self.plans.items()}
        return {v for v, pair in found.items() if (pair and "transgan" not in pair) or (not pair and v in named)}


def build_report(config: ReportConfig, params: dict[str, Any], *, plan: str = "plan", results: str = "results",
                 published_runs: str = "published", out: str = "reports") -> Path:  # fmt: skip
    """Write tables/*.csv, figures/*.png, README.md and index.html to `out`; returns the path of README.md.

    `params`: the content of params.yaml, shown as it is.
    """
    report = Report(config, plan, results, Path(out))
    sections = [dataset_section(report, dataset) for dataset in report.datasets]
    sections += [main_section(report), *published_section(published_runs, Path(out), config.dpi), cost_section(report)]
    drawn = {name for name, ending in FIGURES.items() if any(report.figures.glob(f"*{ending}.png"))}
    table = claims(report.cells, report.datasets, report.outcomes, drawn)
    status = Section(title="Status: every claim of the paper", anchor="claims", blocks=[table])
    sections = [findings_section(report), *sections, status, rule_section(config), cells_section(report, params)]
    return write_report(TITLE, heading(report.index), sections, Path(out))


def heading(index: dict[str, Any]) -> list[str]:
    """Cells that stand for each other."""
    twins = {
        (cell["variant"], cell["dataset"], cell["twin_of"]): None for cell in index["cells"] if cell.get("twin_of")
    }
    return [
        f"`{variant}` on {dataset} is the same network and training as `{twin}`." for variant, dataset, twin in twins
    ]


def findings_section(report: Report) -> Section:
    """What was found, before anything else, with the numbers behind it."""
    text = findings(report.index, report.cells, report.outcomes, report.results, report.cnns())
    tables: list[Block] = [
        paper_tables.decisions(found, dataset, seeds_note(report.cells, dataset, report.config.confidence))
        for dataset, found in report.outcomes.items()
        if found
    ]
    return Section(title="Findings", anchor="findings", text=text, blocks=tables)


def dataset_section(report: Report, dataset: str) -> Section:
    """Everything measured on one dataset: samples and comparison first, then tables, then the other pictures."""
    config, cells, results, figures = report.config, report.cells, report.results, report.figures
    own = cells[cells.dataset == dataset]
    first = own[own.seed == own.seed.min()]
    share = len(report.datasets)  # the page's room for pictures is for all datasets
    metrics = dataset_metrics(cells, dataset)
    trained = charts.ranking(own, dataset, metrics, config.confidence, figures / f"{dataset}_ranking.png", config.dpi)
    recipes = {v: plan.get("train", {}) for (name, v), plan in report.plans.items() if name == dataset}
    blocks: list[Block | None] = [
        sample_figures.samples(first, results, figures, config, share),
        trained,
        paper_tables.ablation(cells, dataset, config.confidence),
        model_tables.models(cells, dataset, config.confidence),
        paper_tables.augmentation(cells, dataset, config.confidence),
        paper_tables.components(cells, dataset, config.confidence),
        model_tables.beyond(cells, dataset, results, recipes, config.confidence),
        model_tables.scaling(cells, dataset, config.confidence),
        model_tables.hybrids(cells, dataset, config.confidence),
        paper_tables.others(cells, dataset, config.confidence),
        *training_blocks(report, dataset),
        architecture_chart(report, dataset),
        sample_figures.augmentation_preview(first, results, figures),
        *(
            draw(first, results, figures, config, share)
            for draw in (sample_figures.timelines, sample_figures.interpolations, sample_figures.neighbours)
        ),
        attention_figures.attention(first, results, figures),
        attention_figures.relative_positions(first, results, figures),
        appendix_tables.memorisation(memorised(first, results), dataset),
        appendix_tables.known_answers(report.answers[dataset], dataset),
    ]
    text = reading_notes(cells, dataset, metrics, config)
    missing = sample_figures.cells_without_samples(first, results)
    if missing:
        none = len(missing) == len(first)
        text.append("No pictures: nothing has run." if none else f"No pictures of: {'; '.join(missing)}.")
    return Section(title=paper.name_of(dataset), anchor=dataset, text=text, blocks=[b for b in blocks if b])


def training_blocks(report: Report, dataset: str) -> list[Block | None]:
    """Charts of training, then what the curves hold as numbers."""
    cells, figures, dpi = report.cells, report.figures, report.config.dpi
    own = cells[cells.dataset == dataset]
    blocks: list[Block | None] = [
        curves.progress(own, dataset, report.results, figures / f"{dataset}_progress.png", dpi),
        curves.sample_sizes(own, dataset, report.results, figures / f"{dataset}_sample_sizes.png", dpi),
    ]
    for title, variants in curves.curve_groups(list(dict.fromkeys(own.variant)), report.cnns()).items():
        path = figures / f"{dataset}_curves_{title.replace(',', '').replace(' ', '_')}.png"
        blocks.append(curves.training_curves(own, dataset, report.results, variants, title, path, dpi))
    return [*blocks, appendix_tables.training_curves(cells, dataset, report.results)]


def architecture_chart(report: Report, dataset: str) -> Block | None:
    """The networks of the full model, or of the first variant of the matrix that a diagram can show."""
    variants = [v for name, v in report.plans if name == dataset]
    for variant in sorted(variants, key=lambda name: name != paper.MAIN_VARIANT):
        network = report.plans[dataset, variant].get("network")
        path = report.figures / f"{dataset}_architecture.png"
        drawn = architecture.diagram(network, f"{variant} on {paper.name_of(dataset)}", path, report.config.dpi)
        if drawn:
            return drawn
    return None


def reading_notes(cells: pd.DataFrame, dataset: str, metrics: list[str], config: ReportConfig) -> list[str]:
    """How to read the dataset's numbers."""
    if not metrics:
        return ["Nothing has been measured on this dataset: every cell of its tables says what happened instead."]
    kinds = {metric: family(metric) for metric in metrics}
    meanings = "; ".join(
        f"`{metric}`: {kind.label}, {'lower' if kind.lower else 'higher'} is better"
        for metric, kind in kinds.items()
        if kind
    )
    protocols: dict[str, list[str]] = {}
    for metric in metrics:
        if known := dataset_protocol(cells, dataset, metric):
            protocols.setdefault(protocol_text(known), []).append(f"`{metric}`")
    said = "; ".join(f"{', '.join(names)}: {words}" for words, names in protocols.items())
    if len(protocols) == 1:
        said = next(iter(protocols))
    pictures = f"Pictures are of seed {cells[cells.dataset == dataset].seed.min()}."
    return [f"{meanings}.", f"Protocol: {said}. {seeds_note(cells, dataset, config.confidence)} {pictures}"]


def memorised(cells: pd.DataFrame, results: str) -> list[tuple[str, dict[str, dict[str, float]]]]:
    """Distances to training images by variant and space, of the cells that have both spaces' sheets."""
    found = []
    for _, cell in cells.iterrows():
        sheets = {space: cell_sheet(results, cell, f"neighbours_{space}") for space in SPACES}
        known = {space: sheet.facts for space, sheet in sheets.items() if sheet}
        if len(known) == len(SPACES):
            found.append((cell.variant, known))
    return found


def main_section(report: Report) -> Section:
    """The paper's Table 1, dataset by dataset, those of the matrix first."""
    datasets = list(dict.fromkeys([*(d for d in report.datasets if paper.in_paper(d)), *paper.MAIN_DATASETS]))
    tables: list[Block] = [paper_tables.main_results(report.cells, d, report.config.confidence) for d in datasets]
    text = [
        "The paper's main table. A method that this matrix trains has its measurement beside it; every other row "
        "is the "
        "paper's alone. The training behind a paper value is that method's own."
    ]
    blocks = [*tables, paper_tables.scores_elsewhere(), paper_tables.sources()]
    return Section(title="The paper's main results", anchor="main", text=text, blocks=blocks)


def published_section(folder: str, out: Path, dpi: int) -> list[Section]:
    """A section for every published run, beside the matrix; none if there is none."""
    return [
        Section(
            title=f"Published run: {run.title}",
            anchor=f"published_{run.name}",
            text=published.introduction(run),
            blocks=list(published.blocks(run, out, dpi)),
        )
        for run in published.published_runs(folder)
    ]


def cost_section(report: Report) -> Section:
    """Arithmetic and memory against resolution, time where it was measured."""
    figures, dpi = report.figures, report.config.dpi
    blocks: list[Block] = [
        charts.growth(figures / "growth.png", dpi),
        charts.cost(figures / "cost.png", dpi),
        appendix_tables.cost(report.cells),
    ]
    return Section(title="Cost", anchor="cost", blocks=blocks)


def rule_section(config: ReportConfig) -> Section:
    """The written rules, and where this departs from the paper."""
    lines = [f"- **{subject}:** {rule}" for subject, rule in RULES]
    lines.append(f"Confidence of the intervals: {config.confidence:.0%}.")
    return Section(title="Rules", anchor="verdicts", text=lines, blocks=[appendix_tables.deviations()])


def cells_section(report: Report, params: dict[str, Any]) -> Section:
    """Every value, where it comes from, and what was set."""
    blocks: list[Block] = [
        appendix_tables.every_cell(report.cells),
        appendix_tables.means(report.cells, report.config.confidence),
        appendix_tables.provenance(report.cells),
        appendix_tables.settings(params),
    ]
    return Section(title="Every training and where it comes from", anchor="cells", blocks=blocks)
