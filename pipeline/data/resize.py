"""Datasets that are published as arrays: resized by the same rule as image files."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
from PIL import Image

from pipeline.data.array import Split
from pipeline.data.config import DataConfig
from pipeline.data.decode import fit, in_parallel


def fit_chunks(split: Split, config: DataConfig) -> Split:
    """The split at `config.resolution`: unchanged where it has that resolution already, resized in parallel otherwise.

    Errors: `UserError`, when the chunks are read, where the images are smaller than the resolution.
    """
    count, channels, height, width = split.shape
    if height == width == config.resolution:
        return split

    def work(chunk: np.ndarray) -> np.ndarray:
        images = (Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))) for image in chunk)
        return np.stack([np.asarray(fit("an image", image, config, Counter())).transpose(2, 0, 1) for image in images])

    def chunks() -> Iterator[np.ndarray]:
        return in_parallel(work, split.chunks())

    return Split(shape=(count, channels, config.resolution, config.resolution), chunks=chunks)
