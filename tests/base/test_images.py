"""The one quantisation rule, and many small images as one picture."""

import numpy as np
import pytest
import torch

from pipeline.base.images import tile, to_float, to_uint8

LEVELS = torch.arange(256, dtype=torch.uint8)


def test_all_256_levels_come_back_exactly():
    assert torch.equal(to_uint8(to_float(LEVELS)), LEVELS)


def test_levels_span_minus_one_to_one_evenly():
    values = to_float(LEVELS)
    assert values.dtype == torch.float32
    assert values[0] == -1 and values[255] == 1
    torch.testing.assert_close(values.double(), torch.linspace(-1, 1, 256, dtype=torch.float64), rtol=0, atol=1e-7)


def test_rounding_is_to_the_nearest_level_not_down():
    step = 2 / 255
    for offset in (-0.49, -0.25, 0.25, 0.49):
        assert torch.equal(to_uint8(to_float(LEVELS[1:-1]) + offset * step), LEVELS[1:-1])


def test_values_outside_are_clamped_not_wrapped():
    assert to_uint8(torch.tensor([-1.01, -7.0, -float("inf"), 1.01, 7.0, float("inf")])).tolist() == [
        0,
        0,
        0,
        255,
        255,
        255,
    ]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_precisions_are_quantised_in_float32(dtype):
    images = torch.linspace(-1.2, 1.2, 1001).to(dtype)
    assert torch.equal(to_uint8(images), to_uint8(images.float()))


def test_shapes_are_kept():
    images = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    assert to_float(images).shape == images.shape
    assert torch.equal(to_uint8(to_float(images)), images)


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
