"""Charts of training and of cost: rows compared, on one axis for all rows of a data set, and cost by resolution."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from pipeline.metrics.registry import column as metric_column
from pipeline.report import paper
from pipeline.report.content import Figure
from pipeline.report.drawing import COLOURS, INK, MARKERS, STYLES, Panel, draw, logarithmic, look
from pipeline.report.formats import interval
from pipeline.report.results import Results, lower_is_better, metrics_among

KINDS = ("standard", "nystrom", "axis", "grid")
CARDS = (24, 80)  # GiB of two common GPUs
DODGE = 1.035  # lines that lie on each other are moved sideways by this factor, so that each can be seen
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
BLOCKS = 60  # of a curve: within each the mean, the smallest and the largest value are drawn
BAND = "A line is the mean over trainings, its band their smallest and largest value."

Runs = dict[str, list[pd.DataFrame]]  # by variant, a frame a training


def ranking(results: Results, dataset: str, folder: Path, dpi: int) -> Figure | None:
    """Every row's metrics: a dot a training, mean and interval from three on; None without values."""
    metrics = [metric for metric in results.metrics(dataset) if metric in results.cells]
    variants = [v for v in results.variants(dataset) if any(len(results.values(dataset, v, m)) for m in metrics)]
    if not variants:
        return None

    def panel(metric: str) -> Panel:
        def draw_panel(axis: Axes) -> None:
            for place, variant in enumerate(variants):
                values = results.values(dataset, variant, metric)
                if values.empty:
                    continue
                mean, half = interval(values, results.confidence)
                if half is not None:
                    axis.errorbar(mean, place, xerr=half, color=COLOURS[0], capsize=3, fmt="|", markersize=11)
                axis.plot(values, [place] * len(values), "o", markersize=4, color=COLOURS[0], alpha=0.6)
            reference_line(axis, dataset, metric, horizontal=False)
            axis.set_yticks(range(len(variants)), variants)
            axis.set_ylim(len(variants) - 0.5, -0.5)
            if metric.startswith(("precision", "recall")):
                axis.set_xlim(0, 1)
            axis.set_xlabel(axis_label(metric))

        return draw_panel

    path = folder / f"{dataset}_ranking.png"
    draw(path, [panel(metric) for metric in metrics], dpi, height=1 + 0.28 * len(variants), share_y=True,
         widths=[2.0, *[1.0] * (len(metrics) - 1)])  # fmt: skip
    alt = f"{', '.join(metrics)} of {', '.join(variants)} on {paper.name_of(dataset)}; the numbers are in the tables"
    note = "A dot is a training; the bar is the mean with its interval, from three trainings on."
    return Figure(title="Rows compared", path=path, alt=alt, note=note)


def axis_label(metric: str) -> str:
    """`fd_digits`, and which way is better."""
    return f"{metric}\n({'lower' if lower_is_better(metric) else 'higher'} is better)"


def reference_line(axis: Axes, dataset: str, metric: str, *, horizontal: bool) -> bool:
    """The paper's number, only where the metric is its protocol; returns whether it was drawn."""
    for name in ("FID", "IS"):
        value = paper.paper_value("main", "TransGAN", dataset, name)
        if value and value.value is not None and value.measured_as(metric):
            (axis.axhline if horizontal else axis.axvline)(value.value, color=INK, linestyle=":", linewidth=1)
            place = (0.98, value.value) if horizontal else (value.value, 0.02)
            transform = axis.get_yaxis_transform() if horizontal else axis.get_xaxis_transform()
            axis.annotate("paper", place, xycoords=transform, fontsize=8, ha="right")
            return True
    return False


def summarised(runs: list[pd.DataFrame], x: str, y: str) -> pd.DataFrame:
    """Mean (`y`), `low` and `high` over trainings at the ticks that all have, in at most BLOCKS blocks of ticks."""
    known = [run[[x, y]].dropna() for run in runs if {x, y} <= {*run}]
    length = min(map(len, known), default=0)
    values = np.array([run[y].to_numpy()[:length] for run in known]).reshape(len(known), length)
    frame = pd.DataFrame({x: known[0][x].to_numpy()[:length] if known else [], y: values.mean(axis=0) if known else []})
    frame["low"], frame["high"] = (values.min(axis=0), values.max(axis=0)) if known else (frame[y], frame[y])
    blocks = frame.groupby(np.arange(length) // max(1, -(-length // BLOCKS)))
    return blocks.agg({x: "last", y: "mean", "low": "min", "high": "max"})


def over(runs: Runs, x: str, y: str, *, unit: float = 1.0, log: bool = False) -> Panel:
    """A panel with a line and a band for every row."""

    def draw_panel(axis: Axes) -> None:
        positive = True
        for index, frames in enumerate(runs.values()):
            curve = summarised(frames, x, y)
            if curve.empty:
                continue
            positive = positive and bool((curve.low > 0).all())
            axis.plot(curve[x] / unit, curve[y], **look(index), markevery=max(1, len(curve) // 6))
            axis.fill_between(
                curve[x] / unit, curve.low, curve.high, color=COLOURS[index % len(COLOURS)], alpha=0.12, lw=0
            )
        if log and positive and axis.has_data():
            logarithmic(axis)

    return draw_panel


def labelled(panel: Panel, x: str, y: str, dataset: str = "", metric: str = "") -> Panel:
    """A panel with the names of its axes, and the paper's number where it has one."""

    def draw_panel(axis: Axes) -> None:
        panel(axis)
        axis.set_xlabel(x)
        axis.set_ylabel(y)
        if metric:
            reference_line(axis, dataset, metric, horizontal=True)

    return draw_panel


def series(results: Results, dataset: str, name: str, x: str) -> Runs:
    """The optional files `name`.csv of a dataset's cells by variant: those with two rows or more."""
    found: Runs = {}
    for _, cell in results.of(dataset).iterrows():
        frame = results.series(cell, name)
        if frame is not None and x in frame and len(frame) > 1:
            found.setdefault(cell.variant, []).append(frame)
    return found


def progress(results: Results, dataset: str, folder: Path, dpi: int) -> Figure | None:
    """Metrics on the way against kimg and time; None where no training was measured twice."""
    runs = series(results, dataset, "progress", "kimg")
    metrics = metrics_among({column for frames in runs.values() for frame in frames for column in frame})
    if not metrics:
        return None
    timed = any("seconds" in frame for frames in runs.values() for frame in frames)
    places = [("kimg", KIMG, 1.0), *[("seconds", "minutes of training", 60.0)] * timed]
    axes = [(metric, place) for metric in metrics for place in places]
    panels = [
        labelled(over(runs, x, metric, unit=unit, log=_distance(metric)), words, axis_label(metric), dataset, metric)
        for metric, (x, words, unit) in axes
    ]
    path = folder / f"{dataset}_progress.png"
    draw(path, panels, dpi, height=3.6, labels=list(runs), widths=(1,) * len(places), share_y=len(metrics) == 1)
    against = "kimg and against minutes" if timed else "kimg"
    alt = f"{', '.join(metrics)} of {', '.join(runs)} on {paper.name_of(dataset)} against {against}"
    return Figure(title="Metrics over training", path=path, alt=alt, note=BAND, folded=True)


def sample_sizes(results: Results, dataset: str, folder: Path, dpi: int) -> Figure | None:
    """Metrics against the number of generated images; None where that was not measured."""
    runs = series(results, dataset, "sample_size", "n_gen")
    metrics = metrics_among({column for frames in runs.values() for frame in frames for column in frame})
    if not metrics:
        return None

    def panel(metric: str) -> Panel:
        inner = over(runs, "n_gen", metric, log=_distance(metric))

        def draw_panel(axis: Axes) -> None:
            inner(axis)
            axis.set_xscale("log")
            places = sorted({int(n) for frames in runs.values() for frame in frames for n in frame.n_gen})
            axis.set_xticks(places, [f"{place:,}" for place in places])
            axis.xaxis.set_minor_locator(NullLocator())

        return labelled(draw_panel, "images generated", axis_label(metric))

    path = folder / f"{dataset}_sample_sizes.png"
    draw(path, [panel(metric) for metric in metrics], dpi, height=3.6, labels=list(runs))
    alt = f"{', '.join(metrics)} of {', '.join(runs)} on {paper.name_of(dataset)} against the number of samples"
    note = "A distance from few samples is too large: values of different sample sizes are not compared. " + BAND
    return Figure(title="How many samples a metric needs", path=path, alt=alt, note=note, folded=True)


def training_curves(runs: Runs, name: str, path: Path, dpi: int, title: str = "Training curves") -> Figure | None:
    """Losses, norms and scores against kimg, a panel for every column that any training has; None without any."""
    columns = [column for column in CURVES if any(column in frame for frames in runs.values() for frame in frames)]
    if not columns:
        return None
    panels = [labelled(over(runs, "kimg", c, log=c in LOGARITHMIC), KIMG, CURVES[c]) for c in columns]
    draw(path, panels, dpi, height=2.6, labels=list(runs), widths=(1, 1))
    alt = f"{', '.join(CURVES[column] for column in columns)} of {', '.join(runs)} on {name} against kimg"
    return Figure(title=title, path=path, alt=alt, note=BAND, folded=True)


def cost(folder: Path, dpi: int) -> Figure:
    """Forward arithmetic (computed) against resolution, a line per kind of attention, and parameters."""
    computed = paper.packaged("cost_geometry.csv")
    # One geometry per resolution, those of 32 pixels on: the demo's is scaled down and would not lie on the lines.
    computed = computed[computed.dataset.isin(("cifar10", "stl10", "celeba64", "celeba128", "church256"))]
    numbers = ["resolution", "flops_g", "flops_d", "parameters_g", "parameters_d"]
    computed = computed.astype(dict.fromkeys(numbers, float)).sort_values("resolution")

    def panel(network: str) -> Panel:
        def draw_panel(axis: Axes) -> None:
            for index, kind in enumerate(KINDS):
                own = computed[computed.variant == f"{kind}_attention"]
                _line(axis, index, own.resolution, own[f"flops_{network}"] / 1e9)
            _resolutions(axis, computed.resolution)
            axis.set_ylabel(f"GFLOP of {network.upper()}, one image forward")

        return draw_panel

    def sizes(axis: Axes) -> None:
        own = computed[computed.variant == paper.MAIN_VARIANT]
        for index, network in enumerate("gd"):
            axis.plot(own.resolution, own[f"parameters_{network}"] / 1e6, marker=MARKERS[index], color=INK,
                      linestyle=STYLES[index], label=network.upper())  # fmt: skip
        _resolutions(axis, computed.resolution)
        axis.set_ylabel("million parameters, full model")
        axis.legend(frameon=False, loc="upper left")

    path = folder / "cost.png"
    draw(path, [panel("g"), panel("d"), sizes], dpi, labels=KINDS, widths=(1, 1, 1))
    alt = "Computed cost against resolution: forward GFLOP of G and of D for four kinds of attention, and parameters"
    note = (
        "D costs less at 64 than at 48 pixels because its first stages are narrower there (96 wide against 384), and "
        "no more at 256 than at 128 because its patches are twice as wide, so that it has as many tokens. Lines that "
        "would cover each other are moved a little sideways."
    )
    return Figure(title="Arithmetic against resolution (computed)", path=path, alt=alt, note=note)


def growth(folder: Path, dpi: int) -> Figure:
    """Memory for one image and arithmetic of a training step against resolution, by kind of attention (counted)."""
    rows = paper.packaged("growth.csv")
    numbers = ("resolution", "g_gib", "g_gflop", "d_gib", "d_gflop")
    rows = rows.astype(dict.fromkeys(numbers, float))
    rows["tflop"] = (rows.g_gflop + rows.d_gflop) / 1000
    columns = {
        "g_gib": "GiB kept for G's backward pass,\none image",
        "d_gib": "GiB kept for D's penalty,\none image",
        "tflop": "TFLOP, one image,\nboth networks with backward",
    }

    def panel(column: str) -> Panel:
        def draw_panel(axis: Axes) -> None:
            for index, kind in enumerate(KINDS):
                own = rows[rows.attention == kind]
                _line(axis, index, own.resolution, own[column])
            _resolutions(axis, rows.resolution)
            for card in CARDS if column != "tflop" else ():
                axis.axhline(card, color=INK, linestyle=":", linewidth=1)
                axis.text(32, card * 1.08, f"{card} GiB card", fontsize=8)
            axis.set_ylabel(columns[column])

        return draw_panel

    path = folder / "growth.png"
    draw(path, [panel(column) for column in columns], dpi, labels=KINDS, widths=(1, 1, 1))
    most = rows[rows.resolution == 256].set_index("attention").g_gib
    needs = "; ".join(f"{kind} attention needs {most[kind]:,.3g} GiB for G at 256" for kind in KINDS if kind in most)
    note = "Counted from the networks without running them (`python -m benchmarks.growth`)."
    title = "Memory and arithmetic against resolution (counted)"
    return Figure(title=title, path=path, alt=f"Counted memory and arithmetic for one image: {needs}", note=note)


def _distance(metric: str) -> bool:
    """Whether a metric is drawn on a logarithmic axis."""
    kind = metric_column(metric)
    return kind is not None and kind.lower


def _line(axis: Axes, index: int, sides: pd.Series, values: pd.Series) -> None:
    axis.plot(sides * DODGE ** (index - 1.5), values, **look(index))


def _resolutions(axis: Axes, sides: pd.Series) -> None:
    """Both axes logarithmic, a tick at every resolution."""
    places = sorted(set(sides))
    axis.set_xscale("log", base=2)
    axis.set_xticks(places, [f"{side:g}" for side in places])
    logarithmic(axis)
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("pixels a side")
