"""The kernel distance against sums written out, other people's code, and its expectation."""

import cleanfid.fid
import numpy as np
import pytest
import torch
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric

from pipeline.metrics.kernel import kernel_distance, polynomial_mmd


def features(n, d=6, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, (n, d))


def by_sums(x, y):
    """The unbiased estimator, pair by pair."""
    n, d = x.shape

    def k(a, b):
        return (sum(a[i] * b[i] for i in range(d)) / d + 1) ** 3

    within = sum(k(s[i], s[j]) for s in (x, y) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    return within - 2 * sum(k(a, b) for a in x for b in y) / n**2


def test_one_dimension_by_hand():
    # k(0, 2) = 1, k(1, -1) = 0; across: k(0, 1) = 1, k(0, -1) = 1, k(2, 1) = 27, k(2, -1) = -1
    assert polynomial_mmd(np.array([[0.0], [2.0]]), np.array([[1.0], [-1.0]])) == pytest.approx(
        1 + 0 - 2 * (1 + 1 + 27 - 1) / 4
    )


def test_equals_sums_over_pairs():
    x, y = features(7), features(7, seed=1, shift=0.5)
    assert polynomial_mmd(x, y) == pytest.approx(by_sums(x, y), rel=1e-12)


def test_equals_torch_fidelity_where_a_subset_is_the_whole():
    x, y = features(200, 16), features(200, 16, seed=1, shift=0.3)
    options = {"kid_subsets": 3, "kid_subset_size": 200, "verbose": False}
    theirs = kid_features_to_metric(torch.from_numpy(x), torch.from_numpy(y), **options)
    mean, spread = kernel_distance(x, y, subsets=3, subset_size=200, seed=0)
    assert mean == pytest.approx(theirs[KEY_METRIC_KID_MEAN], rel=1e-9)
    assert spread == pytest.approx(theirs[KEY_METRIC_KID_STD], abs=1e-12)


def test_equals_torch_fidelity_within_the_spread_of_subsets():
    x, y = features(600, 16), features(700, 16, seed=1, shift=0.3)
    theirs = kid_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y), kid_subsets=400, kid_subset_size=50, verbose=False
    )
    mean, spread = kernel_distance(x, y, subsets=400, subset_size=50, seed=0)
    assert mean == pytest.approx(theirs[KEY_METRIC_KID_MEAN], abs=4 * spread * (2 / 400) ** 0.5)
    assert spread == pytest.approx(theirs[KEY_METRIC_KID_STD], rel=0.2)


def test_equals_clean_fid_where_a_subset_is_the_whole():
    x, y = features(150, 16), features(150, 16, seed=1, shift=0.3)
    theirs = cleanfid.fid.kernel_distance(x, y, num_subsets=2, max_subset_size=150)
    assert kernel_distance(x, y, subsets=2, subset_size=150, seed=0)[0] == pytest.approx(theirs, rel=1e-9)


def test_unbiased_between_equal_distributions():
    """Few samples make a biased estimator plainly positive; the mean of this one stays within its error of zero."""
    random = np.random.default_rng(0)
    values = np.array([polynomial_mmd(random.normal(size=(10, 6)), random.normal(size=(10, 6))) for _ in range(3000)])
    error = values.std() / len(values) ** 0.5
    assert abs(values.mean()) < 4 * error
    assert (values < 0).mean() > 0.3
    bias = np.mean([2 * ((s @ s.T / 6 + 1) ** 3).diagonal().mean() / 10 for s in random.normal(size=(200, 10, 6))])
    assert bias > 20 * error  # so a biased estimator would have failed the line above


def test_unbiased_at_any_sample_size():
    random = np.random.default_rng(1)
    means = []
    for size, draws in ((5, 8000), (40, 1000)):
        values = [polynomial_mmd(random.normal(size=(size, 3)), random.normal(0.5, 1, (size, 3))) for _ in range(draws)]
        means.append((np.mean(values), np.std(values) / draws**0.5))
    (few, few_error), (many, many_error) = means
    assert few == pytest.approx(many, abs=4 * (few_error**2 + many_error**2) ** 0.5)
    assert many > 10 * many_error


def test_order_of_samples_and_sides_changes_nothing():
    x, y = features(60), features(60, seed=1, shift=0.4)
    random = np.random.default_rng(5)
    value = polynomial_mmd(x, y)
    assert polynomial_mmd(random.permutation(x), random.permutation(y)) == pytest.approx(value, rel=1e-9)
    assert polynomial_mmd(y, x) == pytest.approx(value, rel=1e-12)


def test_grows_with_the_distance():
    values = [
        kernel_distance(features(300), features(300, seed=1, shift=shift), subsets=10, subset_size=100, seed=0)[0]
        for shift in (0.0, 0.3, 0.6, 1.2)
    ]
    assert values == sorted(values) and abs(values[0]) < values[1] / 5


def test_the_seed_draws_the_subsets():
    x, y = features(300), features(200, seed=1)
    first, again, other = (kernel_distance(x, y, subsets=5, subset_size=50, seed=seed) for seed in (3, 3, 4))
    assert first == again != other and first[1] > 0


def test_subsets_are_no_larger_than_the_smaller_side():
    x, y = features(40), features(90, seed=1)
    assert kernel_distance(x, y, subsets=5, subset_size=1000, seed=0) == kernel_distance(
        x, y, subsets=5, subset_size=40, seed=0
    )


def test_within_a_subset_no_sample_comes_twice():
    """With two distinct samples a repeated draw would give another value."""
    x, y = np.array([[0.0], [2.0]]), np.array([[1.0], [-1.0]])
    mean, spread = kernel_distance(x, y, subsets=50, subset_size=2, seed=0)
    assert mean == pytest.approx(polynomial_mmd(x, y)) and spread == pytest.approx(0, abs=1e-12)


def test_single_precision_features_are_summed_in_double():
    x, y = (features(100, seed=seed).astype(np.float32) for seed in (0, 1))
    ours = kernel_distance(x, y, subsets=1, subset_size=100, seed=0)[0]
    assert ours == pytest.approx(polynomial_mmd(x.astype(np.float64), y.astype(np.float64)), rel=1e-10)
