"""The interface: batches and order have no part in what comes out, and memory holds one batch."""

import numpy as np
import pytest

from pipeline.metrics.frechet import fit, frechet_distance
from small_extractor import small

IMAGES = np.random.default_rng(0).integers(0, 256, (37, 3, 9, 9), dtype=np.uint8)


def test_shapes_and_types():
    features, logits = small().extract(IMAGES, 10)
    assert features.shape == (37, 12) and logits.shape == (37, 5) and features.dtype == logits.dtype == np.float32
    assert small(logits=False).extract(IMAGES, 10)[1] is None


@pytest.mark.parametrize("batch", [1, 7, 37, 500])
def test_the_batch_has_no_part_in_the_result(batch):
    for ours, whole in zip(small().extract(IMAGES, batch), small().extract(IMAGES, 37), strict=True):
        np.testing.assert_allclose(ours, whole, rtol=1e-4, atol=1e-6)


def test_the_order_of_images_is_the_order_of_features_and_no_part_of_the_distance():
    order = np.random.default_rng(1).permutation(len(IMAGES))
    features, shuffled = (small().extract(images, 8)[0] for images in (IMAGES, IMAGES[order]))
    np.testing.assert_allclose(shuffled, features[order], rtol=1e-4, atol=1e-6)
    other = fit(features[:20] + 1)
    assert frechet_distance(other, fit(shuffled)) == pytest.approx(frechet_distance(other, fit(features)), rel=1e-4)


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
    extractor.extract_to(mapped, 8, features=tmp_path / "features.npy", logits=tmp_path / "logits.npy", what="test")
    features, scores = extractor.extract(IMAGES, 8)
    assert np.array_equal(np.load(tmp_path / "features.npy"), features)
    assert (
        np.array_equal(np.load(tmp_path / "logits.npy"), scores) if logits else not (tmp_path / "logits.npy").exists()
    )


def test_an_interrupted_extraction_leaves_no_features(tmp_path):
    extractor = small()
    extractor.network.register_forward_hook(lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        extractor.extract_to(IMAGES, 8, features=tmp_path / "features.npy", logits=None, what="test")
    assert not list(tmp_path.iterdir())
