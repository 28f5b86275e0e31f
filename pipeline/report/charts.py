"""Charts of a data set: its rows compared, and its trainings over time, all rows on one axis."""

from pathlib import Path

import pandas as pd

from pipeline.report import paper
from pipeline.report.document import Figure
from pipeline.report.drawing import INK, Panel, Runs, lines, page_wide
from pipeline.report.formats import interval
from pipeline.report.results import Results, lower_is_better, metrics_among

CURVES = {
    "wasserstein": "D(real) − D(fake)",
    "penalty": "gradient penalty, unweighted",
    "score_real": "mean D(real)",
    "score_fake": "mean D(fake)",
    "gradient_d": "gradient norm of D, unclipped",
    "gradient_g": "gradient norm of G, unclipped",
    "ema_distance": "relative distance of averaged G",
    "sample_spread": "spread of samples over latents",
}
LOGARITHMIC = {"penalty", "gradient_d", "gradient_g", "ema_distance"}
KIMG = "kimg (thousands of real images shown to D)"
BAND = "A line is the mean over trainings, its band their smallest and largest value."


def ranking(results: Results, dataset: str, folder: Path, dpi: int) -> Figure | None:
    """Every row's metrics: a dot a training, mean and interval from three on; None without values."""
    metrics = [metric for metric in results.metrics(dataset) if metric in results.cells]
    variants = [v for v in results.variants(dataset) if any(len(results.values(dataset, v, m)) for m in metrics)]
    if not variants:
        return None
    path, widths = folder / f"{dataset}_ranking.png", [2, *[1] * (len(metrics) - 1)]
    with page_wide(path, 1 + 0.28 * len(variants), dpi) as figure:
        axes = figure.subplots(1, len(metrics), squeeze=False, sharey=True, width_ratios=widths)[0]
        for axis, metric in zip(axes, metrics, strict=True):
            for place, variant in enumerate(variants):
                values = results.values(dataset, variant, metric)
                mean, half = interval(values, results.confidence)
                if half is not None:
                    axis.errorbar(mean, place, xerr=half, color="C0", capsize=3, fmt="|", markersize=11)
                axis.plot(values, [place] * len(values), "o", color="C0", alpha=0.6)
            for name, value in papers_number(dataset, metric).items():
                axis.axvline(value, color=INK, linestyle=":", linewidth=1, marker="")
                axis.text(value, 0.02, name, transform=axis.get_xaxis_transform(), fontsize=8, ha="right")
            if metric.startswith(("precision", "recall")):
                axis.set_xlim(0, 1)
            axis.set_xlabel(axis_label(metric))
        axes[0].set_yticks(range(len(variants)), variants)
        axes[0].set_ylim(len(variants) - 0.5, -0.5)
    alt = f"{', '.join(metrics)} of {', '.join(variants)} on {paper.name_of(dataset)}; the numbers are in the tables"
    note = "A dot is a training; the bar is the mean with its interval, from three trainings on."
    return Figure(title="Rows compared", path=path, alt=alt, note=note)


def axis_label(metric: str) -> str:
    """`fd_digits`, and which way is better."""
    return f"{metric}\n({'lower' if lower_is_better(metric) else 'higher'} is better)"


def papers_number(dataset: str, metric: str) -> dict[str, float]:
    """The paper's value of the metric on the data set, as a mark of a chart; {} unless the metric is its protocol."""
    values = (paper.paper_value("main", "TransGAN", dataset, name) for name in ("FID", "IS"))
    own = [value.value for value in values if value and value.value is not None and value.measured_as(metric)]
    return {"paper": own[0]} if own else {}


def progress(results: Results, dataset: str, path: Path, dpi: int) -> Figure | None:
    """Metrics on the way, a panel for each against kimg and against time; None where no training was measured twice."""
    runs = results.curves(dataset, "progress")
    measured = pd.concat([pd.DataFrame(), *(frame for frames in runs.values() for frame in frames)])
    if not (metrics := metrics_among(measured)):
        return None
    axes = {"kimg": (KIMG, 1.0)} | ({"seconds": ("minutes of training", 60.0)} if "seconds" in measured else {})
    panels = [
        Panel(x, metric, label, axis_label(metric), unit, lower_is_better(metric), (), papers_number(dataset, metric))
        for metric in metrics
        for x, (label, unit) in axes.items()
    ]
    against = " and ".join(label for label, _ in axes.values())
    alt = f"{', '.join(metrics)} of {', '.join(runs)} on {paper.name_of(dataset)} against {against}"
    return lines(path, runs, panels, dpi, columns=len(axes), height=3.6,
                 title="Metrics over training", alt=alt, note=BAND, folded=True)  # fmt: skip


def training_curves(runs: Runs, name: str, path: Path, dpi: int) -> Figure | None:
    """Losses, norms and scores against kimg, a panel for every column that any training has; None without any."""
    panels = [
        Panel("kimg", column, KIMG, label, log=column in LOGARITHMIC)
        for column, label in CURVES.items()
        if any(column in frame for frames in runs.values() for frame in frames)
    ]
    if not panels:
        return None
    alt = f"{', '.join(panel.y_label for panel in panels)} of {', '.join(runs)} on {name} against kimg"
    return lines(path, runs, panels, dpi, columns=2, height=2.6,
                 title="Training curves", alt=alt, note=BAND, folded=True)  # fmt: skip
