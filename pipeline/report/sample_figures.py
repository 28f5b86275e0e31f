"""Pictures of what the cells made, each group twice: as one PNG for the Markdown, one by one for the page."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.plan.config import ReportConfig
from pipeline.report.paper import MAIN_VARIANT
from pipeline.report.pictures import GAP, Tile, contact_sheet, grid
from pipeline.report.sheets import Sheet, cell_sheet

# Most pixels of each group's pictures in the page, over all datasets: with photographs, about 5 MB in all.
PAGE_PIXELS = {"timelines": 700_000, "samples": 1_000_000, "interpolations": 250_000, "neighbours": 250_000}
SHEET_SIDE = {"timelines": 280, "samples": 560}  # pixels a side, at most, of a tile on a sheet of the Markdown
SPACES = {"pixel": "pixel space", "feature": "the evaluator's feature space"}


@dataclass(frozen=True)
class Picture:
    """One picture of the page; with `moments`, that many equal frames one above the other for the slider."""

    caption: str
    alt: str
    image: np.ndarray
    moments: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Group:
    """Pictures that belong together; `files` are their PNGs for the Markdown, `layout` how the page lays them out."""

    title: str
    note: str
    files: list[Path]
    pictures: list[Picture]
    layout: str = "tiles"  # tiles | slider | narrow | small
    folded: bool = False
    kind: str = "group"


def label(cell: pd.Series) -> str:
    """The variant, and what befell it: pictures of a diverged run are of its last finite weights."""
    return cell.variant if cell.state == "ok" else f"{cell.variant}, {cell.state}"


def cells_without_samples(cells: pd.DataFrame, results: str) -> list[str]:
    """Cells that have no samples to show, and why."""
    return [label(cell) for _, cell in cells.iterrows() if cell_sheet(results, cell, "samples") is None]


def timelines(cells: pd.DataFrame, results: str, folder: Path, config: ReportConfig, share: int) -> Group | None:
    """The same latents at several moments of training, a picture a cell."""
    sheets = _sheets(cells, results, "grids")
    if not sheets:
        return None
    files, pictures = [], []
    for cell, sheet in sheets:
        kimgs, images = sheet.facts["rows"], sheet.images[:, : config.grid_images]
        shown = _evenly(len(kimgs), config.timeline_columns)
        files.append(folder / f"{cell.dataset}_{cell.variant}_training.png")
        tiles = [
            Tile(f"{kimgs[moment]:g} kimg", grid(_square(images[moment], SHEET_SIDE["timelines"]))) for moment in shown
        ]
        contact_sheet(
            files[-1],
            [("", tiles)],
            f"{cell.dataset}, {cell.variant}, seed {cell.seed}: fixed latents over training",
            side=200,
        )
        kept, small = _reduced(images, PAGE_PIXELS["timelines"] // share // len(sheets))
        frames = np.concatenate([grid(small[moment]) for moment in range(len(kept))])
        alt = (
            f"{small.shape[1]} samples of {cell.variant} on {cell.dataset}, seed {cell.seed}, from the same latents at "
            f"each of {len(kept)} moments from {kimgs[0]:g} to {kimgs[-1]:g} kimg"
        )
        pictures.append(Picture(label(cell), alt, frames, [kimgs[index] for index in kept]))
    note = "The same latents in every cell and at every moment, drawn by the averaged generator."
    files.sort(
        key=lambda path: f"_{MAIN_VARIANT}_" not in path.name
    )  # the full model's first, the others folded behind it
    return Group("Over training", note, files, pictures, "slider", folded=True)


def samples(cells: pd.DataFrame, results: str, folder: Path, config: ReportConfig, share: int) -> Group | None:
    """Real images, then the first measured samples of every cell, uncurated."""
    sheets = _sheets(cells, results, "samples")
    if not sheets:
        return None
    dataset, count = cells.iloc[0].dataset, config.grid_images
    real, origin = real_images(sheets, results, count)
    named = [(origin, f"Real images of {dataset}: {origin}", real)] if real is not None else []
    for cell, sheet in sheets:
        alt = f"The first samples of {cell.variant} on {dataset}, seed {cell.seed}, uncurated"
        named.append((label(cell), alt, sheet.images[0][:count]))
    tiles = [Tile(name, grid(_square(images, SHEET_SIDE["samples"]))) for name, _, images in named]
    path = folder / f"{dataset}_samples.png"
    rows = [("", tiles[start : start + 4]) for start in range(0, len(tiles), 4)]
    contact_sheet(path, rows, f"{dataset}: real images, and the first samples of every cell, uncurated")
    pictures, whole = [], True
    for name, alt, images in named:
        small = _reduced(images[None], PAGE_PIXELS["samples"] // share // len(named))[1][0]
        whole = whole and small.shape == images.shape
        pictures.append(Picture(name, alt, grid(small)))
    note = f"The first {len(sheets[0][1].images[0][:count])} of the measured samples of every cell, uncurated."
    if real is not None:
        note = f"First {origin}, for comparison. " + note
    if not whole:
        note += " To keep this page small it shows fewer, or smaller ones: all are in `results/<cell>/samples.png`."
    return Group("Real images and samples", note, [path], pictures)


def real_images(sheets: list[tuple[pd.Series, Sheet]], results: str, count: int) -> tuple[np.ndarray | None, str]:
    """Up to `count` real images (N, H, W, 3) and where they are from.

    From the sheet `real` of a cell; results of revisions without it have the real images that the memorisation check
    found nearest to the samples of the main variant.
    """
    ordered = sorted(sheets, key=lambda entry: entry[0].variant != MAIN_VARIANT)
    for cell, _ in ordered:
        sheet = cell_sheet(results, cell, "real")
        if sheet is not None:
            return sheet.images[0][:count], "real images"
    for cell, _ in ordered:
        found = [cell_sheet(results, cell, f"neighbours_{space}") for space in SPACES]
        near = [entry.images[:, 1:].reshape(-1, *entry.images.shape[2:]) for entry in found if entry is not None]
        if near:
            distinct = np.unique(np.concatenate(near), axis=0)[:count]
            square = int(np.sqrt(len(distinct))) ** 2
            return distinct[:square], "real images, those nearest to samples"
    return None, ""


def interpolations(cells: pd.DataFrame, results: str, folder: Path, config: ReportConfig, share: int) -> Group | None:
    """Great-circle paths between two latents, a row a path."""
    sheets = _sheets(cells, results, "interpolation")
    if not sheets:
        return None
    dataset, path = cells.iloc[0].dataset, folder / f"{cells.iloc[0].dataset}_interpolation.png"
    whole = [
        (cell, grid(sheet.images.reshape(-1, *sheet.images.shape[2:]), sheet.images.shape[1])) for cell, sheet in sheets
    ]
    tiles = [Tile(label(cell), image) for cell, image in whole]
    contact_sheet(
        path,
        [("", tiles[start : start + 4]) for start in range(0, len(tiles), 4)],
        f"{dataset}: latent interpolation, a row a path",
    )
    pictures = []
    for cell, sheet in sheets:
        small = _reduced(sheet.images, PAGE_PIXELS["interpolations"] // share // len(sheets))
        image = grid(small[1].reshape(-1, *small[1].shape[2:]), small[1].shape[1])
        pictures.append(
            Picture(
                label(cell),
                f"{len(small[0])} interpolations between two samples each of {cell.variant} on {dataset}",
                image,
            )
        )
    note = (
        "Each row walks along a great circle from one latent to another. Smooth changes speak for a learned space, "
        "jumps for memorised images."
    )
    return Group("Latent interpolation", note, [path], pictures, folded=True)


def neighbours(cells: pd.DataFrame, results: str, folder: Path, config: ReportConfig, share: int) -> Group | None:
    """The samples nearest to a training image, and those training images, in two spaces."""
    found = [(cell, space, sheet) for space in SPACES for cell, sheet in _sheets(cells, results, f"neighbours_{space}")]
    if not found:
        return None
    dataset, path, rows, pictures = cells.iloc[0].dataset, folder / f"{cells.iloc[0].dataset}_neighbours.png", [], []
    for space, words in SPACES.items():
        tiles = []
        for cell, _, sheet in (entry for entry in found if entry[1] == space):
            tiles.append(Tile(label(cell), _sample_and_neighbours(sheet.images)))
            nearest = sheet.facts["distances"][0][0]
            median = sheet.facts["real_median"]
            caption = f"{label(cell)}, {space}: nearest at {nearest:.4g}; training images' median {median:.4g}"
            alt = (
                f"{len(sheet.images)} samples of {cell.variant} on {dataset}, each followed by its "
                f"{sheet.images.shape[1] - 1} nearest training images in {words}"
            )
            small = _reduced(sheet.images, PAGE_PIXELS["neighbours"] // share // len(found))[1]
            pictures.append(Picture(caption, alt, _sample_and_neighbours(small)))
        rows += [(words if start == 0 else "", tiles[start : start + 8]) for start in range(0, len(tiles), 8)]
    contact_sheet(path, rows, f"{dataset}: samples (left of the gap) and their nearest training images", side=160)
    note = (
        "In each picture the left column holds the samples that lie nearest to any training image, the most suspicious "
        "of 256; to the right of the gap, their nearest training images. Twins would be copies."
    )
    return Group("Memorisation check: nearest training images", note, [path], pictures, "narrow", folded=True)


def _sheets(cells: pd.DataFrame, results: str, name: str) -> list[tuple[pd.Series, Sheet]]:
    return [(cell, sheet) for _, cell in cells.iterrows() if (sheet := cell_sheet(results, cell, name))]


def _evenly(count: int, most: int) -> list[int]:
    """At most `most` of `count` indices, spread evenly, first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int)).tolist()


def _square(images: np.ndarray, side: int) -> np.ndarray:
    """The first images (N, H, W, 3), as many as make a square grid of at most about `side` pixels; 4 at least."""
    columns = max(2, side // images.shape[1])
    return images[: columns * columns]


def _reduced(images: np.ndarray, pixels: int) -> tuple[list[int], np.ndarray]:
    """Images (R, N, H, W, 3) with at most about `pixels` pixels: fewer columns, then rows, then smaller ones.

    Returns the rows kept and the images.
    """
    rows, columns, height, width = images.shape[:4]
    columns = min(columns, max(4, pixels // (rows * height * width)))
    kept = _evenly(rows, max(3, pixels // (columns * height * width)))
    images = images[kept][:, :columns]
    factor = int(np.ceil(np.sqrt(len(kept) * columns * height * width / pixels)))
    if factor > 1:
        flat = [np.asarray(Image.fromarray(image).reduce(factor)) for image in images.reshape(-1, height, width, 3)]
        images = np.stack(flat).reshape(len(kept), columns, *flat[0].shape)
    return kept, images


def _sample_and_neighbours(images: np.ndarray) -> np.ndarray:
    """Rows of (sample, neighbours...) with a wider gap after the sample."""
    left, right = grid(images[:, 0], 1), grid(images[:, 1:].reshape(-1, *images.shape[2:]), images.shape[1] - 1)
    gap = np.full((left.shape[0], max(2, images.shape[3] // 2), 3), GAP, dtype=np.uint8)
    return np.concatenate([left, gap, right], axis=1)
