"""Many small images as one picture."""

import numpy as np

GAP_GREY = 224


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
