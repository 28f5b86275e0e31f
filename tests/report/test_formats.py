"""Numbers as the report writes them: intervals against values worked by hand from a table of t quantiles."""

import math

import numpy as np
import pytest

from pipeline.report.formats import cell_text, duration, interval, mean_text, number


@pytest.mark.parametrize(
    ("values", "mean", "half"),
    [
        # t = 4.30265; s = 1, sqrt(3)
        ([1.0, 2.0, 3.0], 2.0, 4.30265 / math.sqrt(3)),
        # t = 2.77645; s = sqrt(2.5), sqrt(5)
        ([1.0, 2.0, 3.0, 4.0, 5.0], 3.0, 2.77645 * math.sqrt(0.5)),
        ([7.0, 7.0, 7.0], 7.0, 0.0),
    ],
)
def test_by_hand(values, mean, half):
    assert interval(values) == (pytest.approx(mean), pytest.approx(half, rel=1e-5))


def test_one_or_two_values_have_no_interval():
    assert interval([3.5]) == (3.5, None) and interval([3.0, 4.0]) == (3.5, None)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    draws = np.random.default_rng(0).normal(5.0, 2.0, (1500, 3))
    covered = np.mean([abs(mean - 5.0) <= half for mean, half in map(interval, draws.tolist())])
    assert covered == pytest.approx(0.95, abs=0.02)  # 3.6 standard errors


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1.0, 2.0, 3.0], "2.0 ± 2.5"),
        ([44.0, 50.0, 53.0], "49 ± 11"),
        ([440.0, 500.0, 530.0], "490 ± 114"),
        ([0.0144, 0.0150, 0.0153], "0.0149 ± 0.0011"),
        ([176.2, 192.5], "176 to 192"),
        ([192.5, 176.2], "176 to 192"),
        ([7.0, 7.0], "7.00"),
        ([12.346], "12.3"),
        ([], "not run"),
        ([1.0, float("nan"), 3.0, 2.0], "2.0 ± 2.5"),
        ([7.0, 7.0, 7.0], "7.00"),
    ],
)
def test_two_digits_of_an_uncertainty_and_the_range_of_two(values, text):
    assert mean_text(values) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.5, "0.500"), (-0.5, "-0.500"), (1.0, "1.00"), (99.0, "99.0"), (123.44, "123"), (1234.56, "1,235")],
)
def test_numbers(value, text):
    assert number(value) == text


def test_numbers_are_right_to_three_digits():
    values = [digits * 10.0**exponent for exponent in range(-6, 12) for digits in (1.234, 4.567, 9.876)]
    assert [float(number(value).replace(",", "")) for value in values] == pytest.approx(values, rel=0.005)


def test_a_time_is_written_in_the_unit_that_reads():
    assert [duration(seconds) for seconds in (4, 68.3, 4144, 7200, 360000)] == ["4 s", "68 s", "69 min", "2 h", "100 h"]


def test_a_cell_of_a_table():
    assert [cell_text(value) for value in (None, math.nan, "", 1234, 0.1234567, True, "a\nb")] == [
        "-", "-", "-", "1,234", "0.123", "True", "a b"
    ]  # fmt: skip
