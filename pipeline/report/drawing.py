"""Charts with matplotlib: one look, the page's width, colours that are told apart without colour too."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402  (the backend has to be chosen before)
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.lines import Line2D  # noqa: E402
from matplotlib.ticker import LogLocator, NullLocator  # noqa: E402
from PIL import Image  # noqa: E402

from pipeline.base.files import atomic_write  # noqa: E402

INK, LINE = "#1b1b1b", "#cfcfcf"
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#b4508f", "#a66f00", "#2a89bf", "#000001", "#8b6f47"]  # Okabe and Ito
STYLES = ["-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2, 1, 2, 1, 2))]
MARKERS = "osD^vP*XpH"
WIDTH = 10.0  # inches of every chart
COLOURS_KEPT = 128  # of a chart's PNG
THEME: Any = {
    "font.size": 9, "axes.grid": True, "grid.color": LINE, "axes.spines.top": False, "axes.spines.right": False,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
}  # fmt: skip

Panel = Callable[[Axes], None]


def look(index: int) -> dict[str, Any]:
    """Colour, line style and marker of the `index`-th line."""
    return {
        "color": COLOURS[index % len(COLOURS)], "linestyle": STYLES[index % len(STYLES)], "linewidth": 1.5,
        "marker": MARKERS[index % len(MARKERS)], "markersize": 4,
    }  # fmt: skip


def draw(path: Path, panels: Sequence[Panel], dpi: int, *, height: float = 3.0, labels: Sequence[str] = (),
         widths: Sequence[float] = (1,), share_y: bool = False) -> None:  # fmt: skip
    """Draw panels to a PNG, row by row, a legend of `labels` above them.

    `widths`: of the columns, relative to each other; `height`: of a row of panels, inches.
    """
    columns = len(widths)
    rows = -(-len(panels) // columns)
    wide = 4
    above = 0.25 * -(-len(labels) // wide) / (height * rows)
    with plt.rc_context(THEME):
        size = (WIDTH, height * rows * (1 + above))
        figure, axes = plt.subplots(
            rows, columns, figsize=size, squeeze=False, width_ratios=list(widths), sharey=share_y, layout="constrained"
        )
        for axis, panel in zip(axes.flat, panels, strict=False):
            panel(axis)
        for axis in axes.flat[len(panels) :]:
            axis.axis("off")
        if labels:
            handles = [Line2D([], [], **look(index)) for index in range(len(labels))]
            figure.legend(handles, labels, loc="outside upper center", ncols=min(wide, len(labels)), frameon=False)
        buffer = io.BytesIO()
        figure.savefig(buffer, dpi=dpi)
        plt.close(figure)
    with Image.open(buffer) as picture:
        save(path, picture.convert("RGB").quantize(COLOURS_KEPT, dither=Image.Dither.NONE))


def save(path: Path, picture: Image.Image) -> None:
    """Write a small PNG, whole or not at all; the same picture gives the same bytes."""
    if picture.mode == "RGB" and picture.getcolors(256):
        picture = picture.quantize(256, dither=Image.Dither.NONE)
    with atomic_write(path) as temporary:
        picture.save(temporary, "PNG", compress_level=9)


def logarithmic(axis: Axes) -> None:
    """A logarithmic y axis with plain numbers at 1, 2 and 5, or at powers of ten where it is long."""
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 10_000 * low else (1,), numticks=12))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_locator(NullLocator())
