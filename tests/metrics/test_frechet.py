"""The Fréchet distance against other people's code, exact cases, and what must not change it."""

from types import SimpleNamespace

import cleanfid.fid
import numpy as np
import pytest
import scipy.linalg
import torch
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

from pipeline.base.errors import UserError
from pipeline.metrics import frechet
from pipeline.metrics.frechet import Gaussian, fit, frechet_distance, square_root

SHAPES = [(400, 330, 16), (40, 500, 32), (20, 25, 64)]  # n real, n generated, d: full rank, one side below, both below
IDS = ["full rank", "one side below", "both below"]


def features(n, d, seed):
    """Correlated, with eigenvalues over three orders of magnitude, away from the origin."""
    random = np.random.default_rng(seed)
    mix = np.random.default_rng(d).normal(size=(d, d)) * np.logspace(0, -1.5, d)
    return random.normal(size=(n, d)) @ mix + random.normal(size=d) * 0.3 + 2


def pair(shape):
    return features(shape[0], shape[2], 1), features(shape[1], shape[2], 2)


def ours(x, y):
    return frechet_distance(fit(x, factor=True), fit(y))


def by_singular_values(x, y):
    """Exact at every rank: with S = A A^T, tr (S1 S2)^(1/2) is the sum of the singular values of A1^T A2."""
    a, b = ((f - f.mean(axis=0)).T / np.sqrt(len(f) - 1) for f in (x, y))
    roots = np.linalg.svd(a.T @ b, compute_uv=False).sum()
    return ((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * roots


@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_equals_the_sum_of_singular_values(shape):
    x, y = pair(shape)
    assert ours(x, y) == pytest.approx(by_singular_values(x, y), rel=1e-6)


def test_equals_the_formula_with_a_matrix_square_root():
    x, y = pair(SHAPES[0])
    s1, s2 = np.cov(x.T), np.cov(y.T)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s1 + s2 - 2 * scipy.linalg.sqrtm(s1 @ s2).real)
    assert ours(x, y) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_equals_torch_fidelity(shape):
    statistics = [fid_features_to_statistics(torch.from_numpy(f)) for f in pair(shape)]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]
    assert ours(*pair(shape)) == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_equals_clean_fid(shape, monkeypatch):
    # It asks scipy for `disp=False`, an argument newer versions no longer have.
    linalg = SimpleNamespace(sqrtm=lambda a, disp=True: scipy.linalg.sqrtm(a) if disp else (scipy.linalg.sqrtm(a), 0.0))
    monkeypatch.setattr(cleanfid.fid, "linalg", linalg)
    x, y = pair(shape)
    theirs = cleanfid.fid.frechet_distance(
        x.mean(axis=0), np.cov(x, rowvar=False), y.mean(axis=0), np.cov(y, rowvar=False)
    )
    assert ours(x, y) == pytest.approx(theirs, rel=1e-6)


def test_one_dimension_by_hand():
    x, y = np.array([[0.0], [2.0]]), np.array([[4.0], [12.0]])  # means 1, 8; standard deviations sqrt(2), sqrt(32)
    assert ours(x, y) == pytest.approx(7**2 + (32**0.5 - 2**0.5) ** 2)


def test_diagonal_covariances_by_hand():
    real, generated = (
        Gaussian(np.zeros(3), np.diag([1.0, 4.0, 0.0])),
        Gaussian(np.array([1.0, 2.0, 2.0]), np.diag([9.0, 4.0, 25.0])),
    )
    assert frechet_distance(real, generated) == pytest.approx(9 + (1 - 3) ** 2 + 0 + 5**2)


@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_a_set_is_at_no_distance_from_itself(shape):
    x, _ = pair(shape)
    assert abs(ours(x, x)) < 1e-6 * np.trace(np.cov(x.T))


@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_translation_adds_its_squared_norm(shape):
    x, _ = pair(shape)
    step = np.linspace(-3, 3, x.shape[1])
    assert ours(x, x + step) == pytest.approx(step @ step, rel=1e-6)
    mirrored = 2 * x.mean(axis=0) - x  # same mean, same covariance
    assert ours(x, mirrored + step) == pytest.approx(step @ step, rel=1e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_invariances(shape):
    x, y = pair(shape)
    value, random = ours(x, y), np.random.default_rng(0)
    assert ours(random.permutation(x), random.permutation(y)) == pytest.approx(value, rel=1e-6)
    assert ours(y, x) == pytest.approx(value, rel=1e-6)
    assert ours(3 * x, 3 * y) == pytest.approx(9 * value, rel=1e-6)
    rotation = np.linalg.qr(random.normal(size=(x.shape[1],) * 2))[0]
    assert ours(x @ rotation + 5, y @ rotation + 5) == pytest.approx(value, rel=1e-6)


def test_the_kept_factor_changes_nothing():
    x, y = pair(SHAPES[0])
    kept = fit(x, factor=True)
    assert fit(x).factor is None
    np.testing.assert_allclose(kept.factor @ kept.factor.T, kept.covariance, atol=1e-12)
    assert frechet_distance(fit(x), fit(y)) == frechet_distance(kept, fit(y))


def test_square_root_of_a_singular_matrix_is_real():
    x = features(5, 20, 0)
    covariance = np.cov(x.T)
    root = square_root(covariance)
    np.testing.assert_allclose(root @ root, covariance, atol=1e-10)
    np.testing.assert_allclose(root, root.T, atol=1e-10)


def test_single_precision_features_are_summed_in_double():
    x = (features(3000, 4, 0) + 1000).astype(np.float32)
    gaussian = fit(x)
    np.testing.assert_allclose(gaussian.mean, x.astype(np.float64).mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(gaussian.covariance, np.cov(x.astype(np.float64).T), rtol=1e-12)


@pytest.mark.parametrize("rows", [1, 7, 400, 8192])
def test_how_many_are_summed_at_a_time_changes_nothing(monkeypatch, tmp_path, rows):
    x = features(400, 16, 0).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    monkeypatch.setattr(frechet, "ROWS", rows)
    fitted = fit(np.load(tmp_path / "x.npy", mmap_mode="r"))
    np.testing.assert_allclose(fitted.mean, x.astype(np.float64).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(fitted.covariance, np.cov(x.astype(np.float64).T), rtol=1e-9, atol=1e-14)


def test_too_few_and_broken_features_are_refused_by_name():
    with pytest.raises(UserError, match="generated images: 1 samples; a covariance needs at least 2"):
        fit(np.zeros((1, 3)), name="generated images")
    broken = np.zeros((5, 3))
    broken[1, 0], broken[3, 2], broken[3, 1] = np.nan, np.inf, np.nan
    with pytest.raises(UserError, match="real images: 2 of 5 samples have a non-finite feature"):
        fit(broken, name="real images")
