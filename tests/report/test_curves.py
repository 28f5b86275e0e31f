"""What the curves hold: each number on a history made by hand, and the two that were once read wrongly."""

import math

import numpy as np
import pandas as pd
import pytest

from pipeline.report.curves import FEWEST_TICKS, curve_summary, direction, dynamics, ending, parts, spikes
from pipeline.report.results import Results
from report_project import MODEL_CELLS, write_project

OK = {"status": "ok", "state": "ok"}
TICKS = 200


def history(**curves) -> pd.DataFrame:
    return pd.DataFrame(
        {"kimg": np.arange(1.0, TICKS + 1)}
        | {name: np.broadcast_to(np.asarray(curve, dtype=float), TICKS) for name, curve in curves.items()}
    )


def line(start, end, noise=0.0):
    return np.linspace(start, end, TICKS) + noise * np.random.default_rng(0).standard_normal(TICKS)


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (line(2, 2), "level"),
        (line(0, 0), "level"),
        (line(3, 1), "falling"),
        (line(1, 3), "rising"),
        (line(1, 3, 0.2), "rising"),
        (line(1, 1, 0.5), "level"),
        (np.r_[line(3, 1)[:100], np.ones(100)], "level"),
        # it moves in its second half, but by less than a tenth of the whole curve's range
        (np.r_[line(30, 0)[:100], np.linspace(15, 15.5, 100)], "level"),
        (np.r_[np.ones(199), np.nan], "level"),
        (np.r_[np.ones(170), [np.nan] * 30], "not finite"),
    ],
)
def test_the_direction_is_that_of_the_second_half(curve, expected):
    assert direction(pd.Series(curve)) == expected


def test_an_estimate_that_dips_and_then_rises_for_nearly_the_whole_run_is_rising():
    """0.755 at its first tick, then below 0, then up to 0.32: it did not "fall from 0.755 and is level"."""
    curve = np.interp(np.arange(TICKS), [0, 25, 199], [0.755, -0.30, 0.32])
    row = curve_summary(OK, history(wasserstein=curve))
    assert row["second half"] == "rising"
    assert row["lowest tenth (ends at kimg)"].endswith("(40)") and float(row["last tenth"]) > 0.25
    assert row["highest tenth (ends at kimg)"].endswith(("(20)", "(200)"))


def test_a_huge_gradient_is_told_by_its_size_and_place_not_as_a_count_alone():
    norms = np.full(TICKS, 2.33)
    norms[60:70], norms[65] = 50.0, 174134.0
    row = curve_summary(OK, history(gradient_d=norms))
    assert row["largest gradient norm of D"] == "174,134 at 66 kimg, 7.47e+04 x the median; 10 spikes in 200 ticks"


@pytest.mark.parametrize(
    ("norms", "count"),
    [([1.0] * 20, 0), ([1.0] * 19 + [10.0], 0), ([1.0] * 19 + [10.1], 1), ([1.0] * 18 + [math.inf, math.nan], 2)],
)
def test_spikes_are_ticks_beyond_ten_times_the_median(norms, count):
    assert spikes(pd.Series(norms)) == count


def test_a_norm_that_is_never_finite_is_said():
    assert curve_summary(OK, history(gradient_g=np.nan))["largest gradient norm of G"] == "not finite"


def test_parts_are_ten_equal_means():
    assert parts(pd.Series(np.arange(100.0))) == [4.5 + 10 * index for index in range(10)]


def test_nothing_is_said_about_a_column_that_is_missing():
    assert curve_summary(OK, history()) == {"ended": "ok"} and curve_summary(OK, None) == {"ended": "ok"}


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


def test_the_training_dynamics_of_both_kinds_are_counted(tmp_path):
    folder = write_project(tmp_path, MODEL_CELLS | {"wgan_gp": [15.0, "diverged", 17.5]})
    lines = ["kimg,step,gradient_d,gradient_g"] + [f"{k},{k},{100 if k == 7 else 1},1" for k in range(1, 41)]
    for path in (folder / "results/digits").glob("*/seed*/history.csv"):
        path.write_text("\n".join(lines) + "\n")
    table = dynamics(Results.load(folder / "plan", folder / "results"), "digits").frame.set_index("networks")
    assert list(table.trainings) == [9, 9]  # without the row beyond the paper
    assert list(table.diverged) == ["0.0%", "11.1%"]
    assert set(table["ticks of D that are gradient spikes"]) == {"2.5%"}
    # Standard deviation over mean: full 1/21, no_augment .1041/.1117, kept .0514; the median of three.
    assert table["median spread of the main metric"]["transformer"] == "5.1%"


def test_without_both_kinds_nothing_is_said_about_stability(project):
    assert dynamics(Results.load(project / "plan", project / "results"), "digits") is None
