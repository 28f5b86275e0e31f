"""uint8 images: the one rule by which they become network inputs and back, and many small ones as one picture.

torch is not imported: pictures and reports that compute nothing tile images too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

GAP_GREY = 224


def to_float(images: Tensor) -> Tensor:
    """uint8 0..255 -> float32 in [-1, 1]: x / 127.5 - 1."""
    return images.float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """float in [-1, 1] -> uint8: round((x + 1) 127.5), clamped to 0..255. The inverse of `to_float` on its values."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).byte()


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
