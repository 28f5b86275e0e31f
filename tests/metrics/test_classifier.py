"""The digits' evaluator: trained on its own part, the same every time, and good enough to measure with."""

import numpy as np
import pytest
import torch

from pipeline.base.errors import UserError
from pipeline.data.config import DataConfig
from pipeline.data.readers import read_digits
from pipeline.metrics.classifier import DigitsClassifier, digits_extractor, split, train_classifier
from pipeline.metrics.config import ClassifierConfig


@pytest.fixture(scope="module")
def digits():
    images, labels, _ = read_digits(DataConfig(source="digits", resolution=8, channels=3))
    return images, labels


def settings(**changes):
    values = {"seed": 0, "epochs": 1, "held_out": 0.2}
    return ClassifierConfig(**values | changes)


def extract(network, images, batch):
    return digits_extractor(network, "ab" * 32).extract(images, batch)


def equal(ours, theirs):
    return all(torch.equal(a, b) for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True))


def test_at_the_configured_epochs_it_knows_what_it_has_not_seen(digits, cell):
    config = cell("digits").evaluate.reference.digits_classifier
    network, accuracy = train_classifier(*digits, config)
    assert accuracy >= 0.97
    images, labels = digits
    _, held_out = split(len(images), config)
    predicted = extract(network, images[held_out], 500)[1].argmax(axis=1)
    assert accuracy == pytest.approx((predicted == labels[held_out]).mean())
    assert all((predicted[labels[held_out] == digit] == digit).mean() > 0.85 for digit in range(10))


@pytest.mark.parametrize(("count", "share"), [(1797, 0.2), (10, 0.5), (7, 0.3)])
def test_the_split_leaves_nothing_out_and_shares_nothing(count, share):
    train, held_out = split(count, settings(held_out=share))
    assert sorted(torch.cat([train, held_out]).tolist()) == list(range(count))
    assert len(held_out) == round(count * share)


def test_the_split_is_the_seeds(digits):
    first, again, other = (split(1797, settings(seed=seed))[1] for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert not torch.equal(first, torch.arange(len(first)))


@pytest.mark.parametrize("share", [0.0001, 0.9999])
def test_a_part_without_images_is_refused(digits, share):
    with pytest.raises(UserError, match="held_out"):
        train_classifier(*digits, settings(held_out=share))


def test_the_same_settings_give_the_same_weights_whatever_was_drawn_before(digits):
    first, first_accuracy = train_classifier(*digits, settings())
    torch.randn(17)
    again, again_accuracy = train_classifier(*digits, settings())
    other, _ = train_classifier(*digits, settings(seed=1))
    assert equal(first, again) and first_accuracy == again_accuracy and not equal(first, other)


def test_held_out_images_have_no_part_in_the_weights(digits):
    images, labels = digits
    _, held_out = split(len(images), settings())
    spoiled, relabelled = images.copy(), labels.copy()
    spoiled[held_out] = 255 - spoiled[held_out]
    relabelled[held_out] = (labels[held_out] + 1) % 10
    ours, accuracy = train_classifier(images, labels, settings())
    theirs, spoiled_accuracy = train_classifier(spoiled, relabelled, settings())
    assert equal(ours, theirs) and accuracy > 2 * spoiled_accuracy


def test_it_reads_memory_maps_and_leaves_them_alone(digits, tmp_path):
    images, labels = digits[0][:100], digits[1][:100]
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    network, _ = train_classifier(mapped, labels, settings())
    features, _ = extract(network, mapped, 50)
    assert np.array_equal(features, extract(network, images, 50)[0])
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
