"""What the curves hold: each number on a history made by hand, and the two that were once read wrongly."""

import math

import numpy as np
import pandas as pd
import pytest

from pipeline.report.charts import FEWEST_TICKS, curve_summary, ending, parts

OK = {"status": "ok", "state": "ok"}
TICKS = 200


def history(**curves) -> pd.DataFrame:
    return pd.DataFrame(
        {"kimg": np.arange(1.0, TICKS + 1)}
        | {name: np.broadcast_to(np.asarray(curve, dtype=float), TICKS) for name, curve in curves.items()}
    )


def test_an_estimate_that_dips_and_then_rises_says_where():
    """0.755 at its first tick, then below 0, then up to 0.32: it did not "fall from 0.755 and is level"."""
    curve = np.interp(np.arange(TICKS), [0, 25, 199], [0.755, -0.30, 0.32])
    row = curve_summary(OK, history(wasserstein=curve))
    assert row["lowest tenth (ends at kimg)"].endswith("(40)") and float(row["last tenth"]) > 0.25
    assert row["highest tenth (ends at kimg)"].endswith(("(20)", "(200)"))


def test_a_huge_gradient_is_told_by_its_size_and_place_not_as_a_count_alone():
    norms = np.full(TICKS, 2.33)
    norms[60:70], norms[65] = 50.0, 174134.0
    row = curve_summary(OK, history(gradient_d=norms))
    assert row["largest gradient norm of D"] == "174,134 at 66 kimg, 7.47e+04 x the median; 10 spikes in 200 ticks"


@pytest.mark.parametrize(
    ("norms", "count"),
    [
        ([1.0] * 20, "0 spikes"),
        ([1.0] * 19 + [10.0], "0 spikes"),
        ([1.0] * 19 + [10.1], "1 spike"),
        ([1.0] * 18 + [math.inf, math.nan], "2 spikes"),
    ],
)
def test_spikes_are_ticks_beyond_ten_times_the_median(norms, count):
    ticks = pd.DataFrame({"kimg": np.arange(20.0), "gradient_d": norms})
    assert curve_summary(OK, ticks)["largest gradient norm of D"].endswith(f"; {count} in 20 ticks")


def test_a_norm_that_is_never_finite_is_said():
    assert curve_summary(OK, history(gradient_g=np.nan))["largest gradient norm of G"] == "not finite"


def test_parts_are_ten_equal_means():
    assert list(parts(pd.Series(np.arange(100.0)))) == [4.5 + 10 * index for index in range(10)]


def test_nothing_is_said_about_a_column_that_is_missing():
    assert curve_summary(OK, history()) == {"ended": "ok"} and curve_summary(OK, pd.DataFrame()) == {"ended": "ok"}


def test_few_ticks_are_not_read():
    few = history(penalty=0.02).head(FEWEST_TICKS - 1)
    assert curve_summary(OK, few) == {"ended": f"ok; {FEWEST_TICKS - 1} ticks, too few to read"}


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ({"status": "not run", "state": "not run"}, "not run"),
        (
            {"status": "diverged", "state": "diverged at 3.5 kimg", "detail": "collapsed: one image"},
            "diverged at 3.5 kimg: collapsed: one image",
        ),
        (
            {"status": "diverged", "state": "diverged at 3.5 kimg", "detail": math.nan},
            "diverged at 3.5 kimg: reason not recorded",
        ),
        (
            {
                "status": "oom",
                "state": "oom",
                "bytes_asked": 2.0 * 2**30,
                "device": "a card",
                "batch_discriminator": 64.0,
                "batch_generator": 128.0,
                "would_help": "train.accumulate: 2",
            },
            "2.00 GiB more were asked for on a card, batches of 64 (D) and 128 (G); would help: train.accumulate: 2",
        ),
        ({"status": "oom", "state": "oom", "bytes_asked": math.nan}, "out of memory on an unknown device"),
    ],
)
def test_how_a_cell_ended(cell, expected):
    assert ending(cell) == expected
