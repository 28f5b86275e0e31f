"""The digits' evaluator: trained on its own part, the same every time, and good enough to measure with."""

import numpy as np
import pytest
import torch

from pipeline.data.config import DataConfig
from pipeline.data.readers import read_digits, split_digits
from pipeline.metrics.extractors.extractor import Extractor
from pipeline.metrics.extractors.own import DigitsClassifier, accuracy, train_classifier
from pipeline.metrics.extractors.registry import ClassifierConfig


@pytest.fixture(scope="module")
def digits():
    images, labels, _ = read_digits(DataConfig(source="digits", resolution=8, channels=3))
    return images, labels


def settings(**changes):
    return ClassifierConfig(**{"seed": 0, "epochs": 1} | changes)


def extract(network, images, batch):
    extractor = Extractor(name="digits_classifier", sha256="ab" * 32, resize="none", network=network)
    found = extractor.extract(images, batch)
    return found.features, found.logits


def equal(ours, theirs):
    return all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True))


def test_at_the_configured_epochs_it_knows_what_it_has_not_seen(digits, cell):
    (images, labels), (train, held_out) = digits, split_digits(len(digits[0]))
    network = train_classifier(images[train], labels[train], cell("digits").evaluate.reference.digits_classifier)
    predicted = extract(network, images[held_out], 500)[1].argmax(axis=1)
    assert accuracy(network, images[held_out], labels[held_out]) == (predicted == labels[held_out]).mean() >= 0.97
    assert all((predicted[labels[held_out] == digit] == digit).mean() > 0.85 for digit in range(10))


def test_the_same_settings_give_the_same_weights_whatever_was_drawn_before(digits):
    images, labels = digits[0][:300], digits[1][:300]
    first = train_classifier(images, labels, settings())
    torch.randn(17)
    again, other = (train_classifier(images, labels, settings(seed=seed)) for seed in (0, 1))
    assert equal(first, again) and not equal(first, other)


def test_one_channel_and_three_give_the_same_weights(digits):
    images, labels = digits[0][:300], digits[1][:300]
    one, three = (train_classifier(part, labels, settings()) for part in (images[:, :1], images))
    assert equal(one, three)
    assert np.array_equal(extract(one, images[:, :1], 99)[0], extract(three, images, 99)[0])


def test_it_reads_memory_maps_and_leaves_them_alone(digits, tmp_path):
    images, labels = digits[0][:100], digits[1][:100]
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    network = train_classifier(mapped, labels, settings())
    assert np.array_equal(extract(network, mapped, 50)[0], extract(network, images, 50)[0])
    assert np.array_equal(np.load(tmp_path / "images.npy"), images)


def test_features_and_logits_have_their_shapes_and_belong_together(digits):
    network = DigitsClassifier().eval()
    features, logits = extract(network, digits[0][:37], 10)
    assert features.shape == (37, 64) and logits.shape == (37, 10)
    assert features.dtype == logits.dtype == np.float32 and (features >= 0).all() and features.std() > 0
    weight, bias = (parameter.detach().numpy() for parameter in network.head.parameters())
    np.testing.assert_allclose(features @ weight.T + bias, logits, rtol=1e-4, atol=1e-5)


def test_the_batch_has_no_part_in_the_result(digits):
    network = DigitsClassifier().eval()
    whole = extract(network, digits[0][:64], 64)
    for batch in (1, 13, 500):
        for ours, theirs in zip(extract(network, digits[0][:64], batch), whole, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_only_the_first_channel_is_read(digits):
    network = DigitsClassifier().eval()
    images = digits[0][:20].copy()
    expected = extract(network, images, 20)[1]
    images[:, 1:] = 255 - images[:, 1:]
    assert np.array_equal(extract(network, images, 20)[1], expected)
    images[:, 0] = 255 - images[:, 0]
    assert not np.allclose(extract(network, images, 20)[1], expected)
