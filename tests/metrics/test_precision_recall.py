"""Precision and recall: which is which, against slow references and cases whose answer is known."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_prc import calculate_precision_recall_full, calculate_precision_recall_part

from pipeline.metrics import knn_radii
from pipeline.metrics.knn_radii import squared_radii, within
from pipeline.metrics.precision_recall import precision_recall


def features(n, d=4, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, (n, d))


def slow(real, generated, k):
    """Kynkäänniemi et al. 2019, eq. 1 and 2, sample by sample."""

    def distance(a, b):
        return float(np.sqrt(((a - b) ** 2).sum()))

    def share(samples, manifold):
        radii = [sorted(distance(a, b) for b in manifold)[k] for a in manifold]
        return np.mean([any(distance(s, m) <= r for m, r in zip(manifold, radii, strict=True)) for s in samples])

    return share(generated, real), share(real, generated)


def test_on_a_line_by_hand():
    real, generated = np.array([[0.0], [1.0], [2.0], [9.0]]), np.array([[-1.2], [-0.7], [100.0]])
    # k = 1. Real radii 1, 1, 1, 7: together [-1, 16], which holds -0.7 alone.
    # Generated radii 0.5, 0.5, 100.7: [-1.7, -0.2] and [-0.7, 200.7], which hold all four.
    assert precision_recall(real, generated, neighbours=1) == (pytest.approx(1 / 3), 1.0)


@pytest.mark.parametrize("neighbours", [1, 3, 5])
def test_equals_the_definition(neighbours):
    real, generated = features(40), features(30, seed=1, shift=0.7)
    expected = slow(real, generated, neighbours)
    assert precision_recall(real, generated, neighbours=neighbours) == pytest.approx(expected)
    assert min(expected) > 0 and max(expected) < 1 and expected[0] != expected[1]


@pytest.mark.parametrize("calculate", [calculate_precision_recall_full, calculate_precision_recall_part])
@pytest.mark.parametrize("shape", [(500, 400, 8), (30, 50, 64)], ids=["n > d", "n < d"])
def test_equals_torch_fidelity(calculate, shape):
    n_real, n_generated, d = shape
    real, generated = features(n_real, d), 0.9 * features(n_generated, d, seed=1, shift=0.2)
    theirs = calculate(torch.from_numpy(generated), torch.from_numpy(real), 3, 10000)
    assert precision_recall(real, generated, neighbours=3) == pytest.approx(theirs, rel=1e-6)


def test_mode_collapse_is_precise_and_recalls_nothing():
    real = features(600)
    collapsed = real[:1] + 1e-3 * features(300, seed=1)
    precision, recall = precision_recall(real, collapsed, neighbours=3)
    assert precision == 1.0 and recall < 0.02


def test_one_of_two_modes_recalls_half():
    real = np.concatenate([features(200), features(200, seed=1, shift=50)])
    precision, recall = precision_recall(real, features(200, seed=2), neighbours=3)
    assert precision > 0.7 and 0.3 < recall <= 0.5


def test_half_of_the_samples_astray_is_half_precise():
    real = features(300)
    generated = np.concatenate([features(300, seed=1), 1e4 * np.arange(1, 301)[:, None] ** 2 * np.ones((1, 4))])
    precision, _ = precision_recall(real, generated, neighbours=3)
    assert 0.35 < precision <= 0.5


def test_a_set_against_itself_and_against_one_far_away():
    real = features(100)
    assert precision_recall(real, real, neighbours=3) == (1.0, 1.0)
    assert precision_recall(real, real + 1000, neighbours=3) == (0.0, 0.0)


def test_swapping_the_sides_swaps_the_values():
    x, y = features(80), 0.5 * features(120, seed=1)
    precision, recall = precision_recall(x, y, neighbours=3)
    assert precision_recall(y, x, neighbours=3) == (recall, precision) and precision > recall


def test_order_and_tiles_change_nothing(monkeypatch):
    real, generated = features(150), features(130, seed=1, shift=0.5)
    value = precision_recall(real, generated, neighbours=3)
    random = np.random.default_rng(0)
    assert precision_recall(random.permutation(real), random.permutation(generated), neighbours=3) == value
    for tile in (64, 128, 4096):
        monkeypatch.setattr(knn_radii, "TILE", tile)
        assert precision_recall(real, generated, neighbours=3) == value


def test_a_sample_is_not_its_own_neighbour():
    """Pairs of points at distance 1, pairs far apart: with k = 1 the radius is 1, not 0."""
    real = np.array([[0.0], [1.0], [100.0], [101.0]])
    assert precision_recall(real, np.array([[-0.9], [101.9], [-1.1], [50.0]]), neighbours=1)[0] == 0.5


def test_the_border_is_inside():
    real = np.array([[0.0], [1.0], [100.0], [101.0]])
    assert precision_recall(real, np.array([[-1.0], [102.0]]), neighbours=1)[0] == 1.0


def test_more_neighbours_never_shrink_the_manifolds():
    real, generated = features(60), features(60, seed=1, shift=1.0)
    values = [precision_recall(real, generated, neighbours=k) for k in (1, 2, 4, 8, 16)]
    assert values == sorted(values) and all(a[1] <= b[1] for a, b in zip(values, values[1:], strict=False))


def test_far_from_the_origin_nothing_changes():
    """Distances by expanding the square would be noise there: |x|^2 is 4e16, its rounding 8."""
    real, generated = (np.round(f, 3) for f in (features(60), features(50, seed=1, shift=0.7)))
    assert precision_recall(real + 1e8, generated + 1e8, neighbours=3) == precision_recall(
        real, generated, neighbours=3
    )


def exactly(real, generated, neighbours=3):
    """Squared radii of the real side and both masks, every distance in double precision."""
    x, y = (torch.from_numpy(side.astype(np.float64)) for side in (real, generated))
    within_x, within_y, across = (
        torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist") for a, b in ((x, x), (y, y), (y, x))
    )
    radii = [distances.kthvalue(neighbours + 1, dim=1).values for distances in (within_x, within_y)]
    return radii[0].square().numpy(), (across <= radii[0]).any(1).numpy(), (across.t() <= radii[1]).any(1).numpy()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bfloat16", "float32"])
@pytest.mark.parametrize("kind", ["flat", "falling", "positive"])
def test_products_in_low_precision_decide_nothing(monkeypatch, dtype, kind):
    monkeypatch.setattr(knn_radii, "_precisions", lambda device: [dtype, torch.float64])
    monkeypatch.setattr(knn_radii, "TILE", 256)
    scale = {"flat": np.ones(128), "falling": np.arange(1, 129) ** -1.0, "positive": np.ones(128)}[kind]
    real, generated = ((features(count, 128, seed) * scale).astype(np.float32) for count, seed in ((900, 0), (700, 1)))
    if kind == "positive":
        real, generated = np.abs(real) + 3, np.abs(generated) + 3
    radii, precise, recalled = exactly(real, generated)
    ours = squared_radii(real, 3)
    np.testing.assert_allclose(ours, radii, rtol=1e-12)
    masks = within(generated, real, squared_radii(generated, 3), ours)
    assert np.array_equal(masks[0], precise) and np.array_equal(masks[1], recalled) and 0 < precise.mean() < 1


@pytest.mark.parametrize("spread", [1e-3, 1e-6, 0.0])
def test_crowds_closer_than_rounding_are_told_apart(monkeypatch, spread):
    """Two modes far apart, as of a collapsed generator: every pair of one mode lies within the products' error.

    What is left is the error of double precision, 1e-14 of the squared distance between the modes. That is less than
    float32 features tell apart.
    """
    monkeypatch.setattr(knn_radii, "TILE", 256)
    generated = np.concatenate([10 * np.ones((300, 16)), -10 * np.ones((300, 16))]) + spread * features(600, 16)
    np.testing.assert_allclose(squared_radii(generated, 3), exactly(generated, generated)[0], rtol=1e-6, atol=1e-11)
    assert precision_recall(generated, generated, neighbours=3) == (1.0, 1.0)


def test_rows_with_more_open_pairs_than_candidates_are_computed_again(monkeypatch):
    """With one candidate to spare, bfloat16 leaves rows open. They take the next precision; the result stays exact."""
    monkeypatch.setattr(knn_radii, "CANDIDATES", 1)
    monkeypatch.setattr(knn_radii, "_precisions", lambda device: [torch.bfloat16, torch.float32, torch.float64])
    used = []
    side = knn_radii._side
    monkeypatch.setattr(knn_radii, "_side", lambda *given: used.append((len(given[0]), given[2])) or side(*given))
    real, generated = (features(count, 16, seed).astype(np.float32) for count, seed in ((700, 0), (600, 1)))
    radii, precise, recalled = exactly(real, generated)
    np.testing.assert_allclose(squared_radii(real, 3), radii, rtol=1e-12)
    masks = within(generated, real, squared_radii(generated, 3), radii)
    assert np.array_equal(masks[0], precise) and np.array_equal(masks[1], recalled)
    again = [count for count, dtype in used if dtype == torch.float32]
    assert again and min(again) < 600


def test_shortened_float32_products_are_not_trusted():
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high")
        assert torch.float32 not in knn_radii._precisions("cuda") and knn_radii._precisions("cuda")[-1] == torch.float64
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.float32 in knn_radii._precisions("cuda") and torch.bfloat16 not in knn_radii._precisions("cuda")
