"""Array files written row by row, and many small images as one picture."""

import os
from pathlib import Path
from typing import Self

import numpy as np

GAP_GREY = 224


class NpyWriter:
    """A .npy file written row by row, with the bytes that np.save gives.

    No memory map is used: on a full disk a plain write raises `OSError`, while a mapped page kills the process.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: type) -> None:
        self.path, self.shape, self.dtype, self.rows = path, tuple(shape), np.dtype(dtype), 0
        self._file = open(path, "wb")  # noqa: SIM115
        self._write_header()

    def _write_header(self) -> None:
        facts = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(self._file, facts)

    def write(self, rows: np.ndarray) -> None:
        """Append rows. Errors: `ValueError` for another type or shape than the file's, and for too many of them."""
        self.rows += len(rows)
        if rows.dtype != self.dtype or rows.shape[1:] != self.shape[1:] or self.rows > self.shape[0]:
            raise ValueError(f"{self.path.name}: {rows.shape} {rows.dtype} does not fit {self.shape} {self.dtype}")
        self._file.write(np.ascontiguousarray(rows).data)

    def close(self, *, fewer: bool = False) -> None:
        """Sync the file. Errors: `ValueError` for fewer rows than the shape announced, unless `fewer`."""
        if self.rows != self.shape[0]:
            if not fewer:
                raise ValueError(f"{self.path.name}: {self.rows} rows written, {self.shape[0]} announced")
            self.shape = (self.rows, *self.shape[1:])
            self._file.seek(0)
            self._write_header()  # as long as before: numpy leaves room for longer shapes
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

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
