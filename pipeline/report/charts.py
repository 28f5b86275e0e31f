"""Charts of the end of training and of cost: variants compared, arithmetic and memory against resolution."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from pipeline.report import paper
from pipeline.report.drawing import COLOURS, INK, LEFT_NAMES, LINE, MARKERS, STYLES, Chart, Panel, draw, style
from pipeline.report.metrics import family
from pipeline.report.results import measurement
from pipeline.report.statistics import interval

KINDS = ("standard", "nystrom", "axis", "grid")
DODGE = 1.035  # lines that lie on each other are moved sideways by this factor, so that each can be seen
CARDS = (24, 80)  # GiB of two common GPUs


def ranking(
    cells: pd.DataFrame, dataset: str, metrics: list[str], confidence: float, path: Path, dpi: int
) -> Chart | None:
    """Every variant's metrics: a dot per seed, mean and interval where there are seeds enough; None without values."""
    metrics = [metric for metric in metrics if metric in cells and cells[metric].notna().any()]
    variants = [
        variant
        for variant in dict.fromkeys(cells.variant)
        if any(len(measurement(cells, dataset, variant, metric).values) for metric in metrics)
    ]
    if not variants:
        return None

    def panel(metric: str) -> Panel:
        def draw_panel(axis: Axes) -> None:
            for place, variant in enumerate(variants):
                values = measurement(cells, dataset, variant, metric).values
                if values.empty:
                    continue
                mean, half = interval(list(values), confidence)
                if half is not None:
                    axis.errorbar(mean, place, xerr=half, color=COLOURS[0], capsize=3, fmt="none")
                    axis.plot(mean, place, marker="|", markersize=11, color=COLOURS[0])
                axis.plot(
                    values, [place] * len(values), linestyle="none", marker="o", markersize=4.5, color=COLOURS[0],
                    alpha=1 if half is None else 0.6,
                )  # fmt: skip
            reference_line(axis, dataset, metric, horizontal=False)
            axis.set_yticks(range(len(variants)), variants)
            axis.set_ylim(len(variants) - 0.5, -0.5)
            if metric.startswith(("precision", "recall")):
                axis.set_xlim(0, 1)
            axis.set_xlabel(axis_label(metric))

        return draw_panel

    alt = (
        f"{', '.join(metrics)} of {', '.join(variants)} on {paper.name_of(dataset)}: a dot per seed, and mean and "
        "interval where there are two seeds or more. The numbers are in the tables."
    )
    return draw(
        path, [panel(metric) for metric in metrics], title="Variants compared", alt=alt, dpi=dpi, left=LEFT_NAMES
    )


def axis_label(metric: str) -> str:
    """`fd_digits (lower is better)`."""
    kind = family(metric)
    return f"{metric} ({'lower' if kind and kind.lower else 'higher'} is better)"


def reference_line(axis: Axes, dataset: str, metric: str, *, horizontal: bool) -> None:
    """The paper's number, only where the metric is its protocol."""
    for name in ("FID", "IS"):
        value = paper.paper_value("main", "TransGAN", dataset, name)
        if value and value.value is not None and value.measured_as(metric):
            (axis.axhline if horizontal else axis.axvline)(value.value, color=INK, linestyle=":", linewidth=1)
            axis.annotate(
                "paper",
                (0.98, value.value) if horizontal else (value.value, 0.02),
                xycoords=axis.get_yaxis_transform() if horizontal else axis.get_xaxis_transform(),
                fontsize=8,
                ha="right",
            )


def cost(path: Path, dpi: int) -> Chart:
    """Forward arithmetic (computed) against resolution, a line per kind of attention, and parameters."""
    computed = paper.packaged("cost_geometry.csv")
    computed = computed.assign(resolution=computed.resolution.astype(int))
    # One geometry per resolution, those of 32 pixels on: the demo's is scaled down and would not lie on the lines.
    computed = computed[computed.dataset.isin(("cifar10", "stl10", "celeba64", "celeba128", "church256"))]
    computed = computed.sort_values("resolution")

    def panel(network: str) -> Panel:
        def draw_panel(axis: Axes) -> None:
            for index, kind in enumerate(KINDS):
                own = computed[computed.variant == f"{kind}_attention"]
                _line(axis, index, own.resolution, own[f"flops_{network}"].astype(float) / 1e9)
            _resolutions(axis, computed.resolution)
            axis.set_ylabel(f"GFLOP of {network.upper()},\none image forward")

        return draw_panel

    def parameters(axis: Axes) -> None:
        own = computed[computed.variant == "full"]
        for index, (column, label) in enumerate((("parameters_g", "G"), ("parameters_d", "D"))):
            axis.plot(
                own.resolution, own[column].astype(float) / 1e6, marker=MARKERS[index], color=INK,
                linestyle=STYLES[index], label=label,
            )  # fmt: skip
        _resolutions(axis, computed.resolution)
        axis.set_ylabel("million parameters,\nfull model")
        axis.legend(frameon=False, loc="upper left")

    alt = (
        "Computed cost against resolution from 32 to 256 pixels: forward GFLOP of G and of D for four kinds of "
        "attention, and parameters. From 64 pixels on, standard attention costs more than the others."
    )
    return draw(
        path, [panel("g"), panel("d"), parameters], title="Arithmetic against resolution (computed)", alt=alt, dpi=dpi,
        labels=list(KINDS), note="Lines that would cover each other are moved a little sideways.",
    )  # fmt: skip


def growth(path: Path, dpi: int) -> Chart:
    """Memory for one image and arithmetic of a training step against resolution, by kind of attention (counted)."""
    rows = paper.packaged("growth.csv")
    rows = rows.assign(resolution=rows.resolution.astype(int))
    rows["tflop"] = (rows.g_gflop.astype(float) + rows.d_gflop.astype(float)) / 1000
    columns = {
        "g_gib": "GiB kept for G's backward pass,\none image",
        "d_gib": "GiB kept for D's penalty,\none image",
        "tflop": "TFLOP, one image,\nboth networks with backward",
    }

    def panel(column: str) -> Panel:
        def draw_panel(axis: Axes) -> None:
            for index, kind in enumerate(KINDS):
                own = rows[rows.attention == kind]
                _line(axis, index, own.resolution, own[column].astype(float))
            _resolutions(axis, rows.resolution)
            if column != "tflop":
                for card in CARDS:
                    axis.axhline(card, color=INK, linestyle=":", linewidth=1)
                    axis.text(32, card * 1.08, f"{card} GiB card", fontsize=8)
            axis.set_ylabel(columns[column])

        return draw_panel

    alt = "Counted memory and arithmetic of a training step for one image, from 32 to 256 pixels: " + "; ".join(
        f"{kind} attention needs {float(rows[(rows.attention == kind) & (rows.resolution == 256)].g_gib.iloc[0]):,.3g} "
        "GiB for G at 256"
        for kind in KINDS
    )
    note = (
        "Counted from the networks without running them (`python -m benchmarks.growth`); docs/performance.md says how."
    )
    return draw(
        path, [panel(column) for column in columns], title="Memory and arithmetic against resolution (counted)",
        alt=alt, dpi=dpi, labels=list(KINDS), note=note,
    )  # fmt: skip


def _line(axis: Axes, index: int, sides: pd.Series, values: pd.Series) -> None:
    """A line per kind, moved sideways by its index, with open markers."""
    axis.plot(sides * DODGE ** (index - 1.5), values, **style(index, marked=1), markerfacecolor=LINE)


def log_values(axis: Axes) -> None:
    """A logarithmic axis of values with plain numbers at 1, 2 and 5, or at powers of ten where it is long."""
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 10_000 * low else (1,), numticks=12))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_locator(NullLocator())


def _resolutions(axis: Axes, sides: pd.Series) -> None:
    """Both axes logarithmic, a tick at every resolution."""
    places = sorted(set(sides))
    axis.set_xscale("log", base=2)
    axis.set_xticks(places, [str(side) for side in places])
    log_values(axis)
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("resolution (pixels a side)")
