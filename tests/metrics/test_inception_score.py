"""The inception score's formula, on logits whose score is known."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, KEY_METRIC_ISC_STD, isc_features_to_metric

from pipeline.metrics.inception_score import inception_score


def logits(n=300, classes=10, seed=0, scale=3.0):
    return np.random.default_rng(seed).normal(0, scale, (n, classes)).astype(np.float32)


@pytest.mark.parametrize("splits", [1, 5, 10])
@pytest.mark.parametrize("scale", [0.1, 3.0, 30.0])
def test_equals_torch_fidelity(splits, scale):
    x = logits(scale=scale)
    theirs = isc_features_to_metric(torch.from_numpy(x), splits=splits, shuffle=False)
    mean, spread = inception_score(x, splits)
    assert mean == pytest.approx(theirs[KEY_METRIC_ISC_MEAN], rel=1e-9)
    assert spread == pytest.approx(theirs[KEY_METRIC_ISC_STD], abs=1e-9)


def test_two_samples_by_hand():
    # p = (0.9, 0.1) and (0.1, 0.9), p(y) = (0.5, 0.5): KL = 0.9 ln 1.8 + 0.1 ln 0.2 for both
    x = np.log([[0.9, 0.1], [0.1, 0.9]])
    assert inception_score(x, 1) == (pytest.approx(1.8**0.9 * 0.2**0.1), 0)


def test_undecided_is_one_and_decided_is_the_number_of_classes():
    assert inception_score(np.zeros((50, 10)), 5) == (pytest.approx(1), pytest.approx(0))
    decided = 40.0 * np.eye(10)[np.arange(50) % 10]
    assert inception_score(decided, 5) == (pytest.approx(10), pytest.approx(0, abs=1e-9))


@pytest.mark.parametrize("gap", [40.0, 1000.0])
def test_mode_collapse_is_the_number_of_classes_left(gap):
    """At a gap of 1000 the other classes' probabilities are zero in fp64, and zero times their log is zero."""
    for left in (1, 2, 5):
        decided = gap * np.eye(10)[np.arange(40) % left]
        assert inception_score(decided, 1)[0] == pytest.approx(left)


def test_stays_between_one_and_the_number_of_classes():
    for seed in range(20):
        mean, _ = inception_score(logits(40, 4, seed=seed, scale=5.0), 2)
        assert 1 <= mean <= 4


def test_a_constant_added_to_a_samples_logits_changes_nothing():
    x = logits().astype(np.float64)
    shifts = np.random.default_rng(1).normal(0, 100, (len(x), 1))
    assert inception_score(x + shifts, 10) == pytest.approx(inception_score(x, 10))
    assert np.isfinite(inception_score(x + 1e4, 10)).all()


def test_order_matters_between_splits_only():
    x = logits()
    shuffled = np.concatenate([np.random.default_rng(1).permutation(part) for part in np.split(x, 10)])
    assert inception_score(shuffled, 10) == pytest.approx(inception_score(x, 10))
    anyhow = np.random.default_rng(2).permutation(x)
    assert inception_score(anyhow, 1) == pytest.approx(inception_score(x, 1))
    assert inception_score(x[:, ::-1], 10) == pytest.approx(inception_score(x, 10))


def test_mean_and_spread_are_over_the_splits():
    x = logits(90)
    parts = [inception_score(part, 1)[0] for part in np.split(x, 3)]
    assert inception_score(x, 3) == (pytest.approx(np.mean(parts)), pytest.approx(np.std(parts)))


def test_every_sample_counts_when_splits_are_uneven():
    x = logits(11)
    changed = x.copy()
    changed[-1] = 0
    assert inception_score(changed, 3)[0] != inception_score(x, 3)[0]
