"""Nearest training images on points whose neighbours are known, and what a copying generator looks like."""

import json

import numpy as np
import pytest

from pipeline.pictures import nearest_images
from pipeline.pictures.nearest_images import nearest, write_nearest_images


def test_nearest_across_chunks(monkeypatch):
    monkeypatch.setattr(nearest_images, "CHUNK", 2)
    candidates = np.array([[0.0], [10.0], [4.0], [3.0], [11.0]])
    distances, indices = nearest(np.array([[1.0], [10.4]]), candidates, 2)
    assert indices.tolist() == [[0, 3], [1, 4]]
    assert distances == pytest.approx(np.array([[1.0, 2.0], [0.4, 0.6]]), abs=1e-5)


@pytest.mark.parametrize(("copies", "share"), [(False, 0.0), (True, 1.0)])
def test_copies_are_closer_than_training_images_are_to_each_other(tmp_path, copies, share):
    random = np.random.default_rng(0)
    real = random.integers(0, 256, (60, 3, 4, 4), dtype=np.uint8)
    samples = real[:20] if copies else np.full((20, 3, 4, 4), 255, dtype=np.uint8)
    write_nearest_images(
        tmp_path, samples, samples.reshape(20, -1).astype(np.float32), real, real.reshape(60, -1).astype(np.float32)
    )
    for space in ("pixel", "feature"):
        facts = json.loads((tmp_path / f"neighbours_{space}.json").read_text())
        assert facts["closer"] == share and (facts["median"] == 0) == copies
        assert facts["real_median"] > 0 and len(facts["distances"]) == 8 and facts["samples"] == 20
        firsts = [row[0] for row in facts["distances"]]
        assert firsts == sorted(firsts) and all(row == sorted(row) for row in facts["distances"])


def test_pixel_distance_is_a_root_mean_square_in_grey_levels(tmp_path):
    real = np.zeros((5, 3, 4, 4), dtype=np.uint8)
    real[:, 0, 0, 0] = [0, 50, 100, 150, 200]
    samples = np.full((1, 3, 4, 4), 7, dtype=np.uint8)
    samples[0, 0, 0, 0] = 0
    write_nearest_images(tmp_path, samples, samples.reshape(1, -1), real, real.reshape(5, -1))
    facts = json.loads((tmp_path / "neighbours_pixel.json").read_text())
    assert facts["distances"][0][0] == pytest.approx(7 * (47 / 48) ** 0.5, rel=1e-4)
