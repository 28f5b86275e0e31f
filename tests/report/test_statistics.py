"""Means and intervals against numbers worked by hand from a table of t quantiles."""

import math

import numpy as np
import pytest

from pipeline.report.statistics import difference_text, interval, mean_text, number


@pytest.mark.parametrize(
    ("values", "confidence", "mean", "half"),
    [
        # t = 12.7062, 1 degree of freedom; s / sqrt(n) = |a - b| / 2
        ([10.0, 12.0], 0.95, 11.0, 12.7062),
        # t = 4.30265; s = 1, sqrt(3)
        ([1.0, 2.0, 3.0], 0.95, 2.0, 4.30265 / math.sqrt(3)),
        # t = 2.77645; s = sqrt(2.5), sqrt(5)
        ([1.0, 2.0, 3.0, 4.0, 5.0], 0.95, 3.0, 2.77645 * math.sqrt(0.5)),
        # t = 2.13185 at 90%
        ([1.0, 2.0, 3.0, 4.0, 5.0], 0.90, 3.0, 2.13185 * math.sqrt(0.5)),
        ([7.0, 7.0, 7.0], 0.95, 7.0, 0.0),
    ],
)
def test_by_hand(values, confidence, mean, half):
    assert interval(values, confidence) == (pytest.approx(mean), pytest.approx(half, rel=1e-5))


def test_one_value_has_no_interval():
    assert interval([3.5], 0.95) == (3.5, None)


def test_scale_shift_and_order():
    values = [3.1, 2.7, 4.4, 3.0]
    mean, half = interval(values, 0.95)
    assert interval(values[::-1], 0.95) == (mean, half)
    assert interval([10 * value + 5 for value in values], 0.95) == (
        pytest.approx(10 * mean + 5),
        pytest.approx(10 * half),
    )
    assert interval([value + 1e9 for value in values], 0.95)[1] == pytest.approx(half, rel=1e-6)


def test_more_confidence_is_wider():
    halves = [interval([1.0, 2.0, 4.0], confidence)[1] for confidence in (0.5, 0.9, 0.95, 0.99)]
    assert halves == sorted(halves) and len(set(halves)) == 4


def test_the_interval_covers_the_truth_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(5.0, 2.0, (1500, 3))
    covered = np.mean([abs(mean - 5.0) <= half for mean, half in (interval(row, 0.8) for row in draws.tolist())])
    assert covered == pytest.approx(0.8, abs=0.035)  # 3.4 standard errors


def test_a_mean_has_its_interval_from_two_values_on():
    assert mean_text([1.0, 2.0, 3.0], 0.95) == "2.00 ± 2.48"
    assert mean_text([12.346], 0.95) == "12.35"
    assert mean_text([], 0.95) == "not run"


def test_missing_values_are_left_out_not_counted():
    assert mean_text([1.0, None, 3.0, float("nan"), 2.0], 0.95) == mean_text([1.0, 2.0, 3.0], 0.95)
    assert mean_text([None, float("nan")], 0.95) == "not run"
    assert mean_text([None, 2.0], 0.95) == "2.00"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (0.5, "0.500"),
        (-0.5, "-0.500"),
        (1.0, "1.00"),
        (99.0, "99.00"),
        (123.44, "123.4"),
        (1234.56, "1,234.6"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_numbers_are_right_to_three_digits():
    values = [digits * 10.0**exponent for exponent in range(-6, 5) for digits in (1.234, 4.567, 9.876)]
    assert [float(number(value).replace(",", "")) for value in values] == pytest.approx(values, rel=0.005)


def test_differences_carry_their_sign():
    assert difference_text([1.0, 3.0], 0.95).startswith("+2.00 ± ")
    assert difference_text([-1.0, -3.0], 0.95).startswith("-2.00 ± ") and difference_text([], 0.95) == "not run"
