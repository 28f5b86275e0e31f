"""Charts drawn with matplotlib, once, as PNG for the Markdown and as SVG for the page, where colours follow the theme.

Okabe-Ito colours with a line style or marker of their own each, so that no chart depends on colour alone.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import pandas as pd

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402  (the backend has to be chosen before)
from matplotlib.ticker import LogLocator, NullLocator  # noqa: E402

from pipeline.files import atomic_write  # noqa: E402
from pipeline.report import paper  # noqa: E402
from pipeline.report.cells import load_history, measurement  # noqa: E402
from pipeline.report.metrics import PAPER_PROTOCOLS, family, metrics_among  # noqa: E402
from pipeline.report.statistics import interval  # noqa: E402

INK, LINE, PAPER = "#1b1b1b", "#cfcfcf", "#ffffff"
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#b4508f", "#a66f00", "#2a89bf", "#000001", "#8b6f47"]
STYLES = ["-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5))]
MARKERS = "osD^vP*X"
CURVES = {
    "wasserstein": "D(real) − D(fake)",
    "penalty": "gradient penalty, unweighted",
    "score_real": "mean D(real)",
    "score_fake": "mean D(fake)",
    "gradient_d": "gradient norm of D, unclipped",
    "gradient_g": "gradient norm of G, unclipped",
    "ema_distance": "distance of the averaged G,\nrelative",
    "sample_spread": "spread of samples over latents",
    "images_per_second": "images a second",
}
KIMG = "kimg (thousands of real images shown to D)"
SIZE = (4.6, 3.1)       # inches of one panel; the margins around its axes are fixed, which is twice as fast as fitted ones
RIGHT, TOP, BOTTOM = 0.12, 0.15, 0.52
LEFT, LEFT_NAMES = 0.85, 1.75       # the latter where variants' names stand beside the axis
POINTS = 250            # drawn per curve: more are not told apart in a panel


@dataclass(frozen=True)
class Chart:
    """A drawn chart: its panels as SVG text for the page, and what they show in words."""

    name: str
    title: str
    alt: str
    panels: list[str]
    legend: list[tuple[str, int]]       # label and index of its colour and style


Panel = Callable[[plt.Axes], None]


def style(index: int) -> dict[str, object]:
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": STYLES[index // 2 % len(STYLES)], "linewidth": 1.4}


def draw(path: Path, panels: list[Panel], *, title: str, alt: str, dpi: int, labels: list[str] = (), left: float = LEFT) -> Chart:
    """Draw panels to `path` (PNG, side by side) and each by itself as SVG."""
    with plt.rc_context({"font.size": 9, "svg.fonttype": "none", "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK, "grid.color": LINE, "axes.grid": True, "axes.spines.top": False, "axes.spines.right": False, "figure.facecolor": PAPER}):
        columns = min(3, len(panels))
        rows = -(-len(panels) // columns)
        below = 0.3 + 0.2 * -(-len(labels) // 4) if labels else 0
        figure, axes = plt.subplots(rows, columns, figsize=(SIZE[0] * columns, SIZE[1] * rows + below), squeeze=False)
        _margins(figure, rows, columns, left, below)
        for axis, panel in zip(axes.flat, panels, strict=False):
            panel(axis)
        for axis in axes.flat[len(panels) :]:
            axis.axis("off")
        if labels:
            handles = [plt.Line2D([], [], **style(index)) for index in range(len(labels))]
            figure.legend(handles, labels, loc="lower center", ncols=min(4 if columns > 1 else 2, len(labels)), frameon=False)
        with atomic_write(path) as temporary:
            # Without metadata the same figure gives the same bytes.
            figure.savefig(temporary, dpi=dpi, metadata={"Software": None})
        plt.close(figure)
        drawn = []
        for index, panel in enumerate(panels):
            alone, axis = plt.subplots(figsize=SIZE)
            panel(axis)
            _margins(alone, 1, 1, left, 0)
            drawn.append(_svg(alone, f"{path.stem}{index}"))
            plt.close(alone)
    return Chart(name=path.stem, title=title, alt=alt, panels=drawn, legend=[(label, index) for index, label in enumerate(labels)])


def _margins(figure: plt.Figure, rows: int, columns: int, left: float, below: float) -> None:
    """Place rows x columns axes by margins in inches; `below`: room for a legend under them."""
    width, height = SIZE[0] - left - RIGHT, SIZE[1] - TOP - BOTTOM
    figure.subplots_adjust(
        left=left / figure.get_figwidth(), right=1 - RIGHT / figure.get_figwidth(),
        bottom=(BOTTOM + below) / figure.get_figheight(), top=1 - TOP / figure.get_figheight(),
        wspace=(left + RIGHT) / width, hspace=(TOP + BOTTOM) / height,
    )  # fmt: skip


def _svg(figure: plt.Figure, salt: str) -> str:
    """SVG to be put into a page: colours as the page's variables, no identifiers that could clash."""
    buffer = io.StringIO()
    with plt.rc_context({"svg.hashsalt": salt}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="(?:figure|axes|patch|text|line2d|matplotlib\.axis|xtick|ytick|legend|PathCollection|LineCollection)_\d+"', "", text)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    for colour, variable in {INK: "ink", LINE: "line", **{colour: f"series{index}" for index, colour in enumerate(COLOURS)}}.items():
        text = text.replace(colour, f"var(--{variable})")
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', 'width="100%" aria-hidden="true"', text, count=1)


def _histories(cells: pd.DataFrame, results: str) -> dict[str, pd.DataFrame]:
    """Training histories by variant, of the cells that have at least one row."""
    loaded = {cell.variant: load_history(results, cell) for _, cell in cells.iterrows()}
    return {variant: history for variant, history in loaded.items() if history is not None and len(history)}


def curves(cells: pd.DataFrame, dataset: str, results: str, path: Path, dpi: int) -> Chart | None:
    """Training curves of all variants on one axis each, against kimg; a panel for every column that any of them has."""
    histories = _histories(cells, results)
    columns = [column for column in CURVES if any(column in history for history in histories.values())]
    if not columns:
        return None

    def panel(column: str) -> Panel:
        def draw_panel(axis: plt.Axes) -> None:
            for index, history in enumerate(histories.values()):
                if column in history:
                    smooth = history[column].rolling(max(1, len(history) // 40), min_periods=1).mean()
                    step = max(1, len(history) // POINTS)
                    axis.plot(history.kimg[::step], smooth[::step], marker="o" if len(history) == 1 else None, markersize=3, **style(index))
            axis.set_xlabel(KIMG)
            axis.set_ylabel(CURVES[column])

        return draw_panel

    shown = ", ".join(" ".join(CURVES[column].split()) for column in columns)
    alt = f"Training curves of {', '.join(histories)} on {paper.name_of(dataset)} against kimg: {shown}."
    return draw(path, [panel(column) for column in columns], title="Training curves", alt=alt, dpi=dpi, labels=list(histories))


def metric_history(cells: pd.DataFrame, dataset: str, results: str, path: Path, dpi: int) -> Chart | None:
    """Metrics against kimg, for runs that were measured more than once; None where none was."""
    histories = _histories(cells, results)
    metrics = metrics_among({name for history in histories.values() for name in history if history[name].notna().sum() > 1})
    if not metrics:
        return None

    def panel(metric: str) -> Panel:
        def draw_panel(axis: plt.Axes) -> None:
            for index, history in enumerate(histories.values()):
                if metric in history:
                    known = history[["kimg", metric]].dropna()
                    axis.plot(known.kimg, known[metric], marker=".", **style(index))
            _reference_line(axis, dataset, metric, horizontal=True)
            axis.set_xlabel(KIMG)
            axis.set_ylabel(_axis_label(metric))

        return draw_panel

    alt = f"{', '.join(metrics)} against kimg, a line per variant."
    return draw(path, [panel(metric) for metric in metrics], title="Metrics over training", alt=alt, dpi=dpi, labels=list(histories))


def ranking(cells: pd.DataFrame, dataset: str, metrics: list[str], confidence: float, path: Path, dpi: int) -> Chart | None:
    """Every variant's metrics: a dot per seed, mean and interval where there are seeds enough."""
    metrics = [metric for metric in metrics if metric in cells and cells[metric].notna().any()]
    variants = [variant for variant in dict.fromkeys(cells.variant) if any(len(measurement(cells, dataset, variant, metric).values) for metric in metrics)]
    if not variants:
        return None

    def panel(metric: str) -> Panel:
        def draw_panel(axis: plt.Axes) -> None:
            for place, variant in enumerate(variants):
                values = measurement(cells, dataset, variant, metric).values
                if values.empty:
                    continue
                mean, half = interval(values, confidence)
                if half is not None:
                    axis.errorbar(mean, place, xerr=half, color=COLOURS[0], capsize=3, fmt="none")
                axis.plot(values, [place] * len(values), linestyle="none", marker="o", markersize=5, color=COLOURS[0])
            _reference_line(axis, dataset, metric, horizontal=False)
            axis.set_yticks(range(len(variants)), variants)
            axis.set_ylim(len(variants) - 0.5, -0.5)
            axis.set_xlabel(_axis_label(metric))

        return draw_panel

    alt = f"{', '.join(metrics)} of {', '.join(variants)} on {paper.name_of(dataset)}, a dot per seed; the numbers are in the tables."
    return draw(path, [panel(metric) for metric in metrics], title="Variants compared", alt=alt, dpi=dpi, left=LEFT_NAMES)


def _axis_label(metric: str) -> str:
    return f"{metric} ({'lower' if family(metric).lower else 'higher'} is better)"


def _reference_line(axis: plt.Axes, dataset: str, metric: str, *, horizontal: bool) -> None:
    """The paper's number, only where the metric is its protocol."""
    for name, protocol in PAPER_PROTOCOLS.items():
        value = paper.paper_value("main", "TransGAN", dataset, name) if metric == protocol else None
        if value and value.value is not None:
            (axis.axhline if horizontal else axis.axvline)(value.value, color=INK, linestyle=":", linewidth=1)
            axis.annotate("paper", (0.98, value.value) if horizontal else (value.value, 0.02), xycoords=axis.get_yaxis_transform() if horizontal else axis.get_xaxis_transform(), fontsize=8, ha="right")


def cost(path: Path, dpi: int) -> Chart:
    """Arithmetic (computed) and time (measured, where it was) against resolution, a line per kind of attention."""
    computed = paper.packaged("cost_geometry.csv")
    # One geometry per resolution, those of 32 pixels on: the demo's is scaled down and would not lie on the lines.
    computed = computed[(computed.resolution.astype(int) >= 32) & (computed.dataset != "celebahq256")].sort_values("resolution", key=lambda column: column.astype(int))
    kinds = ["standard_attention", "nystrom_attention", "axis_attention", "grid_attention"]

    def panel(network: str) -> Panel:
        def draw_panel(axis: plt.Axes) -> None:
            for index, kind in enumerate(kinds):
                own = computed[computed.variant == kind]
                axis.plot(own.resolution.astype(int), own[f"flops_{network}"].astype(float) / 1e9, marker=MARKERS[index], markersize=4, **style(index))
            _resolutions(axis, sorted(set(computed.resolution.astype(int))))
            _log_values(axis)
            axis.set_ylabel(f"GFLOP of {network.upper()},\none image forward")

        return draw_panel

    def parameters(axis: plt.Axes) -> None:
        own = computed[computed.variant == "full"]
        for index, (column, label) in enumerate((("parameters_g", "G"), ("parameters_d", "D"))):
            axis.plot(own.resolution.astype(int), own[column].astype(float) / 1e6, marker=MARKERS[index], color=INK, linestyle=STYLES[index], label=label)
        _resolutions(axis, sorted(set(computed.resolution.astype(int))))
        _log_values(axis)
        axis.set_ylabel("million parameters,\nfull model")
        axis.legend(frameon=False)

    alt = "Computed cost against resolution from 32 to 256 pixels: forward GFLOP of G and of D for four kinds of attention, and parameters. From 64 pixels on, standard attention costs more than the others."
    return draw(path, [panel("g"), panel("d"), parameters], title="Cost against resolution (computed)", alt=alt, dpi=dpi, labels=[kind.removesuffix("_attention") for kind in kinds])


def _resolutions(axis: plt.Axes, sides: list[int]) -> None:
    axis.set_xscale("log", base=2)
    axis.set_xticks(sides, [str(side) for side in sides])
    axis.minorticks_off()
    axis.set_xlabel("resolution (pixels a side)")


def _log_values(axis: plt.Axes) -> None:
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_locator(NullLocator())
