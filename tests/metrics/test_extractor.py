"""The interface: batches and order have no part in what comes out, and memory holds one batch."""

import numpy as np
import pytest

from pipeline.base.errors import UserError
from pipeline.metrics.extractors import extractor as extracting
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


@pytest.mark.parametrize("logits", [True, False])
def test_files_hold_what_memory_would(tmp_path, logits):
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    extractor = small(logits=logits)
    found = extractor.extract_to(mapped, 8, tmp_path / "out", what="test")
    features, scores = both(extractor, 8)
    assert np.array_equal(np.load(tmp_path / "out/features.npy"), features)
    assert np.array_equal(found.features, features) and isinstance(found.features, np.memmap)
    assert np.array_equal(found.logits, scores) if logits else found.logits is None


def test_an_interrupted_extraction_leaves_no_features(tmp_path):
    extractor = small()
    extractor.network.register_forward_hook(lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        extractor.extract_to(IMAGES, 8, tmp_path, what="test")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_line_and_no_bus_error(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(extracting.NpyWriter, "write", full)
    with pytest.raises(UserError, match=r"features of 37 images could not be written \(No space left on device\)"):
        small().extract_to(IMAGES, 8, tmp_path, what="test")
    assert not list(tmp_path.iterdir())
