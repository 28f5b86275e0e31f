"""The section of one dataset: samples and comparison first, then tables, training, networks, the other pictures."""

import pandas as pd

from pipeline.plan.config import ReportConfig
from pipeline.report import (
    appendix_tables,
    architecture,
    attention_figures,
    augment_figure,
    charts,
    curves,
    dynamics,
    model_tables,
    paper,
    paper_tables,
    reach_figure,
    sample_figures,
)
from pipeline.report.content import Content
from pipeline.report.metrics import family
from pipeline.report.results import dataset_metrics, dataset_protocol, protocol_text
from pipeline.report.sample_figures import SPACES
from pipeline.report.sections import Block, Section
from pipeline.report.sheets import cell_sheet
from pipeline.report.tables import seeds_note


def dataset_section(report: Content, dataset: str) -> Section:
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
        dynamics.table(dynamics.counted(cells, dataset, results, report.cnns()), dataset),
        paper_tables.augmentation(cells, dataset, config.confidence),
        paper_tables.components(cells, dataset, config.confidence),
        model_tables.beyond(cells, dataset, results, recipes, config.confidence),
        model_tables.scaling(cells, dataset, config.confidence),
        model_tables.hybrids(cells, dataset, config.confidence),
        paper_tables.others(cells, dataset, config.confidence),
        *training_blocks(report, dataset),
        architecture_chart(report, dataset),
        reach_figure.reach([plan for (name, _), plan in report.plans.items() if name == dataset], dataset, figures),
        augment_figure.augmentation_preview(first, results, figures),
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


def training_blocks(report: Content, dataset: str) -> list[Block | None]:
    """Charts of training, then what the curves hold as numbers."""
    cells, figures, dpi = report.cells, report.figures, report.config.dpi
    own = cells[cells.dataset == dataset]
    groups = curves.curve_groups(list(dict.fromkeys(own.variant)), report.cnns())
    blocks: list[Block | None] = []
    for kind, chart in (
        ("progress", curves.progress),
        ("sample_sizes", curves.sample_sizes),
        ("curves", curves.training_curves),
    ):
        for title, variants in groups.items():
            path = figures / f"{dataset}_{kind}_{title.replace(',', '').replace(' ', '_')}.png"
            blocks.append(chart(own, dataset, report.results, variants, title, path, dpi))
    return [*blocks, appendix_tables.training_curves(cells, dataset, report.results)]


def architecture_chart(report: Content, dataset: str) -> Block | None:
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
