"""Drawn images: every factor reads back, other images explain little, and the prepared data are a function of seeds."""

import numpy as np
import pytest

from image_files import config
from pipeline.base.errors import UserError
from pipeline.base.schema import bind
from pipeline.data.array import read_array, read_manifest
from pipeline.data.config import SIDES, DataConfig
from pipeline.data.glyphs import GROUNDS, HUES, Glyphs
from pipeline.data.prepare import prepare

KINDS = [(side, pairs) for side in SIDES["glyphs"] for pairs in (False, True)]


def drawn(glyphs, count=500, seed=0):
    rng = np.random.default_rng(seed)
    factors = glyphs.sample(count, rng)
    return factors, glyphs.render(factors, rng)


@pytest.mark.parametrize(("side", "pairs"), KINDS)
def test_every_factor_of_every_real_image_reads_back(side, pairs):
    glyphs = Glyphs(side, pairs=pairs)
    factors, images = drawn(glyphs)
    decoded = glyphs.decode(images)
    assert images.shape == (500, 3, side, side) and images.dtype == np.uint8
    assert np.array_equal(decoded.factors, factors) and decoded.factors.shape[1] == len(glyphs.factors)
    assert decoded.explained.min() > 0.9 and decoded.explained.max() <= 1


@pytest.mark.parametrize("pairs", [False, True])
def test_every_mask_is_known_to_the_decoder(pairs):
    """All combinations of the factors at once, without noise of the sampling: none is mistaken for another."""
    glyphs = Glyphs(16, pairs=pairs)
    sizes = [size for name, size in glyphs.factors.items() if name.startswith(("shape", "place"))]
    masks = np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)
    rest = np.zeros((len(masks), len(glyphs.factors) - len(sizes)), np.int64)
    factors = np.concatenate([masks, rest], axis=1)
    assert np.array_equal(glyphs.decode(glyphs.render(factors, np.random.default_rng(3))).factors, factors)


def test_factors_are_uniform_and_independent_and_pairs_share_their_shape_alone():
    glyphs = Glyphs(16, pairs=True)
    factors = glyphs.sample(20_000, np.random.default_rng(0))
    assert np.array_equal(factors[:, glyphs.column("shape")], factors[:, glyphs.column("shape_2")])
    for column, size in enumerate(glyphs.factors.values()):
        assert np.bincount(factors[:, column], minlength=size) / 20_000 == pytest.approx(1 / size, abs=0.012)
    same_hue = factors[:, glyphs.column("hue")] == factors[:, glyphs.column("hue_2")]
    assert same_hue.mean() == pytest.approx(1 / len(HUES), abs=0.012)


def test_shuffled_pairs_are_decoded_and_agree_by_chance_alone():
    glyphs, rng = Glyphs(16, pairs=True), np.random.default_rng(1)
    factors = glyphs.sample(2000, rng)
    factors[:, 1] = rng.permutation(factors[:, 1])
    decoded = glyphs.decode(glyphs.render(factors, rng)).factors
    assert np.array_equal(decoded, factors)
    assert (decoded[:, 0] == decoded[:, 1]).mean() == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(("pairs", "cells"), [(False, 10 * 4 * 6 * 2), (True, 10 * 2 * 6 * 6 * 2)])
def test_cells_number_the_combinations_of_real_images(pairs, cells):
    glyphs = Glyphs(16, pairs=pairs)
    factors = glyphs.sample(20 * cells, np.random.default_rng(0))
    assert glyphs.cells == cells
    assert np.array_equal(np.unique(glyphs.cell(factors)), np.arange(cells))
    assert len(np.unique(factors, axis=0)) == cells


@pytest.mark.parametrize("pairs", [False, True])
def test_images_without_a_glyph_are_explained_badly(pairs):
    glyphs, rng = Glyphs(16, pairs=pairs), np.random.default_rng(0)
    noise = rng.integers(0, 256, (300, 3, 16, 16), dtype=np.uint8)
    ramp = np.broadcast_to(np.linspace(0, 255, 16), (1, 3, 16, 16)).astype(np.uint8)
    assert glyphs.decode(noise).explained.max() < 0.1
    assert glyphs.decode(ramp).explained.max() < 0.4
    flat = glyphs.decode(np.full((2, 3, 16, 16), 77, np.uint8))
    assert np.array_equal(flat.explained, [0, 0])
    assert len(glyphs.decode(noise[:0]).factors) == 0


def test_damage_lowers_what_is_explained():
    glyphs = Glyphs(16)
    _, images = drawn(glyphs)
    real = images.astype(float)
    blurred = (real + np.roll(real, 1, 2) + np.roll(real, 1, 3) + np.roll(real, (1, 1), (2, 3))) / 4
    averaged = (real[:250] + real[250:]) / 2
    clean, blur, average = (np.median(glyphs.decode(x).explained) for x in (images, blurred, averaged))
    assert clean > 0.97 and blur < 0.85 and average < 0.8


def test_colours_are_free_the_decoder_takes_any_contrast():
    """The fit is linear in the colours: half the contrast explains as much, inverted images as well."""
    glyphs = Glyphs(16)
    factors, images = drawn(glyphs, 50)
    whole = glyphs.decode(images)
    for other in (images / 2 + 60, 255.0 - images):
        decoded = glyphs.decode(other)
        assert np.array_equal(decoded.factors[:, :2], factors[:, :2])
        assert decoded.explained == pytest.approx(whole.explained)


def test_a_known_image_has_its_colours_where_its_mask_has_ink():
    glyphs = Glyphs(16)
    image = glyphs.render(np.array([[1, 3, 2, 0]]), np.random.default_rng(0))[0].astype(float)
    assert image[:, :2, :2].mean((1, 2)) == pytest.approx(GROUNDS[0], abs=25)  # place 3 is at the lower right
    assert np.abs(image[:, 9, 9] - HUES[2]).max() < 60


def test_another_shape_of_images_is_refused():
    for shape in ((2, 3, 8, 8), (2, 1, 16, 16), (2, 16, 16, 3)):
        with pytest.raises(ValueError, match=r"images must be \(N, 3, 16, 16\), not"):
            Glyphs(16).decode(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("source", ["glyphs", "glyphs_pairs"])
def test_prepared_images_and_held_out_ones(source, tmp_path):
    for name, count in (("one", 1100), ("again", 1100), ("more", 2048)):
        assert prepare(config(source, resolution=16, count=count), source, tmp_path / name) == count
    assert (tmp_path / "one/images.npy").read_bytes() == (tmp_path / "again/images.npy").read_bytes()
    images, test = read_array(tmp_path / "one"), read_array(tmp_path / "one", "test")
    assert np.array_equal(images[:1024], read_array(tmp_path / "more")[:1024])
    assert not (images[:, None] == test[:50]).all((2, 3, 4)).any()
    manifest = read_manifest(tmp_path / "one")
    assert manifest["source"].startswith(f"{source}, drawn") and manifest["test_count"] == 1100
    assert manifest["split"] == "seed 0" and manifest["test_split"] == "seed 1"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resolution": 8}, r"resolution: given 8; allowed: 16 \| 32"),
        ({"channels": 1}, "channels: given 1; allowed: 3"),
        ({"path": "x"}, "path: given 'x'; allowed: null"),
        ({"count": 0}, "count: given 0; allowed: greater than or equal to 1"),
        ({"source": "folder"}, "count: given 5; allowed: null, images are drawn for glyphs"),
    ],
)
def test_settings_that_drawn_images_cannot_have_are_refused(changes, message):
    content = {"source": "glyphs_pairs", "resolution": 16, "channels": 3, "count": 5} | changes
    with pytest.raises(UserError, match=rf"^conf/dataset/mine\.yaml: data\.{message}"):
        bind(DataConfig, content, file="conf/dataset/mine.yaml", prefix="data")
