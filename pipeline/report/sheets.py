"""The picture sheets of cells: many images of one size in a PNG, with the facts of a JSON beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.base.files import read_json
from pipeline.report.results import cell_folder


@dataclass(frozen=True)
class Sheet:
    """A picture sheet: `images` (R, N, H, W, C) uint8 and the facts of its JSON, `rows` among them."""

    images: np.ndarray
    facts: dict[str, Any]


def cell_sheet(results: str | Path, cell: Any, name: str) -> Sheet | None:
    """The picture sheet `name` of a cell, None where it has none."""
    return load_sheet(cell_folder(results, cell) / name)


def load_sheet(path: Path) -> Sheet | None:
    """The picture sheet `path`.png with the facts of `path`.json, None where either is missing."""
    if not (path.with_suffix(".png").is_file() and path.with_suffix(".json").is_file()):
        return None
    facts = read_json(path.with_suffix(".json"))
    height, width = facts["image"]
    with Image.open(path.with_suffix(".png")) as picture:
        sheet = np.asarray(picture.convert("RGB"))
    rows, columns = sheet.shape[0] // height, sheet.shape[1] // width
    return Sheet(sheet.reshape(rows, height, columns, width, 3).transpose(0, 2, 1, 3, 4), facts)


def load_maps(results: str | Path, cell: Any, name: str) -> Sheet | None:
    """Maps of floats (R, N, H, W) as `write_maps` stored them, values restored."""
    sheet = cell_sheet(results, cell, name)
    if sheet is None:
        return None
    low, high = (np.array(sheet.facts[bound])[..., None, None] for bound in ("low", "high"))
    return Sheet(low + sheet.images[..., 0] / 255 * (high - low), sheet.facts)
