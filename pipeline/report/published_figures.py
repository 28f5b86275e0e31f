"""Pictures, curves and tables of published runs."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from pipeline.base.files import atomic_write
from pipeline.report.drawing import Chart, Panel, draw, style
from pipeline.report.published import Published, PublishedCell, means
from pipeline.report.sample_figures import Group, Picture
from pipeline.report.tables import Table

SIDE = 640  # pixels a side, at most, of a cell's samples in the page
MOST_PANELS = 6
PLACES = ("kimg", "step", "seconds")  # columns of a curve that are no metric


def blocks(run: Published, out: Path, dpi: int, confidence: float) -> Iterator[Group | Chart | Table]:
    """Samples of every cell, curves with a line a cell, and the metrics of one run, as the report shows them."""
    if samples := _samples(run, out):
        yield samples
    curves = [cell for cell in run.cells if "kimg" in cell.curve]
    columns = list(dict.fromkeys(name for cell in curves for name in cell.curve if name not in PLACES))[:MOST_PANELS]
    if columns:
        path = out / "figures" / f"{run.anchor}_curve.png"
        names = [cell.name for cell in curves]
        alt = f"{', '.join(columns)} of {', '.join(names)}, published as {run.name}, against kimg."
        panels = [_panel(curves, name) for name in columns]
        yield draw(path, panels, title="Over training", alt=alt, dpi=dpi, labels=names if len(names) > 1 else None)
    if len(run.metrics):
        yield Table(name=run.anchor, title="Metrics", frame=run.metrics)
    if len(frame := means(run, confidence)):
        note = f"Mean over the seeds and its {confidence:.0%} interval (Student's t). Two seeds make it wide."
        yield Table(name=f"{run.anchor}_means", title="Means over seeds", frame=frame, note=note)


def _samples(run: Published, out: Path) -> Group | None:
    """The samples of every cell that has a picture of them."""
    files, pictures = [], []
    for cell in run.cells:
        source = cell.folder / "samples.png"
        if not source.is_file():
            continue
        suffix = "" if len(run.cells) == 1 else f"_{cell.name.replace('/', '_')}"
        files.append(out / "figures" / f"{run.anchor}{suffix}_samples.png")
        with atomic_write(files[-1]) as temporary:
            shutil.copyfile(source, temporary)
        with Image.open(source) as picture:
            image = picture.convert("RGB")
        image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
        caption = "uncurated samples" if len(run.cells) == 1 else cell.name
        alt = f"Uncurated samples of {cell.name}, published as {run.name}"
        pictures.append(Picture(caption, alt, np.asarray(image)))
    return Group("Samples", "Uncurated.", files, pictures) if files else None


def _panel(cells: list[PublishedCell], column: str) -> Panel:
    def draw_panel(axis: Axes) -> None:
        for index, cell in enumerate(cells):
            if column in cell.curve:
                known = cell.curve[["kimg", column]].dropna()
                axis.plot(known.kimg, known[column], **style(index, marked=1))
        axis.set_xlabel("kimg")
        axis.set_ylabel(column)

    return draw_panel
