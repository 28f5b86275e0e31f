"""A data set's rows compared, and its trainings over time: charts, all rows on one axis, and curves as numbers."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.report import paper
from pipeline.report.document import Figure, Table, caption
from pipeline.report.drawing import INK, Panel, columns_of, lines, page_wide
from pipeline.report.formats import interval, number
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
PARTS = 10  # equal parts of a training over which its curves are averaged
FEWEST_TICKS = 20  # from which on a part is at least two ticks
SPIKE = 10.0  # a tick is a spike if its gradient norm is more than so many times the training's median
COLUMNS = {
    "penalty": "penalty, last tenth",
    "gradient_d": "largest gradient norm of D",
    "gradient_g": "largest gradient norm of G",
    "sample_spread": "spread of samples, last tenth",
}


def ranking(results: Results, dataset: str, folder: Path) -> Figure | None:
    """Every row's metrics: a dot a training, mean and interval from three on; None without values."""
    metrics = [metric for metric in results.metrics(dataset) if metric in results.cells]
    variants = [v for v in results.variants(dataset) if any(len(results.values(dataset, v, m)) for m in metrics)]
    if not variants:
        return None
    path, widths = folder / f"{dataset}_ranking.png", [2, *[1] * (len(metrics) - 1)]
    with page_wide(path, 1 + 0.28 * len(variants)) as figure:
        axes = figure.subplots(1, len(metrics), squeeze=False, sharey=True, width_ratios=widths)[0]
        for axis, metric in zip(axes, metrics, strict=True):
            for place, variant in enumerate(variants):
                values = results.values(dataset, variant, metric)
                mean, half = interval(values)
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
    names = {"metrics": ", ".join(metrics), "names": ", ".join(variants), "dataset": paper.name_of(dataset)}
    return Figure(path=path, **caption("ranking", **names))


def axis_label(metric: str) -> str:
    """`fd_digits`, and which way is better."""
    return f"{metric}\n({'lower' if lower_is_better(metric) else 'higher'} is better)"


def papers_number(dataset: str, metric: str) -> dict[str, float]:
    """The paper's value of the metric on the data set, as a mark of a chart; {} unless the metric is its protocol."""
    values = (paper.paper_value("main", "TransGAN", dataset, name) for name in ("FID", "IS"))
    own = [value.value for value in values if value and value.value and value.measured_as(metric)]
    return {"paper": own[0]} if own else {}


def progress(results: Results, dataset: str, folder: Path) -> Figure | None:
    """Metrics on the way, a panel for each against kimg and against time; None where no training was measured twice."""
    runs = results.curves(dataset, "progress")
    measured = columns_of(runs)
    if not (metrics := metrics_among(measured)):
        return None
    axes = {"kimg": (KIMG, 1.0)} | ({"seconds": ("minutes of training", 60.0)} if "seconds" in measured else {})
    panels = [
        Panel(x, metric, label, axis_label(metric), unit, lower_is_better(metric), (), papers_number(dataset, metric))
        for metric in metrics
        for x, (label, unit) in axes.items()
    ]
    return lines(folder / f"{dataset}_progress.png", runs, panels, "progress", columns=len(axes), height=3.6,
                 shown=", ".join(metrics), dataset=paper.name_of(dataset),
                 against=" and ".join(label for label, _ in axes.values()))  # fmt: skip


def training_curves(results: Results, dataset: str, folder: Path) -> Figure | None:
    """Losses, norms and scores against kimg, a panel for every column that any training has; None without any."""
    runs = results.curves(dataset, "history")
    known = {column: label for column, label in CURVES.items() if column in columns_of(runs)}
    panels = [Panel("kimg", column, KIMG, label, log=column in LOGARITHMIC) for column, label in known.items()]
    if not panels:
        return None
    return lines(folder / f"{dataset}_curves.png", runs, panels, "curves", columns=2, height=2.6,
                 shown=", ".join(known.values()), dataset=paper.name_of(dataset))  # fmt: skip


def curve_numbers(results: Results, dataset: str) -> Table:
    """The curves of the data set in numbers, a row a training."""
    rows = [
        {"variant": cell.variant, "seed": cell.seed} | curve_summary(cell.to_dict(), results.series(cell, "history"))
        for _, cell in results.of(dataset).iterrows()
    ]
    return Table(name=f"{dataset}_curves", frame=pd.DataFrame(rows), folded=True, **caption("curve_numbers"))


def curve_summary(cell: dict[str, Any], history: pd.DataFrame) -> dict[str, str]:
    """How a cell ended, and its critic's estimate, penalty, gradient norms, spread of samples, as far as recorded."""
    few = f"; {len(history)} ticks, too few to read" * (0 < len(history) < FEWEST_TICKS)
    row = {"ended": f"{ending(cell)}{few}"}
    if len(history) < FEWEST_TICKS:
        return row
    if "wasserstein" in history:
        means, ends = parts(history.wasserstein), parts(history.kimg, "last")
        row |= {
            "D(real) − D(fake), first tenth": number(means[0]),
            "lowest tenth (ends at kimg)": f"{number(means.min())} ({ends[means.idxmin()]:g})",
            "highest tenth (ends at kimg)": f"{number(means.max())} ({ends[means.idxmax()]:g})",
            "last tenth": number(means.iloc[-1]),
        }
    for name, words in COLUMNS.items():
        if name in history:
            tenths = parts(history[name])
            row[words] = _largest(history.kimg, history[name]) if "gradient" in name else number(tenths.iloc[-1])
    return row


def ending(cell: dict[str, Any]) -> str:
    """How a cell ended; one that did not end well with what its record knows."""
    known = {key: value for key, value in cell.items() if value is not None and value == value}
    if cell["status"] == "diverged":
        return f"{cell['state']}: {known.get('detail', 'reason not recorded')}"
    if cell["status"] != "oom":
        return str(cell["status"])
    asked = known.get("bytes_asked", 0) / 2**30
    text = f"{number(asked)} GiB more were asked for" if asked else "out of memory"
    text += f" on {known.get('device', 'an unknown device')}"
    if {"batch_discriminator", "batch_generator"} <= {*known}:
        text += ", batches of {batch_discriminator:.0f} (D) and {batch_generator:.0f} (G)".format(**known)
    return f"{text}; would help: {known['would_help']}" if "would_help" in known else text


def parts(curve: pd.Series, statistic: str = "mean") -> pd.Series:
    """A statistic of the PARTS equal parts of a curve, in order. Ticks that are not finite are left out."""
    finite = curve.where(np.isfinite(curve)).reset_index(drop=True)
    return finite.groupby(np.arange(len(curve)) * PARTS // len(curve)).agg(statistic)


def _largest(kimg: pd.Series, norms: pd.Series) -> str:
    """`174,134 at 46.5 kimg, 74,700 x the median; 10 spikes in 200 ticks`. A tick that is not finite is a spike."""
    finite = norms[np.isfinite(norms)]
    if finite.empty:
        return "not finite"
    median, spikes = finite.median(), int((~(norms <= SPIKE * finite.median())).sum())
    times = f", {finite.max() / median:,.3g} x the median" if median > 0 else ""
    counted = f"{spikes} spike{'s' * (spikes != 1)} in {len(norms)} ticks"
    return f"{number(finite.max())} at {kimg[finite.idxmax()]:g} kimg{times}; {counted}"
