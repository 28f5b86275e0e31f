"""The two operations from ADA (Karras et al. 2020): hue rotation and amplified frequency bands."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from pipeline.training.augment import augment, band_filters


def hue(images, config):
    return augment(images, config.model_copy(update={"policy": ["hue"]}))


def filter_bands(images, config):
    return augment(images, config.model_copy(update={"policy": ["filter"]}))


# ---- hue ----
def test_hue_rotates_about_the_grey_axis_by_a_uniform_angle(augmentation, uniform):
    images = torch.rand(3000, 3, 2, 2, dtype=torch.float64) * 2 - 1
    pixels = images.flatten(2).transpose(1, 2).numpy()
    out = hue(images, augmentation(hue_probability=0.5)).flatten(2).transpose(1, 2).numpy()
    axis = np.ones(3) / math.sqrt(3)
    first = pixels[:, 0] - pixels[:, 0].mean(1, keepdims=True)
    turned = out[:, 0] - out[:, 0].mean(1, keepdims=True)
    angles = np.arctan2((np.cross(axis, first) * turned).sum(1), (first * turned).sum(1))
    for before, after, angle in zip(pixels, out, angles, strict=True):
        np.testing.assert_allclose(after, Rotation.from_rotvec(angle * axis).apply(before), atol=1e-12)
    chosen = np.abs(angles) > 1e-9
    assert abs(chosen.mean() - 0.5) < 0.05
    assert uniform(np.histogram(angles[chosen], bins=16, range=(-math.pi, math.pi))[0])


def test_hue_leaves_grey_images_and_unlikely_ones_alone(augmentation):
    grey = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(
        hue(grey.expand(-1, 3, -1, -1), augmentation(hue_probability=1.0)), grey.expand(-1, 3, -1, -1)
    )
    assert torch.equal(hue(grey, augmentation(hue_probability=1.0)), grey)
    colour = torch.randn(4, 3, 8, 8)
    torch.testing.assert_close(hue(colour, augmentation(hue_probability=0.0)), colour)


# ---- filter ----
def test_bands_are_adas_octaves():
    bank = band_filters().numpy()
    centre = bank.shape[1] // 2
    np.testing.assert_allclose(bank.sum(0), np.eye(bank.shape[1])[centre], atol=1e-12)
    np.testing.assert_allclose(bank, bank[:, ::-1], atol=1e-12)
    # sym2 in closed form, and the bank as responses: high(w), low(w) high(2w), low(w) low(2w) high(4w), the rest.
    sym2 = np.array([1 - 3**0.5, 3 - 3**0.5, 3 + 3**0.5, 1 + 3**0.5]) / (4 * 2**0.5)
    w = np.linspace(0, math.pi, 200)

    def low(w):
        return np.abs(np.exp(-1j * np.outer(w, np.arange(4))) @ sym2) ** 2 / 2

    def high(w):
        return low(w + math.pi)

    expected = [low(w) * low(2 * w) * low(4 * w), low(w) * low(2 * w) * high(4 * w), low(w) * high(2 * w), high(w)]
    responses = bank @ np.exp(-1j * np.outer(np.arange(-centre, centre + 1), w))
    np.testing.assert_allclose(responses, np.array(expected), atol=1e-10)


def kernels(count: int, augmentation, **changes) -> tuple[np.ndarray, np.ndarray]:
    """The filter each of `count` images was given, read off its response to one lit pixel, and its gains per band."""
    bank = band_filters().numpy()
    side = bank.shape[1] + 4
    lit = torch.zeros(count, 1, side, side, dtype=torch.float64)
    lit[:, :, side // 2, side // 2] = 1
    rows = filter_bands(lit, augmentation(**changes))[:, 0, side // 2, 2:-2].numpy()
    taps = rows / np.sqrt(rows[:, [bank.shape[1] // 2]])  # separable: the middle row is the filter times its middle tap
    return taps, np.linalg.lstsq(bank.T, taps.T, rcond=None)[0].T


def test_filter_amplifies_bands_by_powers_of_two_and_keeps_the_power(augmentation, uniform):
    taps, gains = kernels(1000, augmentation, filter_probability=0.25)
    np.testing.assert_allclose(gains @ band_filters().numpy(), taps, atol=1e-9)
    logs = np.log2(gains)
    # In an image with one amplified band the other three share one gain; the paper's 1/f power is (10, 1, 1, 1) / 13.
    ones = []
    for row in logs:
        different = [band for band in range(4) if np.ptp(np.delete(row, band)) < 1e-9 and np.ptp(row) > 1e-9]
        if different:
            ones.append((different[0], row[different[0]] - np.delete(row, different[0])[0]))
            assert (np.array([10, 1, 1, 1]) / 13 * np.exp2(row) ** 2).sum() == pytest.approx(1)
    untouched = (np.ptp(logs, axis=1) < 1e-9).mean()
    assert untouched == pytest.approx(0.75**4, abs=0.05) and len(ones) / 1000 == pytest.approx(
        4 * 0.25 * 0.75**3, abs=0.05
    )
    assert uniform(np.bincount([band for band, _ in ones], minlength=4))
    amplification = np.array([value for _, value in ones])
    assert abs(amplification.mean()) < 0.15 and amplification.std() == pytest.approx(1, abs=0.12)


def test_filter_with_gain_one_is_the_identity(augmentation):
    images = torch.randn(3, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(filter_bands(images, augmentation(filter_probability=0.0)), images)


def test_filter_is_a_convolution_of_the_mirrored_image_the_same_in_every_channel(augmentation):
    torch.manual_seed(2)
    taps, _ = kernels(5, augmentation, filter_probability=1.0)
    images = torch.randn(5, 3, 8, 6, dtype=torch.float64)
    torch.manual_seed(2)
    out = filter_bands(images, augmentation(filter_probability=1.0)).numpy()
    pad = taps.shape[1] // 2  # longer than the image: mirrored again and again
    for index, kernel in enumerate(taps):
        for channel in range(3):
            mirrored = np.pad(images[index, channel].numpy(), pad, mode="reflect")
            across = np.array([np.convolve(row, kernel, mode="valid") for row in mirrored])
            expected = np.array([np.convolve(column, kernel, mode="valid") for column in across.T]).T
            np.testing.assert_allclose(out[index, channel], expected, atol=1e-9)
