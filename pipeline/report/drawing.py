"""Drawing with matplotlib, once, as PNG for the Markdown and as SVG for the page, where colours follow the theme.

Okabe-Ito colours with a line style and a marker of their own each, so that no chart depends on colour alone.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402  (the backend has to be chosen before)
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.lines import Line2D  # noqa: E402

from pipeline.base.files import atomic_write  # noqa: E402

INK, LINE, PAPER = "#1b1b1b", "#cfcfcf", "#ffffff"
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#b4508f", "#a66f00", "#2a89bf", "#000001", "#8b6f47"]
STYLES = ["-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5))]
MARKERS = "osD^vP*X"
GLYPHS = "●■◆▲▼✚★✖"  # the markers in a legend of the page
SIZE = (4.6, 3.1)  # inches of one panel; fixed margins around its axes are twice as fast as fitted ones
RIGHT, TOP, BOTTOM = 0.12, 0.15, 0.52
LEFT, LEFT_NAMES = 0.85, 1.75  # the latter where variants' names stand beside the axis
LEGEND_ROW = 0.22  # inches
THEME: Any = {
    "font.size": 9,
    "svg.fonttype": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": LINE,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": PAPER,
}

Panel = Callable[[Axes], None]


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A drawn chart: its panels as SVG text for the page, and what they show in words.

    `legend`: label and index of its colour, style and marker; `note`: how to read it.
    """

    name: str
    title: str
    alt: str
    panels: list[str]
    legend: list[tuple[str, int]] = field(default_factory=list)
    note: str = ""
    folded: bool = False
    wide: bool = False
    kind: str = "chart"


def style(index: int, *, marked: int = 0) -> dict[str, Any]:
    """Colour and line style of the `index`-th line; with a marker about every `marked` points."""
    look: dict[str, Any] = {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": STYLES[index % len(STYLES)],
        "linewidth": 1.5,
    }
    if marked:
        look |= {"marker": MARKERS[index % len(MARKERS)], "markersize": 4.5, "markevery": marked}
    return look


def draw(path: Path, panels: list[Panel], *, title: str, alt: str, dpi: int, labels: list[str] | None = None,
         left: float = LEFT, note: str = "", folded: bool = False) -> Chart:  # fmt: skip
    """Draw panels to `path` (PNG, side by side, the legend above them) and each by itself as SVG."""
    labels = labels or []
    with plt.rc_context(THEME):
        columns = min(3, len(panels))
        rows = -(-len(panels) // columns)
        wide = 4 if columns > 1 else 2
        above = 0.1 + LEGEND_ROW * -(-len(labels) // wide) if labels else 0
        figure, axes = plt.subplots(rows, columns, figsize=(SIZE[0] * columns, SIZE[1] * rows + above), squeeze=False)
        _margins(figure, rows, columns, left, above)
        for axis, panel in zip(axes.flat, panels, strict=False):
            panel(axis)
        for axis in axes.flat[len(panels) :]:
            axis.axis("off")
        if labels:
            handles = [Line2D([], [], **style(index, marked=1)) for index in range(len(labels))]
            figure.legend(handles, labels, loc="upper center", ncols=min(wide, len(labels)), frameon=False)
        save(figure, path, dpi)
        drawn = []
        for index, panel in enumerate(panels):
            alone, axis = plt.subplots(figsize=SIZE)
            panel(axis)
            _margins(alone, 1, 1, left, 0)
            drawn.append(svg(alone, f"{path.stem}{index}"))
    legend = [(label, index) for index, label in enumerate(labels)]
    return Chart(
        name=path.stem, title=title, alt=alt, panels=drawn, legend=legend, note=note, folded=folded
    )  # fmt: skip


def draw_whole(path: Path, size: tuple[float, float], panel: Panel, *, title: str, alt: str, dpi: int,
               note: str = "") -> Chart:  # fmt: skip
    """A drawing without axes that fills a figure of `size` inches: a diagram."""
    with plt.rc_context(THEME | {"axes.grid": False}):
        figure, axis = plt.subplots(figsize=size)
        figure.subplots_adjust(left=0, right=1, top=1, bottom=0)
        axis.axis("off")
        panel(axis)
        with_svg = svg(figure, path.stem, close=False)
        save(figure, path, dpi)
    return Chart(name=path.stem, title=title, alt=alt, panels=[with_svg], note=note, wide=True)


def save(figure: Figure, path: Path, dpi: int) -> None:
    """Write a PNG. Without metadata the same figure gives the same bytes."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=dpi, metadata={"Software": None})
    plt.close(figure)


def svg(figure: Figure, salt: str, *, close: bool = True) -> str:
    """SVG to be put into a page: colours as the page's variables, no identifiers that could clash."""
    buffer = io.StringIO()
    with plt.rc_context({"svg.hashsalt": salt}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    if close:
        plt.close(figure)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    names = r"figure|axes|patch|text|line2d|matplotlib\.axis|xtick|ytick|legend|PathCollection|LineCollection"
    text = re.sub(rf' id="(?:{names})_\d+"', "", text)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    variables = {INK: "ink", LINE: "line"} | {colour: f"series{index}" for index, colour in enumerate(COLOURS)}
    for colour, variable in variables.items():
        text = text.replace(colour, f"var(--{variable})")
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', 'width="100%" aria-hidden="true"', text, count=1)


def _margins(figure: Figure, rows: int, columns: int, left: float, above: float) -> None:
    """Place rows x columns axes by margins in inches; `above`: room for a legend over them."""
    width, height = SIZE[0] - left - RIGHT, SIZE[1] - TOP - BOTTOM
    figure.subplots_adjust(
        left=left / figure.get_figwidth(), right=1 - RIGHT / figure.get_figwidth(),
        bottom=BOTTOM / figure.get_figheight(), top=1 - (TOP + above) / figure.get_figheight(),
        wspace=(left + RIGHT) / width, hspace=(TOP + BOTTOM) / height,
    )  # fmt: skip
