"""The interface: batches and order have no part in what comes out."""

import numpy as np
import pytest

from small_extractor import small

IMAGES = np.random.default_rng(0).integers(0, 256, (37, 3, 9, 9), dtype=np.uint8)


def both(extractor, batch):
    found = extractor.extract(IMAGES, batch)
    return found.features, found.logits


def test_shapes_and_types():
    features, logits = both(small(), 10)
    assert features.shape == (37, 12) and logits.shape == (37, 5) and features.dtype == logits.dtype == np.float32
    assert both(small(logits=False), 10)[1] is None


@pytest.mark.parametrize("batch", [1, 7, 37, 500])
def test_the_batch_has_no_part_in_the_result(batch):
    for ours, whole in zip(both(small(), batch), both(small(), 37), strict=True):
        np.testing.assert_allclose(ours, whole, rtol=1e-4, atol=1e-6)


def test_the_order_of_images_is_the_order_of_features():
    order = np.random.default_rng(1).permutation(len(IMAGES))
    features, shuffled = (small().extract(images, 8).features for images in (IMAGES, IMAGES[order]))
    np.testing.assert_allclose(shuffled, features[order], rtol=1e-4, atol=1e-6)


def test_no_batch_is_larger_than_the_network_bears():
    seen = []
    extractor = small(largest=5)
    extractor.network.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    extractor.extract(IMAGES, 250)
    assert max(seen) == 5 and sum(seen) == len(IMAGES)


def test_memory_maps_are_read_as_arrays_are(tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    found = small().extract(mapped, 8)
    for ours, whole in zip((found.features, found.logits), both(small(), 8), strict=True):
        assert np.array_equal(ours, whole)


def test_a_selection_has_its_rows():
    found = small(logits=False).extract(IMAGES, 8).rows(np.array([5, 5, 1]))
    assert np.array_equal(found.features, both(small(), 8)[0][[5, 5, 1]])
    assert found.logits is None


def test_all_rows_are_the_features_themselves_so_that_no_gaussian_is_fitted_twice():
    found = small().extract(IMAGES, 8)
    assert found.rows(slice(len(IMAGES))) is found and found.rows(slice(None)) is found
    assert len(found.rows(slice(len(IMAGES) - 1))) == len(found.rows(slice(1, None))) == len(IMAGES) - 1
