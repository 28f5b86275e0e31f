"""The kept generator of glyphs: what another decoder reads from its pictures is what its published metrics say."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.data.glyphs import GROUNDS, HUES, Glyphs
from pipeline.generators.library import load_generator
from pipeline.generators.write_images import write_folder

COUNT = 1000


def masks_seen(count=4000):
    """Ink of each (shape, place) in [0, 1], (40, P), as labelled real images show it: without the font.

    On its ground of a known colour an image is that colour plus ink times a contrast; the mean of its absolute
    contrast over many colours is the ink but for a factor.
    """
    glyphs, random = Glyphs(16), np.random.default_rng(5)
    factors = glyphs.sample(count, random)
    contrast = (
        np.abs(glyphs.render(factors, random) - GROUNDS[factors[:, -1]][:, :, None, None]).mean(1).reshape(count, -1)
    )
    labels = factors[:, 0] * 4 + factors[:, 1]
    means = np.stack([contrast[labels == label].mean(0) for label in range(40)])
    return (means - np.median(means)).clip(0) / means.max(1, keepdims=True)


def read(images, masks):
    """Shares of variance explained (N,) and combinations of factors (N,), by one regression an image and mask."""
    pixels = images.reshape(len(images), 3, -1).transpose(0, 2, 1).astype(float)  # (N, P, 3)
    total = ((pixels - pixels.mean(1, keepdims=True)) ** 2).sum((1, 2))
    explained, cells = np.zeros(len(images)), np.zeros(len(images), int)
    for label, mask in enumerate(masks):
        design = np.stack([1 - mask, mask], axis=1)
        colours = np.linalg.lstsq(design, pixels.transpose(1, 0, 2).reshape(len(mask), -1), rcond=None)[0]
        fitted = (design @ colours).reshape(len(mask), len(images), 3).transpose(1, 0, 2)
        share = 1 - ((pixels - fitted) ** 2).sum((1, 2)) / total
        ground, ink = colours.reshape(2, len(images), 3)
        hue, dark = (np.linalg.norm(a[:, None] - b, axis=2).argmin(1) for a, b in ((ink, HUES), (ground, GROUNDS)))
        cells = np.where(share > explained, (label * len(HUES) + hue) * len(GROUNDS) + dark, cells)
        explained = np.maximum(explained, share)
    return explained, cells


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """The first samples of glyphs/full, written as PNGs and read again."""
    folder = tmp_path_factory.mktemp("glyphs") / "samples"
    names = [f"{number:04}.png" for number in range(COUNT)]
    write_folder(folder, load_generator("glyphs/full").sample(COUNT, seed=0, batch=250), names)
    return np.stack([np.asarray(Image.open(path)).transpose(2, 0, 1) for path in sorted(folder.glob("*.png"))])


def test_another_decoder_finds_the_published_shares_and_the_same_cells(pictures):
    explained, cells = read(pictures, masks_seen())
    glyphs = Glyphs(16)
    decoded = glyphs.decode(pictures)
    published = pd.read_csv("published/glyphs/metrics.csv").iloc[0]
    for level in (50, 70, 90):
        share = (explained > level / 100).mean()
        assert share == pytest.approx((decoded.explained > level / 100).mean(), abs=0.03)
        assert share == pytest.approx(published[f"valid4k_glyphs_{level}"], abs=0.06)  # 1,000 of 4,000 samples
    valid = decoded.explained > 0.7
    assert (cells[valid] == glyphs.cell(decoded.factors)[valid]).mean() > 0.88  # colours between two hues
    covered = len(np.unique(glyphs.cell(decoded.factors)[valid]))
    assert len(np.unique(cells[explained > 0.7])) == pytest.approx(covered, rel=0.08)
