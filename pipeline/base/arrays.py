"""Array files written row by row, and many small images as one picture."""

import os
from pathlib import Path
from typing import Self

import numpy as np

GAP_GREY = 224


class NpyWriter:
    """A .npy file written row by row, with the bytes that np.save gives; the first rows say the shape of one.

    No memory map is used: on a full disk a plain write raises `OSError`, while a mapped page kills the process.
    """

    def __init__(self, path: Path, dtype: type) -> None:
        self.path, self.dtype, self.rows = path, np.dtype(dtype), 0
        self.row: tuple[int, ...] | None = None
        self._file = open(path, "wb")  # noqa: SIM115

    def write(self, rows: np.ndarray) -> None:
        """Append rows. Errors: `ValueError` for another type or shape than that of the file."""
        if self.row is None:
            self.row = rows.shape[1:]
            self._write_header()
        if rows.dtype != self.dtype or rows.shape[1:] != self.row:
            raise ValueError(f"{self.path.name}: {rows.shape} {rows.dtype} does not fit {self.row} {self.dtype}")
        self.rows += len(rows)
        self._file.write(np.ascontiguousarray(rows).data)

    def close(self) -> None:
        """Write the number of rows and sync the file."""
        self._file.seek(0)
        self._write_header()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def _write_header(self) -> None:
        """As long as before, whatever the number of rows: numpy leaves room for it."""
        shape, descr = (self.rows, *(self.row or ())), np.lib.format.dtype_to_descr(self.dtype)
        facts = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, facts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def tile(images: np.ndarray, columns: int, gap: int = 1, scale: int = 1) -> np.ndarray:
    """Images (N, C, H, W) uint8 -> one picture (H', W', C), row by row, each pixel enlarged to `scale` x `scale`.

    Light gaps of `gap` enlarged pixels lie around and between the images; with 0 there are none.
    """
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    canvas = np.full((rows * columns, channels, height + gap, width + gap), GAP_GREY, dtype=np.uint8)
    canvas[:count, :, gap:, gap:] = images
    canvas = canvas.reshape(rows, columns, channels, height + gap, width + gap).transpose(0, 3, 1, 4, 2)
    canvas = canvas.reshape(rows * (height + gap), columns * (width + gap), channels)
    canvas = np.pad(canvas, ((0, gap), (0, gap), (0, 0)), constant_values=GAP_GREY)
    return canvas.repeat(scale, axis=0).repeat(scale, axis=1)
