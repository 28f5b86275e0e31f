"""The distances: the libraries' own numbers, exact cases, and what is our own against them."""

import warnings

import cleanfid.fid
import numpy as np
import pytest
import torch
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

from pipeline.base.errors import UserError
from pipeline.metrics import distances
from pipeline.metrics.distances import (
    frechet_distance,
    inception_score,
    kernel_distance,
    precision_recall,
)
from pipeline.metrics.extractors import extractor
from pipeline.metrics.extractors.extractor import Features

SHAPES = [(400, 330, 16), (40, 500, 32), (20, 25, 64)]  # n real, n generated, d: full rank, one side below, both below
IDS = ["full rank", "one side below", "both below"]


def features(n, d, seed):
    """Correlated, with eigenvalues over three orders of magnitude, away from the origin."""
    random = np.random.default_rng(seed)
    mix = np.random.default_rng(d).normal(size=(d, d)) * np.logspace(0, -1.5, d)
    return random.normal(size=(n, d)) @ mix + random.normal(size=d) * 0.3 + 2


def pair(shape):
    return features(shape[0], shape[2], 1), features(shape[1], shape[2], 2)


def by_singular_values(x, y):
    """Exact at every rank: with S = A A^T, tr (S1 S2)^(1/2) is the sum of the singular values of A1^T A2."""
    a, b = ((f - f.mean(axis=0)).T / np.sqrt(len(f) - 1) for f in (x, y))
    roots = np.linalg.svd(a.T @ b, compute_uv=False).sum()
    return ((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * roots


# ---- Fréchet ----
@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_frechet_equals_the_sum_of_singular_values(shape):
    x, y = pair(shape)
    assert frechet_distance(Features(x).gaussian, Features(y).gaussian) == pytest.approx(
        by_singular_values(x, y), rel=1e-6
    )


@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_it_equals_clean_fids(shape):
    x, y = pair(shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns that `disp` goes
        try:
            theirs = cleanfid.fid.frechet_distance(x.mean(axis=0), np.cov(x.T), y.mean(axis=0), np.cov(y.T))
        except TypeError:
            pytest.skip("from scipy 1.18 on clean-fid's own function breaks")
    assert frechet_distance(Features(x).gaussian, Features(y).gaussian) == pytest.approx(theirs, rel=1e-6)


def test_it_is_torch_fidelitys_from_features():
    x, y = pair(SHAPES[0])
    statistics = [fid_features_to_statistics(torch.from_numpy(f)) for f in (y, x)]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]
    assert frechet_distance(Features(x).gaussian, Features(y).gaussian) == pytest.approx(theirs, rel=1e-9)


def test_frechet_by_hand():
    x, y = np.array([[0.0], [2.0]]), np.array([[4.0], [12.0]])  # means 1, 8; standard deviations sqrt(2), sqrt(32)
    assert frechet_distance(Features(x).gaussian, Features(y).gaussian) == pytest.approx(7**2 + (32**0.5 - 2**0.5) ** 2)
    real = {"mu": np.zeros(3), "sigma": np.diag([1.0, 4.0, 0.0])}
    generated = {"mu": np.array([1.0, 2.0, 2.0]), "sigma": np.diag([9.0, 4.0, 25.0])}
    assert frechet_distance(real, generated) == pytest.approx(9 + (1 - 3) ** 2 + 0 + 5**2)


@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_a_set_is_at_no_distance_from_itself_and_never_below(shape):
    x, _ = pair(shape)
    assert 0 <= frechet_distance(Features(x).gaussian, Features(x).gaussian) < 1e-6 * np.trace(np.cov(x.T))
    flat = np.full_like(x, 3.0)  # images of one colour: no spread at all
    assert (
        frechet_distance(Features(flat).gaussian, Features(flat).gaussian)
        == 0
        <= frechet_distance(Features(flat).gaussian, Features(x).gaussian)
    )


def test_translation_rotation_and_scale():
    x, y = pair(SHAPES[0])
    step, value = np.linspace(-3, 3, x.shape[1]), frechet_distance(Features(x).gaussian, Features(y).gaussian)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(x.shape[1],) * 2))[0]
    assert frechet_distance(Features(x).gaussian, Features(x + step).gaussian) == pytest.approx(step @ step, rel=1e-6)
    assert frechet_distance(Features(x @ rotation + 5).gaussian, Features(y @ rotation + 5).gaussian) == pytest.approx(
        value, rel=1e-6
    )
    assert frechet_distance(Features(3 * y).gaussian, Features(3 * x).gaussian) == pytest.approx(9 * value, rel=1e-6)


@pytest.mark.parametrize("rows", [1, 7, 400, 8192])
def test_how_many_are_summed_at_a_time_changes_nothing(monkeypatch, tmp_path, rows):
    x = (features(400, 16, 0) + 1000).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    monkeypatch.setattr(extractor, "ROWS", rows)
    fitted = Features(np.load(tmp_path / "x.npy", mmap_mode="r")).gaussian
    np.testing.assert_allclose(fitted["mu"], x.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(fitted["sigma"], np.cov(x.astype(np.float64).T), rtol=1e-8, atol=1e-12)


def test_broken_features_are_refused():
    broken = np.zeros((5, 3))
    broken[1, 0], broken[3, 2], broken[3, 1] = np.nan, np.inf, np.nan
    with pytest.raises(UserError, match="2 of 5 samples have a non-finite feature"):
        print(Features(broken).gaussian)


# ---- kernel ----
def test_the_kernel_distance_is_clean_fids_with_its_draws():
    x, y = features(120, 16, 1).astype(np.float32), features(90, 16, 2).astype(np.float32)
    np.random.seed(3)
    theirs = cleanfid.fid.kernel_distance(x, y, num_subsets=7, max_subset_size=50)
    mean, spread = kernel_distance(x, y, subsets=7, subset_size=50, seed=3)
    assert mean == pytest.approx(theirs, rel=1e-6) and spread > 0


def test_the_kernel_distance_leaves_numpys_generator_alone():
    np.random.seed(0)
    expected = np.random.random(2)
    np.random.seed(0)
    first = np.random.random()
    kernel_distance(features(20, 4, 1), features(20, 4, 2), subsets=2, subset_size=10, seed=5)
    assert [first, np.random.random()] == expected.tolist()


def test_the_kernel_distance_equals_torch_fidelitys_where_a_subset_is_the_whole():
    x, y = features(100, 16, 1), features(100, 16, 2)
    options = {"kid_subsets": 2, "kid_subset_size": 100, "verbose": False}
    theirs = kid_features_to_metric(torch.from_numpy(x), torch.from_numpy(y), **options)[KEY_METRIC_KID_MEAN]
    mean, spread = kernel_distance(x, y, subsets=2, subset_size=100, seed=0)
    assert mean == pytest.approx(theirs, rel=1e-8) and spread == pytest.approx(0, abs=1e-9)


def test_an_unbiased_estimate_between_equal_distributions_is_below_zero_half_of_the_time():
    random = np.random.default_rng(0)
    sides = ((random.normal(size=(10, 6)), random.normal(size=(10, 6))) for _ in range(300))
    values = np.array([kernel_distance(x, y, subsets=1, subset_size=10, seed=0)[0] for x, y in sides])
    assert abs(values.mean()) < 4 * values.std() / len(values) ** 0.5 and (values < 0).mean() > 0.3


# ---- Inception score ----
def test_the_inception_score_by_hand():
    # p = (0.9, 0.1) and (0.1, 0.9), p(y) = (0.5, 0.5): KL = 0.9 ln 1.8 + 0.1 ln 0.2 for both
    value, spread = inception_score(np.log([[0.9, 0.1], [0.1, 0.9]]), splits=1)
    assert value == pytest.approx(1.8**0.9 * 0.2**0.1) and spread == 0
    assert inception_score(np.zeros((50, 10)), splits=5)[0] == pytest.approx(1)
    for left in (1, 2, 5):  # mode collapse: the number of classes left
        assert inception_score(40.0 * np.eye(10)[np.arange(40) % left], splits=1)[0] == pytest.approx(left)


def test_mean_and_spread_are_over_consecutive_splits():
    x = np.random.default_rng(0).normal(0, 3, (90, 10)).astype(np.float32)
    parts = [inception_score(part, splits=1)[0] for part in np.split(x, 3)]
    assert inception_score(x, splits=3) == (pytest.approx(np.mean(parts)), pytest.approx(np.std(parts)))


# ---- precision and recall ----
def cloud(n, d=4, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, (n, d)).astype(np.float32)


def test_on_a_line_by_hand():
    real, generated = np.array([[0.0], [1.0], [2.0], [9.0]]), np.array([[-1.2], [-0.7], [100.0]])
    # k = 1. Real radii 1, 1, 1, 7: together [-1, 16], which holds -0.7 alone.
    # Generated radii 0.5, 0.5, 100.7: [-1.7, -0.2] and [-0.7, 200.7], which hold all four.
    assert precision_recall(real, generated, neighbours=1) == (pytest.approx(1 / 3), 1.0)


def test_collapse_is_precise_and_recalls_nothing():
    real = cloud(300)
    precision, recall = precision_recall(real, real[:1] + 1e-3 * cloud(150, seed=1), neighbours=3)
    assert precision == 1.0 and recall < 0.03


def test_a_set_against_itself_far_away_and_with_sides_swapped():
    real, other = cloud(100), 0.5 * cloud(120, seed=1)
    assert precision_recall(real, real, neighbours=3) == (1.0, 1.0)
    assert precision_recall(real, real + 1000, neighbours=3) == (0.0, 0.0)
    precision, recall = precision_recall(real, other, neighbours=3)
    assert precision_recall(other, real, neighbours=3) == (recall, precision) and precision > recall


def test_how_many_distances_are_held_at_a_time_changes_nothing(monkeypatch):
    real, generated = cloud(150), cloud(130, seed=1, shift=0.5)
    value = precision_recall(real, generated, neighbours=3)
    monkeypatch.setattr(distances, "PAIRS", 64)
    assert precision_recall(real, generated, neighbours=3) == value and 0 < min(value) < max(value) < 1
