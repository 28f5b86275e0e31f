"""The rule of comparison against scipy's own tests, hand-made p values, and simulated trainings with a known answer."""

import math

import numpy as np
import pytest
from scipy import stats

from pipeline.report.decide import (
    FEWEST_SEEDS,
    Kind,
    against_value,
    compare_rows,
    holm,
    pooled_spread,
    seeds_needed,
)

A, B = [50.0, 55.0, 52.0, 47.0], [80.0, 91.0, 85.0, 79.0]


def ask(rows, variant="a", base="b", improves=True, **options):
    return compare_rows(rows, [(variant, base, improves)], **options)[0]


def test_two_rows_are_scipys_t_test_of_their_logarithms():
    verdict = ask({"a": A, "b": B})
    expected = stats.ttest_ind(np.log(A), np.log(B))
    interval = expected.confidence_interval(0.95)
    assert verdict.p == pytest.approx(expected.pvalue)
    assert (math.log(verdict.low), math.log(verdict.high)) == pytest.approx((interval.low, interval.high))
    assert verdict.ratio == pytest.approx(stats.gmean(A) / stats.gmean(B))
    assert verdict.kind == Kind.CONFIRMED and verdict.seeds == (4, 4) and verdict.seeds_needed is None


def test_equivalence_is_two_one_sided_t_tests():
    near = [53.0, 51.0, 52.0, 50.0]
    verdict = ask({"a": A, "b": near})
    shift = math.log(1.25)
    upper = stats.ttest_ind(np.log(A), np.log(near) + shift, alternative="less").pvalue
    lower = stats.ttest_ind(np.log(A), np.log(near) - shift, alternative="greater").pvalue
    assert verdict.p_equivalent == pytest.approx(max(upper, lower))
    assert verdict.kind == Kind.EQUIVALENT


def test_rows_of_unlike_spread_are_compared_by_welch():
    rng = np.random.default_rng(0)
    rows = {"a": np.exp(rng.normal(0, 0.02, 12)), "b": np.exp(rng.normal(0.2, 0.5, 12))}
    assert not pooled_spread({name: np.log(row) for name, row in rows.items()})[2]
    expected = stats.ttest_ind(np.log(rows["a"]), np.log(rows["b"]), equal_var=False)
    assert ask(rows).p == pytest.approx(expected.pvalue)


def test_the_spread_of_all_rows_gives_few_seeds_their_power():
    """Three seeds of two rows alone do not decide what the spread of nine more rows does."""
    rng = np.random.default_rng(1)
    two = {"a": [50.0, 62.0, 55.0], "b": [70.0, 64.0, 81.0]}
    others = {f"r{k}": np.exp(4 + rng.normal(0, 0.12, 3)) for k in range(9)}
    assert ask(two).kind == Kind.OPEN
    assert ask(two | others).kind == Kind.CONFIRMED


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


@pytest.mark.parametrize(
    ("improves", "lower", "kind"),
    [
        (True, True, Kind.CONFIRMED),
        (False, True, Kind.REVERSED),
        (None, True, Kind.BETTER),
        (True, False, Kind.REVERSED),
        (None, False, Kind.WORSE),
    ],
)
def test_the_sign_decides_with_the_papers_order(improves, lower, kind):
    assert ask({"a": A, "b": B}, improves=improves, lower_is_better=lower).kind == kind


def test_an_open_question_says_how_many_seeds_it_needs():
    verdict = ask({"a": [50.0, 60.0, 55.0], "b": [55.0, 67.0, 60.0]})
    assert verdict.kind == Kind.OPEN and FEWEST_SEEDS < verdict.seeds_needed <= 50


def test_simulated_power_is_the_one_that_was_planned():
    difference, deviation = -0.3, 0.15
    seeds = seeds_needed(difference, deviation, family=1)
    rng = np.random.default_rng(2)
    found = [
        ask({"a": np.exp(difference + rng.normal(0, deviation, seeds)), "b": np.exp(rng.normal(0, deviation, seeds))})
        for _ in range(400)
    ]
    assert 0.72 < np.mean([verdict.kind == Kind.CONFIRMED for verdict in found]) < 0.93


def test_rows_without_a_difference_are_rarely_called_different():
    """Holm keeps the chance of any wrong order among nine questions near 5 %."""
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(200):
        rows = {f"r{k}": np.exp(rng.normal(0, 0.15, 4)) for k in range(10)}
        questions = [(f"r{k}", "r0", None) for k in range(1, 10)]
        wrong += any(verdict.kind in (Kind.BETTER, Kind.WORSE) for verdict in compare_rows(rows, questions))
    assert wrong / 200 < 0.1


@pytest.mark.parametrize("rows", [{"a": A, "b": B[:2]}, {"a": A}, {"a": [], "b": B}, {"a": A, "b": [1.0, 0.0, 2.0]}])
def test_too_few_trainings_or_no_logarithm_leave_it_open(rows):
    assert ask(rows).kind == Kind.OPEN


def test_two_rows_of_the_same_number_each_among_rows_that_spread():
    """Welch's degrees of freedom have no value there; the report was not rendered."""
    rng = np.random.default_rng(4)
    rows = {"a": [2.0] * 3, "b": [2.0] * 3} | {f"r{k}": np.exp(rng.normal(0, 10.0**-k, 12)) for k in range(3)}
    assert not pooled_spread({name: np.log(row) for name, row in rows.items()})[2]
    assert ask(rows).kind == Kind.EQUIVALENT


def test_a_negative_kernel_distance_was_measured_all_the_same():
    """An unbiased estimate may be below zero; it has no logarithm, and it is no missing training."""
    verdict = ask({"a": [0.1, 0.2, -0.01], "b": [0.3, 0.2, 0.4], "c": [0.2, 0.3, 0.4]})
    assert verdict.kind == Kind.OPEN and verdict.seeds == (3, 3)


def test_the_order_of_rows_and_of_seeds_does_not_matter():
    rows = {"a": A, "b": B, "c": [60.0, 63.0, 70.0]}
    other = {"c": [70.0, 60.0, 63.0], "b": B[::-1], "a": A[::-1]}
    first, second = ask(rows), ask(other)
    assert first.p == pytest.approx(second.p) and first.kind == second.kind


def test_against_the_papers_value_noise_is_not_agreement():
    assert against_value([9.2, 9.3, 9.25], 9.26, lower_is_better=True) == Kind.EQUIVALENT
    assert against_value([7.0, 12.0, 9.0], 9.26, lower_is_better=True) == Kind.OPEN
    assert against_value([9.2, 9.3], 9.26, lower_is_better=True) == Kind.OPEN
    assert against_value([14.0, 14.2, 14.1], 9.26, lower_is_better=True) == Kind.WORSE
    assert against_value([9.6, 9.5, 9.55], 9.02, lower_is_better=False) == Kind.EQUIVALENT
