"""Pictures of what the cells made and how they look: pixels enlarged without smoothing, tiled and labelled."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from pipeline.base.arrays import tile
from pipeline.plan.config import ReportConfig
from pipeline.report.content import Figure
from pipeline.report.drawing import save
from pipeline.report.paper import MAIN_VARIANT
from pipeline.report.results import Results, Sheet

INK, PAPER, GREY = (27, 27, 27), (255, 255, 255), 224
SPACES = {"pixel": "pixel space", "feature": "the evaluator's feature space"}


@dataclass(frozen=True)
class Tile:
    """A picture (H, W, 3) uint8 with a caption, to be placed on a contact sheet."""

    caption: str
    image: np.ndarray


def grid(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Images (N, H, W, 3) as one picture, row by row (as square as it gets), with light gaps."""
    columns = columns or int(np.ceil(np.sqrt(len(images))))
    return tile(images.transpose(0, 3, 1, 2), columns, gap=max(1, images.shape[1] // 16))


def enlarged(image: np.ndarray, side: int) -> np.ndarray:
    """Every pixel repeated so that the longer side is at least `side`."""
    factor = max(1, -(-side // max(image.shape[:2])))
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def contact_sheet(path: Path, rows: list[tuple[str, list[Tile]]], side: int) -> None:
    """Write labelled rows of captioned tiles as one PNG, every tile at least `side` pixels long."""
    fonts = Path(matplotlib.get_data_path()) / "fonts/ttf"
    font, bold = (ImageFont.truetype(fonts / name, 14) for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"))
    line, margin = 20, 10
    big = [(label, [Tile(t.caption, enlarged(t.image, side)) for t in tiles]) for label, tiles in rows]
    width = max(sum(t.image.shape[1] + margin for t in tiles) for _, tiles in big) + margin
    width = max([width, *(int(bold.getlength(label)) + 2 * margin for label, _ in big)])
    heights = [
        max(t.image.shape[0] for t in tiles) + line * (bool(label) + any(t.caption for t in tiles)) + margin
        for label, tiles in big
    ]
    canvas = Image.new("RGB", (width, sum(heights) + margin), PAPER)
    draw, top = ImageDraw.Draw(canvas), margin
    for (label, tiles), height in zip(big, heights, strict=True):
        inner, left = top, margin
        if label:
            draw.text((margin, inner), label, font=bold, fill=INK)
            inner += line
        captions = line * any(t.caption for t in tiles)
        for entry in tiles:
            draw.text((left, inner), _fitted(entry.caption, font, entry.image.shape[1]), font=font, fill=INK)
            canvas.paste(Image.fromarray(entry.image), (left, inner + captions))
            left += entry.image.shape[1] + margin
        top += height
    save(path, canvas)


def _fitted(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The text, cut with an ellipsis where it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def label(cell: Any) -> str:
    """The variant, and what befell it: pictures of a diverged run are of its last finite weights."""
    return cell.variant if cell.state == "ok" else f"{cell.variant}, {cell.state}"


def rows_of(tiles: list[Tile], columns: int) -> list[tuple[str, list[Tile]]]:
    return [("", tiles[start : start + columns]) for start in range(0, len(tiles), columns)]


def sheets(results: Results, dataset: str, name: str) -> list[tuple[pd.Series, Sheet]]:
    """A picture sheet of every cell of the first seed that has it."""
    cells = results.first_seed(dataset).iterrows()
    return [(cell, sheet) for _, cell in cells if (sheet := results.sheet(cell, name))]


def without_samples(results: Results, dataset: str) -> list[str]:
    """Cells of the first seed that have no samples to show, and why."""
    cells = results.first_seed(dataset).iterrows()
    return [label(cell) for _, cell in cells if results.sheet(cell, "samples") is None]


def samples(results: Results, dataset: str, folder: Path, config: ReportConfig) -> Figure | None:
    """Real images, then the first measured samples of every cell, uncurated."""
    own, count = sheets(results, dataset, "samples"), config.grid_images
    if not own:
        return None
    real = real_images(results, dataset, count)
    named = [("real images", real)] if real is not None else []
    named += [(label(cell), sheet.images[0][:count]) for cell, sheet in own]
    tiles = [Tile(name, grid(_square(images, 256))) for name, images in named]
    path = folder / f"{dataset}_samples.png"
    contact_sheet(path, rows_of(tiles, 4), side=240)
    shown = ", ".join(name for name, _ in named)
    note = "The first of the measured samples of every row, uncurated" + ("; real images first." if named else ".")
    return Figure(title="Samples", path=path, alt=f"Uncurated samples on {dataset}: {shown}", note=note)


def real_images(results: Results, dataset: str, count: int) -> np.ndarray | None:
    """Up to `count` real images (N, H, W, 3) from the sheet `real` of the first cell that has one."""
    found = sheets(results, dataset, "real")
    return found[0][1].images[0][:count] if found else None


def timelines(results: Results, dataset: str, folder: Path, config: ReportConfig) -> Figure | None:
    """The same latents at several moments of training, a row of moments for every cell."""
    own = sheets(results, dataset, "grids")
    if not own:
        return None
    rows = []
    for cell, sheet in own:
        kimgs = sheet.facts["rows"]
        shown = np.unique(np.linspace(0, len(kimgs) - 1, min(config.timeline_columns, len(kimgs))).round().astype(int))
        images = sheet.images[:, : min(config.grid_images, 16)]
        rows.append((label(cell), [Tile(f"{kimgs[i]:g} kimg", grid(_square(images[i], 128))) for i in shown]))
    path = folder / f"{dataset}_training.png"
    contact_sheet(path, rows, side=110)
    alt = f"Samples from the same latents at moments of training, for {', '.join(name for name, _ in rows)}"
    note = "The same latents in every row and at every moment, drawn by the averaged generator."
    return Figure(title="Samples over training", path=path, alt=alt, note=note, folded=True)


def interpolations(results: Results, dataset: str, folder: Path) -> Figure | None:
    """Great-circle paths between two latents, a row a path."""
    own = sheets(results, dataset, "interpolation")
    if not own:
        return None
    tiles = [
        Tile(label(cell), grid(sheet.images.reshape(-1, *sheet.images.shape[2:]), sheet.images.shape[1]))
        for cell, sheet in own
    ]
    path = folder / f"{dataset}_interpolation.png"
    contact_sheet(path, rows_of(tiles, 4), side=240)
    alt = f"Interpolations between two latents of {', '.join(entry.caption for entry in tiles)} on {dataset}"
    note = "Each row walks along a great circle from one latent to another. Jumps speak for memorised images."
    return Figure(title="Latent interpolation", path=path, alt=alt, note=note, folded=True)


def neighbours(results: Results, dataset: str, folder: Path) -> Figure | None:
    """The samples nearest to a training image, and those training images, in two spaces."""
    rows: list[tuple[str, list[Tile]]] = []
    for space, words in SPACES.items():
        tiles = []
        for cell, sheet in sheets(results, dataset, f"neighbours_{space}"):
            images = sheet.images
            left, right = grid(images[:, 0], 1), grid(images[:, 1:].reshape(-1, *images.shape[2:]), images.shape[1] - 1)
            gap = np.full((left.shape[0], max(2, images.shape[3] // 2), 3), GREY, dtype=np.uint8)
            tiles.append(Tile(label(cell), np.concatenate([left, gap, right], axis=1)))
        rows += [(words * (start == 0), part) for start, (_, part) in enumerate(rows_of(tiles, 6))]
    if not rows:
        return None
    path = folder / f"{dataset}_neighbours.png"
    contact_sheet(path, rows, side=160)
    note = (
        "Left of the gap: the samples of 256 that lie nearest to any training image; right of it, their nearest "
        "training images. Twins would be copies."
    )
    alt = f"Samples on {dataset} beside their nearest training images, in pixel space and in feature space"
    return Figure(title="Nearest training images", path=path, alt=alt, note=note, folded=True)


def augmentation(results: Results, dataset: str, folder: Path) -> Figure | None:
    """What augmentation does to real images, a row an operation; None where no cell was trained with it."""
    found = sheets(results, dataset, "augment")
    if not found:
        return None
    cell, sheet = min(found, key=lambda entry: entry[0].variant != MAIN_VARIANT)
    names = [str(name).replace("_", " ") for name in sheet.facts["rows"]]
    path = folder / f"{dataset}_augment.png"
    tiles = [Tile(name, grid(images, len(images))) for name, images in zip(names, sheet.images, strict=True)]
    contact_sheet(path, rows_of(tiles, 1), side=480)
    note = (
        f"The same real images under each operation of DiffAug, and under all, with the settings of `{cell.variant}`."
    )
    alt = f"Real images of {dataset} under {', '.join(names)}"
    return Figure(title="What augmentation does", path=path, alt=alt, note=note, folded=True)


def _square(images: np.ndarray, side: int) -> np.ndarray:
    """The first images (N, H, W, 3), as many as make a square grid of at most about `side` pixels; 4 at least."""
    columns = max(2, side // images.shape[1])
    return images[: columns * columns]
