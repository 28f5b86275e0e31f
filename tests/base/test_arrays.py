"""Many small images are one picture."""

import numpy as np
import pytest

from pipeline.base.arrays import tile


@pytest.mark.parametrize("channels", [1, 3])
def test_tile_puts_every_pixel_where_it_belongs(channels):
    images = np.random.default_rng(0).integers(0, 200, (5, channels, 3, 4), dtype=np.uint8)
    picture = tile(images, columns=2, gap=1, scale=1)
    assert picture.shape == (3 * 4 + 1, 2 * 5 + 1, channels) and picture.dtype == np.uint8
    covered = np.zeros(picture.shape[:2], dtype=bool)
    for index, image in enumerate(images):
        top, left = 1 + index // 2 * 4, 1 + index % 2 * 5
        assert np.array_equal(picture[top : top + 3, left : left + 4], image.transpose(1, 2, 0))
        covered[top : top + 3, left : left + 4] = True
    assert (picture[~covered] == 224).all()


def test_tile_enlarges_pixels_into_squares():
    images = np.arange(4, dtype=np.uint8).reshape(1, 1, 2, 2)
    picture = tile(images, columns=1, gap=0, scale=3)[:, :, 0]
    assert np.array_equal(picture, np.kron(images[0, 0], np.ones((3, 3), dtype=np.uint8)))
    assert tile(images, columns=1, gap=1, scale=3).shape == (12, 12, 1)
