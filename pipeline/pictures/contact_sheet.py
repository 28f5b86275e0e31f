"""Contact sheets: many small images in one lossless PNG, so that git can hold what the report shows."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.base.arrays import tile
from pipeline.base.files import atomic_write, write_json

PIXELS = 4_000_000  # at most so many per sheet; beyond, rows are thinned out and columns cut
ROWS = 8  # thinning leaves at least so many


def write_sheet(path: Path, images: np.ndarray, rows: list[Any], **facts: Any) -> None:
    """Write images (R, N, C, H, W) uint8 as `path`.png, R rows of N images without gaps, and `path`.json.

    The JSON has the rows' labels, the image size and `facts`. Where there are too many pixels, rows are thinned evenly
    to no fewer than 8, the first and the last kept. Then columns are cut. The labels show which rows are left.
    """
    pixels = images.shape[-1] * images.shape[-2]
    most_rows = max(min(ROWS, len(images)), PIXELS // (pixels * images.shape[1]))
    kept = np.unique(np.linspace(0, len(images) - 1, min(most_rows, len(images))).round().astype(int))
    columns = max(1, min(images.shape[1], PIXELS // (pixels * len(kept))))
    sheet = tile(images[kept][:, :columns].reshape(-1, *images.shape[2:]), columns, gap=0)
    with atomic_write(path.with_suffix(".png")) as temporary:
        Image.fromarray(sheet.squeeze(-1) if sheet.shape[-1] == 1 else sheet).save(temporary)
    labels = [rows[index] for index in kept]
    write_json(path.with_suffix(".json"), {"rows": labels, "image": list(images.shape[-2:]), **facts})


def write_maps(path: Path, maps: np.ndarray, rows: list[Any], **facts: Any) -> None:
    """Write maps (R, N, H, W) of floats as a grey sheet: each map from its own `low` (0) to its own `high` (255).

    The JSON has both per map, so that a reader gets the values back to 1/255 of the map's range.
    """
    low, high = maps.min(axis=(2, 3)), maps.max(axis=(2, 3))
    span = np.where(high > low, high - low, 1)[..., None, None]
    grey = np.rint((maps - low[..., None, None]) / span * 255).astype(np.uint8)
    write_sheet(path, grey[:, :, None], rows, low=rounded(low), high=rounded(high), **facts)


def rounded(values: Any) -> Any:
    """A number, or an array as nested lists, to five significant digits."""
    if np.ndim(values):
        return [rounded(value) for value in values]
    return float(f"{values:.5g}")
