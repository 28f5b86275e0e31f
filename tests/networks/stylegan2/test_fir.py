"""Resampling by two against scipy's upfirdn, one channel and one axis at a time."""

import numpy as np
import pytest
import torch
from scipy.signal import upfirdn

from pipeline.networks.stylegan2.networks import Blur

TAPS = np.array([1.0, 3.0, 3.0, 1.0]) / 8
UPSAMPLE = Blur(1, gain=4.0, stride=2, up=True)


def resampled(x, taps, *, up=1, down=1, before, after):
    """Zeros between samples, padding (in samples of the upsampled signal), filter, every `down`-th."""
    for axis in (2, 3):
        x = np.moveaxis(x, axis, -1)
        stuffed = np.zeros((*x.shape[:-1], x.shape[-1] * up))
        stuffed[..., ::up] = x
        padded = np.pad(stuffed, [(0, 0)] * 3 + [(before, after)])
        filtered = upfirdn(taps, padded)[..., 3:-3]  # without the edges where the filter hangs over
        x = np.moveaxis(filtered[..., ::down], -1, axis)
    return x


@pytest.mark.parametrize("side", [4, 6])
@pytest.mark.parametrize(
    ("module", "settings"),
    [
        (UPSAMPLE, {"taps": 2 * TAPS, "up": 2, "before": 2, "after": 1}),
        (Blur(1, stride=2), {"taps": TAPS, "down": 2, "before": 1, "after": 1}),
        (Blur(1, gain=4.0), {"taps": 2 * TAPS, "before": 1, "after": 1}),
        (Blur(2), {"taps": TAPS, "before": 2, "after": 2}),
    ],
    ids=["upsample", "downsample", "blur after a transposed convolution", "blur before a convolution in steps of two"],
)
def test_it_is_upfirdn(module, settings, side):
    x = torch.randn(2, 3, side, side, dtype=torch.float64)
    ours = module.double()(x).numpy()
    np.testing.assert_allclose(ours, resampled(x.numpy(), **settings), atol=1e-12)


def test_a_constant_image_keeps_its_value_inside_and_taps_are_not_saved():
    image = torch.ones(1, 2, 8, 8)
    torch.testing.assert_close(UPSAMPLE(image)[..., 2:-2, 2:-2], torch.ones(1, 2, 12, 12))
    torch.testing.assert_close(Blur(1, stride=2)(image)[..., 1:-1, 1:-1], torch.ones(1, 2, 2, 2))
    assert not UPSAMPLE.state_dict()
