"""Charts of what happened during training: curves, metrics on the way, the number of samples a metric needs."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from pipeline.report import paper
from pipeline.report.charts import axis_label, log_values, reference_line
from pipeline.report.drawing import COLOURS, Chart, Panel, draw, style
from pipeline.report.metrics import metrics_among
from pipeline.report.results import load_history, load_series

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
POINTS = 200  # drawn per line: more are not told apart in a panel
MOST_LINES = 8  # variants in one chart: as many as there are colours


def histories(cells: pd.DataFrame, results: str) -> dict[str, list[pd.DataFrame]]:
    """Training histories by variant, a frame per seed, of the cells that have at least one row."""
    found: dict[str, list[pd.DataFrame]] = {}
    for _, cell in cells.iterrows():
        history = load_history(results, cell)
        if history is not None and len(history):
            found.setdefault(cell.variant, []).append(history)
    return found


def curve_groups(variants: list[str], cnns: set[str]) -> dict[str, list[str]]:
    """Which variants share a chart of curves: title -> variants, each chart with MOST_LINES at most."""
    attention = [name for name in variants if name.endswith("_attention")]
    models = [paper.MAIN_VARIANT, "no_augment", *(name for name in variants if name in cnns)]
    beyond = [name for name in variants if name in paper.BEYOND]
    steps = [name for name in variants if name not in {*attention, *cnns, *beyond}]
    groups = {"kinds of attention": attention, "the other components": steps}
    if cnns:
        groups["transformer and CNN"] = [name for name in models if name in variants]
    if beyond:
        groups["beyond the paper"] = [name for name in (paper.MAIN_VARIANT, *beyond) if name in variants]
    found: dict[str, list[str]] = {}
    for title, names in groups.items():
        pieces = [names[start : start + MOST_LINES] for start in range(0, len(names), MOST_LINES)]
        found |= {title + (f", {index + 1}" if index else ""): piece for index, piece in enumerate(pieces)}
    return found


def training_curves(
    cells: pd.DataFrame, dataset: str, results: str, variants: list[str], title: str, path: Path, dpi: int
) -> Chart | None:
    """Curves of `variants` against kimg: every seed as recorded (thin), their mean over seeds (thick).

    A panel for every column that any of them has; None where none has a history.
    """
    found = histories(cells[cells.variant.isin(variants)], results)
    found = {variant: found[variant] for variant in variants if variant in found}
    columns = [column for column in CURVES if any(column in h for runs in found.values() for h in runs)]
    if not columns:
        return None

    def panel(column: str) -> Panel:
        def draw_panel(axis: Axes) -> None:
            for index, runs in enumerate(found.values()):
                own = [history[["kimg", column]].dropna() for history in runs if column in history]
                for history in own:
                    shown = _fewer(history, column)
                    marker = "o" if len(shown) == 1 else None
                    axis.plot(
                        shown.kimg, shown[column], color=style(index)["color"], linewidth=0.5, alpha=0.45,
                        marker=marker, markersize=3,
                    )  # fmt: skip
                if own:
                    mean = _mean_curve(own, column)
                    axis.plot(mean.kimg, mean[column], **style(index, marked=max(1, len(mean) // 6)))
            if column in LOGARITHMIC and all((h[column].dropna() > 0).all() for runs in found.values() for h in runs
                                             if column in h):  # fmt: skip
                log_values(axis)
            axis.set_xlabel(KIMG)
            axis.set_ylabel(CURVES[column])

        return draw_panel

    shown = ", ".join(" ".join(CURVES[column].split()) for column in columns)
    alt = f"Training curves of {', '.join(found)} on {paper.name_of(dataset)} against kimg: {shown}."
    seeds = max(len(runs) for runs in found.values())
    thick = "their mean over seeds, smoothed over a fortieth of training" if seeds > 1 else "the same, smoothed"
    return draw(
        path, [panel(column) for column in columns], title=f"Training curves: {title}", alt=alt, dpi=dpi,
        labels=list(found), note=f"Thin: every training as recorded. Thick: {thick}.", folded=True,
    )  # fmt: skip


def progress(
    cells: pd.DataFrame, dataset: str, results: str, variants: list[str], title: str, path: Path, dpi: int
) -> Chart | None:
    """Metrics of `variants` on the way against kimg and hours; None where no training of them was measured twice."""
    found = _series(cells, results, variants, "progress", "kimg")
    metrics = metrics_among({column for runs in found.values() for run in runs for column in run})
    places = [("kimg", KIMG, 1.0), ("seconds", "hours of training", 3600.0)]
    axes = [(metric, place) for metric in metrics for place in places]
    if not axes:
        return None
    alt = f"{', '.join(metrics)} of {', '.join(found)} on {paper.name_of(dataset)} against kimg and against hours."
    return draw(
        path, [_series_panel(found, dataset, metric, place) for metric, place in axes], alt=alt, dpi=dpi,
        title=f"Metrics over training: {title}", labels=list(found),
        note="Thin: every seed. Thick: the mean over seeds.",
    )  # fmt: skip


def sample_sizes(
    cells: pd.DataFrame, dataset: str, results: str, variants: list[str], title: str, path: Path, dpi: int
) -> Chart | None:
    """Metrics of `variants` against the number of generated images; None where that was not measured."""
    found = _series(cells, results, variants, "sample_size", "n_gen")
    metrics = metrics_among({column for runs in found.values() for run in runs for column in run})
    if not metrics:
        return None
    place = ("n_gen", "images generated", 1.0)
    alt = f"{', '.join(metrics)} of {', '.join(found)} on {paper.name_of(dataset)} against the number of samples."
    return draw(
        path, [_series_panel(found, dataset, metric, place, log=True) for metric in metrics], alt=alt, dpi=dpi,
        title=f"How many samples a metric needs: {title}", labels=list(found),
        note="A distance from few samples is too large: values of different sample sizes are not compared.",
    )  # fmt: skip


def _series(
    cells: pd.DataFrame, results: str, variants: list[str], name: str, place: str
) -> dict[str, list[pd.DataFrame]]:
    """The optional files `name`.csv of `variants`, in their order: those with two rows or more."""
    found: dict[str, list[pd.DataFrame]] = {}
    for _, cell in cells[cells.variant.isin(variants)].iterrows():
        frame = load_series(results, cell, name)
        if frame is not None and place in frame and len(frame) > 1:
            found.setdefault(cell.variant, []).append(frame)
    return {variant: found[variant] for variant in variants if variant in found}


def _series_panel(
    found: dict[str, list[pd.DataFrame]], dataset: str, metric: str, place: tuple[str, str, float], *, log: bool = False
) -> Panel:
    column, words, unit = place

    def draw_panel(axis: Axes) -> None:
        for index, runs in enumerate(found.values()):
            own = [run[[column, metric]].dropna() for run in runs if {column, metric} <= {*run}]
            for run in own:
                axis.plot(run[column] / unit, run[metric], color=COLOURS[index], linewidth=0.6, alpha=0.6)
            if own:
                mean = pd.concat(own).groupby(level=0).mean()
                axis.plot(mean[column] / unit, mean[metric], **style(index, marked=1))
        if log:
            places = sorted({place for runs in found.values() for run in runs for place in run[column]})
            axis.set_xscale("log")
            axis.set_xticks(places, [f"{place:,}" for place in places])
            axis.xaxis.set_minor_locator(NullLocator())
        reference_line(axis, dataset, metric, horizontal=True)
        axis.set_xlabel(words)
        axis.set_ylabel(axis_label(metric))

    return draw_panel


def _mean_curve(runs: list[pd.DataFrame], column: str) -> pd.DataFrame:
    """The mean over seeds at the ticks that all runs have, smoothed over a fortieth of them, thinned for drawing."""
    length = min(len(run) for run in runs)
    values = np.mean([run[column].to_numpy()[:length] for run in runs], axis=0)
    mean = pd.DataFrame({"kimg": runs[0].kimg.to_numpy()[:length], column: values})
    mean[column] = mean[column].rolling(max(1, length // 40), min_periods=1).mean()
    return mean.iloc[:: max(1, length // POINTS)]


def _fewer(history: pd.DataFrame, column: str) -> pd.DataFrame:
    """At most about POINTS rows of a curve, each the one of its block that lies farthest from the block's median."""
    block = -(-len(history) // POINTS)
    if block <= 1:
        return history
    groups = np.arange(len(history)) // block
    off = (history[column] - history[column].groupby(groups).transform("median")).abs()
    return history.loc[off.groupby(groups).idxmax()]
