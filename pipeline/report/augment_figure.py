"""What augmentation does to real images, row by row."""

from pathlib import Path

import pandas as pd

from pipeline.report.paper import MAIN_VARIANT
from pipeline.report.pictures import Tile, contact_sheet, grid
from pipeline.report.sample_figures import Group, Picture
from pipeline.report.sheets import cell_sheet


def augmentation_preview(cells: pd.DataFrame, results: str, folder: Path) -> Group | None:
    """What augmentation does to real images: the sheet `augment` of the main variant, else of the first that has one.

    None where no cell was trained with augmentation.
    """
    found = [(cell, sheet) for _, cell in cells.iterrows() if (sheet := cell_sheet(results, cell, "augment"))]
    if not found:
        return None
    cell, sheet = min(found, key=lambda entry: entry[0].variant != MAIN_VARIANT)
    path = folder / f"{cell.dataset}_augment.png"
    names = [str(name).replace("_", " ") for name in sheet.facts["rows"]]
    tiles = [Tile(name, grid(images, len(images))) for name, images in zip(names, sheet.images, strict=True)]
    contact_sheet(
        path, [("", [tile]) for tile in tiles], f"{cell.dataset}: what the augmentation of {cell.variant} does"
    )
    pictures = [
        Picture(tile.caption, f"Real images of {cell.dataset} under: {tile.caption}", tile.image) for tile in tiles
    ]
    note = (
        f"The same real images as they are, under each operation of DiffAug, and under all of them, with the settings "
        f"and probabilities of `{cell.variant}`. D sees real and generated images so."
    )
    return Group("Augmentation preview", note, [path], pictures, folded=True)
