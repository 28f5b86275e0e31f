"""The whole report from plan/index.json and results/: needs no run, no data, no GPU."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.files import write_text
from pipeline.report import charts, gallery, ledgers, markdown, paper, tables
from pipeline.report.cells import dataset_metrics, dataset_protocol, in_words, load_cells, load_index, load_reference_answers
from pipeline.report.charts import Chart
from pipeline.report.config import ReportConfig
from pipeline.report.gallery import SPACES, Group
from pipeline.report.metrics import family
from pipeline.report.page import render
from pipeline.report.tables import Table
from pipeline.report.verdict import RULE


@dataclass
class Section:
    """One heading of the report with all that stands under it, in the order in which it is shown."""

    title: str
    anchor: str
    text: list[str] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def build_report(config: ReportConfig, params: dict[str, Any], *, plan: str = "plan", results: str = "results", out: str = "reports") -> Path:
    """Write tables/*.csv, figures/*.png, README.md and index.html to `out`; returns the path of README.md.

    `params`: the content of params.yaml, shown as it is.
    """
    index, folder = load_index(plan), Path(out)
    cells, answers = load_cells(index, results), load_reference_answers(index, results)
    sections = [dataset_section(dataset, cells, answers[dataset], results, folder / "figures", config, share=len(index["datasets"])) for dataset in index["datasets"]]
    sections += [paper_section(cells, index, config), cost_section(cells, folder / "figures", config), rule_section(config), cells_section(cells, params, config)]
    head = heading(index, cells)
    for section in sections:
        for table in section.tables:
            write_text(folder / "tables" / f"{table.name}.csv", table.frame.to_csv(index=False))
    write_text(folder / "README.md", _markdown(head, sections, folder))
    write_text(folder / "index.html", render("TransGAN: paper and measurement", head, sections))
    return folder / "README.md"


def heading(index: dict[str, Any], cells: pd.DataFrame) -> list[str]:
    """What this report is about, and what befell its cells."""
    states = ", ".join(f"{count} {state}" for state, count in cells.state.value_counts().items())
    lines = [
        f"Profile `{index['profile']}`, datasets {', '.join(index['datasets'])}, seeds {', '.join(map(str, index['seeds']))}; {len(cells)} cells: {states}. "
        "Every measured number was written by the code in this repository; paper values stand in columns of their own, with the status of their citation."
    ]
    lines += [
        f"`{cell['variant']}` on {cell['dataset']} (seed {cell['seed']}) is the same network and training as `{cell['twin_of']}`."
        for cell in index["cells"]
        if cell["twin_of"]
    ]
    return lines


def dataset_section(dataset: str, cells: pd.DataFrame, answers: dict[str, float], results: str, figures: Path, config: ReportConfig, share: int = 1) -> Section:
    """Everything measured on one dataset: pictures, charts, tables. The page's room for pictures is for `share` datasets."""
    own = cells[cells.dataset == dataset]
    first = own[own.seed == own.seed.min()]
    drawn = [draw(first, results, figures, config, share) for draw in (gallery.samples, gallery.timelines, gallery.interpolations, gallery.neighbours)]
    drawn += [draw(first, results, figures) for draw in (gallery.attention, gallery.relative_positions)]
    metrics = dataset_metrics(cells, dataset)
    drawn_charts = [
        charts.ranking(own, dataset, metrics, config.confidence, figures / f"{dataset}_ranking.png", config.dpi),
        charts.metric_history(first, dataset, results, figures / f"{dataset}_metrics.png", config.dpi),
        charts.curves(first, dataset, results, figures / f"{dataset}_curves.png", config.dpi),
    ]
    text = protocol_text(cells, dataset, metrics, config)
    if metrics and drawn_charts[1] is None:
        text.append("Metrics were measured once per cell, at the end of training: there is no curve of a metric against kimg.")
    missing = gallery.without(first, results)
    if missing:
        text.append("No pictures: nothing has run." if not any(drawn) else f"No pictures of: {'; '.join(missing)}.")
    return Section(
        title=paper.name_of(dataset),
        anchor=dataset,
        text=text,
        groups=[group for group in drawn if group],
        charts=[chart for chart in drawn_charts if chart],
        tables=[
            tables.ablation(cells, dataset, config.confidence),
            tables.augmentation(cells, dataset, config.confidence),
            tables.components(cells, dataset, config.confidence),
            tables.others(cells, dataset, config.confidence),
            ledgers.known_answers(answers, dataset),
            ledgers.memorisation(memorised(first, results), dataset),
            ledgers.health(cells, dataset, results),
        ],
    )


def protocol_text(cells: pd.DataFrame, dataset: str, metrics: list[str], config: ReportConfig) -> list[str]:
    """How to read the dataset's numbers."""
    if not metrics:
        return ["Nothing has been measured on this dataset: every cell of its tables says what happened instead."]
    meanings = "; ".join(f"`{metric}`: {family(metric).label}, {'lower' if family(metric).lower else 'higher'} is better" for metric in metrics)
    protocols: dict[str, list[str]] = {}
    for metric in metrics:
        if known := dataset_protocol(cells, dataset, metric):
            protocols.setdefault(in_words(known), []).append(f"`{metric}`")
    said = "; ".join(f"{', '.join(names)}: {words}" for words, names in protocols.items()) if len(protocols) > 1 else "".join(protocols)
    return [
        f"{meanings}.",
        f"Protocol of every number in this section's columns: {said}. Intervals are {config.confidence:.0%} t-intervals over training seeds. Pictures are of the first seed.",
    ]


def memorised(cells: pd.DataFrame, results: str) -> list[tuple[str, dict[str, dict[str, float]]]]:
    found = []
    for _, cell in cells.iterrows():
        sheets = {space: gallery.load_sheet(results, cell, f"neighbours_{space}") for space in SPACES}
        if all(sheets.values()):
            found.append((cell.variant, {space: sheet.facts for space, sheet in sheets.items()}))
    return found


def paper_section(cells: pd.DataFrame, index: dict[str, Any], config: ReportConfig) -> Section:
    """The paper's Table 1, dataset by dataset, those of the matrix first."""
    datasets = list(dict.fromkeys([*index["datasets"], *paper.MAIN_DATASETS]))
    text = ["The paper's main table. Other methods' rows are the paper's; this pipeline builds and measures TransGAN alone, so they stay `not run`."]
    return Section("Main results: the paper's Table 1", "main", text=text, tables=[tables.main_results(cells, dataset, config.confidence) for dataset in datasets])


def cost_section(cells: pd.DataFrame, figures: Path, config: ReportConfig) -> Section:
    return Section("Cost", "cost", charts=[charts.cost(figures / "cost.png", config.dpi)], tables=[ledgers.cost(cells)])


def rule_section(config: ReportConfig) -> Section:
    lines = [f"**{subject}:** {rule}" for subject, rule in RULE]
    return Section("How verdicts are reached", "verdicts", text=[*lines, f"Confidence of the intervals: {config.confidence:.0%}."], tables=[ledgers.deviations()])


def cells_section(cells: pd.DataFrame, params: dict[str, Any], config: ReportConfig) -> Section:
    return Section("Every cell and where it comes from", "cells", tables=[ledgers.every_cell(cells), ledgers.summary(cells, config.confidence), ledgers.provenance(cells), ledgers.settings(params)])


def _markdown(head: list[str], sections: list[Section], folder: Path) -> str:
    parts = ["# TransGAN: paper and measurement", *head, "[The same as one page](index.html), with a slider over training, sortable and filterable tables: save it and open it from disk."]
    for section in sections:
        parts += [f"## {section.title}", *section.text]
        for group in section.groups:
            shown = "\n\n".join(markdown.picture(path, f"{group.title}: {path.stem.replace('_', ' ')}", folder) for path in group.files[:1])
            folded = "\n\n".join(markdown.picture(path, f"{group.title}: {path.stem.replace('_', ' ')}", folder) for path in group.files[1:])
            parts += [f"### {group.title}", group.note, shown, *([markdown.fold(f"{len(group.files) - 1} more", folded)] if folded else [])]
        for chart in section.charts:
            parts += [f"### {chart.title}", markdown.picture(folder / "figures" / f"{chart.name}.png", chart.alt, folder)]
        parts += [markdown.table(table) for table in section.tables]
    return "\n\n".join(parts) + "\n"
