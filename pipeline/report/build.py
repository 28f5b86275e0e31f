"""The whole report from plan/, results/ and published/: needs no run, no data, no GPU."""

from pathlib import Path
from typing import Any

from pipeline.plan.config import ReportConfig
from pipeline.report import appendix_tables, architecture, charts, paper, paper_tables, published, unfinished
from pipeline.report.claims import claims, counts
from pipeline.report.content import Content
from pipeline.report.dataset_section import dataset_section
from pipeline.report.findings import findings
from pipeline.report.published import Published, published_runs
from pipeline.report.published_figures import blocks as published_blocks
from pipeline.report.sections import Block, Section, write_report
from pipeline.report.tables import seeds_note
from pipeline.report.verdict import RULES

TITLE = "TransGAN: paper and measurement"
# What a figure is called in claims.csv -> how its file's name ends.
FIGURES = {
    "architecture": "_architecture",
    "samples": "_samples",
    "attention": "_attention",
    "reach": "_reach",
    "relative_position": "_relative_position",
    "augment": "_augment",
    "dynamics": "_curves_transformer_and_CNN",
    "growth": "growth",
}


def build_report(config: ReportConfig, params: dict[str, Any], *, networks: dict[str, dict[str, Any]] | None = None,
                 plan: str = "plan", results: str = "results", published_folder: str = "published",
                 out: str = "reports") -> Path:  # fmt: skip
    """Write tables/*.csv, figures/*.png, README.md and index.html to `out`; returns the path of README.md.

    `params`: the content of params.yaml, shown as it is. `networks`: the full model's on data sets of the paper, drawn
    although the matrix may not train them.
    """
    report, runs = Content(config, plan, results, Path(out)), published_runs(published_folder)
    sections = [published_section(run, Path(out), config) for run in runs]
    sections += [dataset_section(report, dataset) for dataset in report.datasets]
    sections += [main_section(report, networks or {}), cost_section(report)]
    at_work = unfinished.section(report.index, report.figures, config.dpi, plan=plan, results=results)
    sections = [findings_section(report, runs), *at_work, status_section(report), *sections]
    return write_report(
        TITLE, heading(report.index), [*sections, rule_section(config), cells_section(report, params)], Path(out)
    )


def heading(index: dict[str, Any]) -> list[str]:
    """Cells that stand for each other."""
    twins = {
        (cell["variant"], cell["dataset"], cell["twin_of"]): None for cell in index["cells"] if cell.get("twin_of")
    }
    return [
        f"`{variant}` on {dataset} is the same network and training as `{twin}`." for variant, dataset, twin in twins
    ]


def findings_section(report: Content, runs: list[Published]) -> Section:
    """What was found, before anything else, with the numbers behind it."""
    text = findings(report.index, report.cells, report.outcomes, report.beyond, report.results, report.cnns())
    text += published.sentences(runs, report.config.confidence)
    tables: list[Block] = [
        paper_tables.decisions(found, dataset, seeds_note(report.cells, dataset, report.config.confidence))
        for dataset, found in report.outcomes.items()
        if found
    ]
    return Section(title="Findings", anchor="findings", text=text, blocks=tables)


def status_section(report: Content) -> Section:
    """Claim, code, evidence, state; the pictures that it points at are drawn before."""
    drawn = {name for name, ending in FIGURES.items() if any(report.figures.glob(f"*{ending}.png"))}
    table = claims(report.cells, report.datasets, report.outcomes, drawn)
    return Section(title="Status: every claim of the paper", anchor="claims", text=[counts(table)], blocks=[table])


def main_section(report: Content, networks: dict[str, dict[str, Any]]) -> Section:
    """The paper's Table 1, dataset by dataset, those of the matrix first."""
    datasets = list(dict.fromkeys([*(d for d in report.datasets if paper.in_paper(d)), *paper.MAIN_DATASETS]))
    tables: list[Block] = [paper_tables.main_results(report.cells, d, report.config.confidence) for d in datasets]
    text = [
        "The paper's main table. A method that this matrix trains has its measurement beside it. Every "
        "other row is the "
        "paper's alone. The training behind a paper value is that method's own."
    ]
    note = "Drawn from params.yaml, whether or not it was trained."
    diagrams = [
        architecture.diagram(
            network, f"{paper.MAIN_VARIANT} on {paper.name_of(name)}", report.figures / f"{name}_architecture.png",
            report.config.dpi, note,
        )
        for name, network in networks.items()
    ]  # fmt: skip
    blocks = [*tables, paper_tables.scores_elsewhere(), paper_tables.sources(), *(d for d in diagrams if d)]
    return Section(title="The paper's main results", anchor="main", text=text, blocks=blocks)


def published_section(run: Published, out: Path, config: ReportConfig) -> Section:
    """A published run, beside the matrix."""
    return Section(
        title=f"Published run: {run.title}",
        anchor=run.anchor,
        text=published.introduction(run),
        blocks=list(published_blocks(run, out, config.dpi, config.confidence)),
    )


def cost_section(report: Content) -> Section:
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


def cells_section(report: Content, params: dict[str, Any]) -> Section:
    """Every value, where it comes from, and what was set."""
    blocks: list[Block] = [
        appendix_tables.every_cell(report.cells),
        appendix_tables.means(report.cells, report.config.confidence),
        appendix_tables.provenance(report.cells),
        appendix_tables.settings(params),
    ]
    return Section(title="Every training and where it comes from", anchor="cells", blocks=blocks)
