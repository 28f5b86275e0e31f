"""Figures with matplotlib in the style of report.mplstyle, as wide as the page: lines of rows, sheets of pictures."""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rcParams, style
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle
from PIL import Image

from pipeline.base.files import atomic_write
from pipeline.report.document import Figure, caption

STYLE = Path(__file__).with_name("report.mplstyle")
WIDTH, DPI = 10.0, 120  # inches of every figure; dots per inch of a sheet, about: its pixels are never squeezed
COLOURS_KEPT = 128  # of a chart's PNG
BLOCKS = 60  # of a line: within each the mean, the smallest and the largest value are drawn
INK = "#1b1b1b"

Runs = Mapping[str, Sequence[pd.DataFrame]]  # by the name of a row, a frame a training


@dataclass(frozen=True)
class Panel:
    """Column `y` against column `x` / `unit`. `log`: y axis, where all is positive; `ticks`: of a logarithmic x axis.

    `marks`: horizontal lines by their names.
    """

    x: str
    y: str
    x_label: str
    y_label: str
    unit: float = 1.0
    log: bool = False
    ticks: Sequence[float] = ()
    marks: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Tile:
    """A picture (H, W, 3) uint8, or a map (H, W) of floats, with its caption; `outlined`: row and column of a pixel."""

    caption: str
    image: np.ndarray
    outlined: Sequence[int] = ()


Rows = Sequence[tuple[str, Sequence[Tile]]]  # of a contact sheet, with their labels


@contextmanager
def page_wide(path: Path, height: float, *, dpi: float | None = None, chart: bool = True) -> Iterator[Canvas]:
    """A figure of `height` inches, written as a PNG, whole or not at all; the same content gives the same bytes.

    `dpi`: dots per inch, where it is not matplotlib's own setting. A `chart` is laid out by matplotlib and has few
    colours; another figure keeps all of them.
    """
    with style.context(STYLE):
        figure, buffer = Canvas(figsize=(WIDTH, height), layout="constrained" if chart else None), io.BytesIO()
        yield figure
        figure.savefig(buffer, dpi=dpi or rcParams["savefig.dpi"])
    picture = Image.open(buffer).convert("RGB")
    if chart or picture.getcolors(256):
        picture = picture.quantize(COLOURS_KEPT if chart else 256, dither=Image.Dither.NONE)
    with atomic_write(path) as temporary:
        picture.save(temporary, "PNG", compress_level=9)


def summarised(runs: Sequence[pd.DataFrame], x: str, y: str) -> pd.DataFrame:
    """Mean (`y`), `low` and `high` over trainings at the ticks that all have, in at most BLOCKS blocks of ticks."""
    known = [run[[x, y]].dropna(ignore_index=True) for run in runs if {x, y} <= {*run}]
    if not known:
        return pd.DataFrame(columns=[x, y, "low", "high"], dtype=float)
    shared = pd.concat(known, axis=1, join="inner", keys=range(len(known))).swaplevel(axis=1)
    curve = shared[y].agg(["mean", "min", "max"], axis=1).set_axis([y, "low", "high"], axis=1)
    curve.insert(0, x, shared[x][0])
    blocks = curve.groupby(np.arange(len(curve)) // max(1, -(-len(curve) // BLOCKS)))
    return blocks.agg({x: "last", y: "mean", "low": "min", "high": "max"})


def columns_of(runs: Runs) -> list[str]:
    """The columns that any training has, in their order."""
    return list(dict.fromkeys(column for frames in runs.values() for frame in frames for column in frame))


def lines(path: Path, runs: Runs, panels: Sequence[Panel], name: str, *, columns: int, height: float = 3,
          folded: bool = True, **words: object) -> Figure:  # fmt: skip
    """Panels of `height` inches, each with a line and a band a row, and one legend above them.

    `name`: of the caption, which the rows' `names` and `words` fill. A last row of fewer panels fills the width too.
    """
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    with page_wide(path, len(rows) * height + 0.25 * -(-len(runs) // 4)) as figure:
        cells = math.lcm(columns, len(rows[-1]))
        places = figure.add_gridspec(len(rows), cells)
        for number, row in enumerate(rows):
            wide = cells // len(row)
            for column, panel in enumerate(row):
                axis = figure.add_subplot(places[number, column * wide : (column + 1) * wide])
                draw_panel(axis, runs, panel)
        handles = figure.axes[0].get_lines()[: len(runs)]
        figure.legend(handles, [*runs], loc="outside upper center", ncols=min(4, len(runs)))
    return Figure(path=path, folded=folded, **caption(name, names=", ".join(runs), **words))


def draw_panel(axis: Axes, runs: Runs, panel: Panel) -> None:
    """Every row takes its look from the cycle, one without values too: it looks the same in all panels."""
    for frames in runs.values():
        curve = summarised(frames, panel.x, panel.y)
        place = curve[panel.x] / panel.unit
        (line,) = axis.plot(place, curve[panel.y], markevery=max(1, len(curve) // 6))
        axis.fill_between(place, curve.low, curve.high, color=line.get_color(), alpha=0.12, lw=0)
    if panel.log and axis.dataLim.y0 > 0:
        axis.set_yscale("log", subs=[2, 5])
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("{x:g}")
    if len(panel.ticks):
        axis.set_xscale("log")
        axis.set_xticks(panel.ticks, [f"{tick:,g}" for tick in panel.ticks])
        axis.set_xticks([], minor=True)
    for name, value in panel.marks.items():
        axis.axhline(value, color=INK, linestyle=":", linewidth=1, marker="")
        axis.text(0.02, value, name, transform=axis.get_yaxis_transform(), fontsize=8, va="bottom")
    axis.set(xlabel=panel.x_label, ylabel=panel.y_label)


def contact_sheet(path: Path, rows: Rows, name: str, *, columns: int = 99, colours: str = "", meaning: str = "",
                  folded: bool = True, **words: object) -> Figure | None:  # fmt: skip
    """Labelled rows of captioned tiles, all as large as the first, broken after `columns` tiles; None without tiles.

    Every pixel is a whole number of dots wide. `colours`: the colour map of all maps and what it shows, its `meaning`;
    it begins at 0, or lies evenly around 0 where a map goes below. `name`: of the caption, which the rows' `names`,
    the `most` of the maps and `words` fill.
    """
    rows = [
        (label * (start == 0), tiles[start : start + columns])
        for label, tiles in rows
        for start in range(0, len(tiles), columns)
    ]
    if not rows:
        return None
    high, wide = rows[0][1][0].image.shape[:2]
    columns = max(1 if wide > 3 * high else 3, *(len(tiles) for _, tiles in rows))
    side, above = WIDTH / columns - 0.1, 0.25 + 0.2 * any(label for label, _ in rows)
    step = side * high / wide + above
    height = len(rows) * step + (0.65 if colours else 0.05)
    maps = [tile.image for _, tiles in rows for tile in tiles if tile.image.ndim == 2]
    most = max((float(np.abs(image).max()) for image in maps), default=0.0)
    scale = Normalize(-most if any((image < 0).any() for image in maps) else 0, most)
    dpi = wide * max(1, round(DPI * side / wide)) / side
    with page_wide(path, height, dpi=dpi, chart=False) as figure:
        for place, (label, tiles) in enumerate(rows):
            top = height - place * step - above
            figure.text(0.005, (top + 0.23) / height, label, fontweight="bold")
            for column, tile in enumerate(tiles):
                bottom, share = (top + above - step) / height, (step - above) / height
                axis = figure.add_axes((0.005 + column / columns, bottom, side / WIDTH, share), anchor="NW")
                _draw_tile(axis, tile, side, norm=scale, cmap=colours or None)
        if colours:
            bar = figure.add_axes((0.02, 0.5 / height, 0.5, 0.1 / height))
            figure.colorbar(ScalarMappable(scale, colours), cax=bar, orientation="horizontal", label=meaning)
    names = [label for label, _ in rows if label] or [tile.caption for _, tiles in rows for tile in tiles]
    return Figure(path=path, folded=folded, **caption(name, names=", ".join(names), most=most, **words))


def _draw_tile(axis: Axes, tile: Tile, side: float, **colours: Any) -> None:
    """A tile `side` inches wide, its caption in smaller letters where it is long (about 12 of 9 points are an inch)."""
    axis.imshow(tile.image, **colours)
    axis.set_title(tile.caption, fontsize=min(9, 108 * side / max(1, len(tile.caption))))
    axis.axis("off")
    for colour, width in (("white", 3.5), ("black", 1.2)) if tile.outlined else ():
        corner = (tile.outlined[1] - 0.5, tile.outlined[0] - 0.5)
        axis.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=colour, linewidth=width))
