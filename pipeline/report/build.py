"""The whole report from plan/, results/ and published/: needs no run, no data, no GPU."""

from pathlib import Path
from typing import Any

from pipeline.plan.config import ReportConfig
from pipeline.report import (
    appendix,
    architecture,
    charts,
    curves,
    paper,
    pictures,
    row_tables,
    tables,
    unfinished,
)
from pipeline.report.claims import claims, counts
from pipeline.report.comparisons import Outcome, compared
from pipeline.report.content import Content, Figure, Section, Table, Text
from pipeline.report.decide import FEWEST_SEEDS, MARGIN, RULES
from pipeline.report.findings import findings, reading
from pipeline.report.page import write_report
from pipeline.report.published import Published, published_runs
from pipeline.report.results import Results, lower_is_better
from pipeline.report.short import is_short, short_report

TITLE = "TransGAN: paper and measurement"
VALUES = (
    (
        "values",
        "A value is over the trainings that ended well: one value, the range of two, mean and t-interval from "
        f"{FEWEST_SEEDS} on. A training that ran out of memory or diverged is named beside it, not averaged.",
    ),
    (
        "the paper's order",
        "The sign between the paper's own two values: on the same data set where it has them, else the sign that all "
        "its data sets share. Values whose protocols are known to differ give no order.",
    ),
    (
        "but",
        "Another metric is named where the row that is worse by the main metric is better by it, by the means of at "
        f"least {FEWEST_SEEDS} trainings of each row and by more than {MARGIN:.0%}. It changes no verdict.",
    ),
    (
        "citations",
        "A paper value that was not read in the paper is marked *quoted*, *recalled* or *weak*, and so is what rests "
        "on it. It never fills a measured cell. Two protocols never share a column; `fd_`, `is_` and `kd_` are never "
        "compared with the paper's FID and IS.",
    ),
)


def build_report(config: ReportConfig, params: dict[str, Any], *, networks: dict[str, dict[str, Any]] | None = None,
                 plan: str = "plan", results: str = "results", published_folder: str = "published",
                 out: str = "reports") -> Path:  # fmt: skip
    """Write tables/*.csv, figures/*.png, README.md and index.html to `out`; returns the path of README.md.

    `params`: the content of params.yaml, shown as it is. `networks`: the full model's on data sets of the paper, drawn
    although the matrix may not train them.
    """
    folder, loaded = Path(out), Results.load(plan, results, config.confidence)
    if is_short(loaded):
        return short_report(loaded, params, config, folder)
    figures, runs = folder / "figures", published_runs(published_folder)
    outcomes = {dataset: compared(loaded, dataset) for dataset in loaded.datasets}
    everything = [outcome for found in outcomes.values() for outcome in found]
    ablations = [
        ablation_section(loaded, dataset, outcomes[dataset], figures, config, first=dataset == loaded.datasets[0])
        for dataset in loaded.datasets
    ]
    cost: list[Content] = [charts.growth(figures, config.dpi), appendix.cost(loaded, runs)]
    sections = [
        first_section(loaded, outcomes, runs, figures, config),
        main_section(loaded, networks or {}, figures, config),
        *ablations,
        *published_section(runs, folder, config),
        *unfinished.section(loaded, figures, config.dpi),
        Section(title="Cost", anchor="cost", link="Cost", content=cost),
    ]
    drawn = [part.path.stem for section in sections for part in section.content if isinstance(part, Figure)]
    status = claims(loaded, everything, drawn)
    sections += [
        Section(title="Every claim of the paper", anchor="claims", content=[Text(counts(status)), status]),
        rules_section(config),
        trainings_section(loaded, params),
    ]
    return write_report(TITLE, [], sections, folder)


def first_section(
    results: Results, outcomes: dict[str, list[Outcome]], runs: list[Published], figures: Path, config: ReportConfig
) -> Section:
    """What the paper says and whether it is seen here, the rows compared, and at most ten lines of findings."""
    content: list[Content | None] = []
    for dataset, found in outcomes.items():
        own = [entry for entry in found if entry.comparison.topic not in ("beyond", "off full")]
        metric = results.main_metric(dataset)
        better = "lower" if metric and lower_is_better(metric) else "higher"
        note = (
            f"*Measured*: `{metric}`, {better} is better, of the first row / of the second, and their ratio with its "
            f"{results.confidence:.0%} interval. *Same?* by [the rule](#verdicts)."
        )
        content.append(tables.claims_here(own, dataset, note) if own else None)
        content.append(charts.ranking(results, dataset, figures, config.dpi))
    content.append(Text(findings(results, outcomes, runs)))
    return Section(
        title="Claims and findings", anchor="findings", link="Claims", content=[part for part in content if part]
    )


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
        appendix.scores_elsewhere(),
        appendix.sources(),
        *(diagram for diagram in diagrams if diagram),
    ]
    return Section(title="The paper's main results", anchor="main", link="Main", content=content)


def ablation_section(results: Results, dataset: str, outcomes: list[Outcome], figures: Path, config: ReportConfig, *,
                     first: bool) -> Section:  # fmt: skip
    """Everything measured on one dataset: ablation and samples, then what is folded."""
    runs = {
        variant: [h for _, cell in results.of(dataset, variant).iterrows() if (h := results.history(cell)) is not None]
        for variant in results.variants(dataset)
    }
    missing = pictures.without_samples(results, dataset)
    missing = ["nothing has run"] if len(missing) == len(results.first_seed(dataset)) else missing
    content: list[Content | None] = [
        Text(reading(results, dataset)),
        row_tables.ablation(results, dataset, outcomes),
        pictures.samples(results, dataset, figures, config),
        Text(f"No pictures of: {'; '.join(missing)}.") if missing else None,
        row_tables.models(results, dataset, outcomes),
        row_tables.augmentation(results, dataset, outcomes),
        row_tables.components(results, dataset, outcomes),
        row_tables.beyond(results, dataset, outcomes),
        *row_tables.early_versions(results, dataset),
        row_tables.others(results, dataset, outcomes),
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
        appendix.known_answers(results, dataset),
    ]  # fmt: skip
    shown = [part for part in content if part]
    title = f"Ablation: {paper.name_of(dataset)}"
    return Section(title=title, anchor=dataset, link="Ablation" if first else "", content=shown)


def _diagram(results: Results, dataset: str, figures: Path, config: ReportConfig) -> Figure | None:
    """The networks of the full model, or of the first variant of the matrix that a diagram can show."""
    variants = [variant for name, variant in results.trainings if name == dataset]
    for variant in sorted(variants, key=lambda name: name != paper.MAIN_VARIANT):
        network = results.trainings[dataset, variant].get("network")
        path, title = figures / f"{dataset}_architecture.png", f"{variant} on {paper.name_of(dataset)}"
        if drawn := architecture.diagram(network, title, path, config.dpi, "Drawn from the plan in plan/train/."):
            return drawn
    return None


def published_section(runs: list[Published], out: Path, config: ReportConfig) -> list[Section]:
    """Runs that are kept beside the matrix; no section without any."""
    content = [part for run in runs for part in run.content(out, config.dpi, config.confidence)]
    return [Section(title="Published runs", anchor="published", link="Published", content=content)] if runs else []


def rules_section(config: ReportConfig) -> Section:
    """The written rules, and where this departs from the paper."""
    lines = "\n".join(f"- **{subject}:** {rule}" for subject, rule in (*RULES, *VALUES))
    text = f"{lines}\n\nConfidence of the intervals: {config.confidence:.0%}."
    return Section(title="Rules", anchor="verdicts", link="Rules", content=[Text(text), appendix.deviations()])


def trainings_section(results: Results, params: dict[str, Any]) -> Section:
    """Every value, where it comes from, and what was set."""
    content: list[Table] = [
        appendix.every_cell(results), appendix.means(results), appendix.provenance(results), appendix.settings(params)
    ]  # fmt: skip
    return Section(title="Every training", anchor="cells", link="Trainings", content=[*content])
