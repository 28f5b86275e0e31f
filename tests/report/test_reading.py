"""What the curves say in words: each rule on a curve drawn for it."""

import numpy as np
import pandas as pd
import pytest
from report_project import render, write_project

from pipeline.report.cells import load_history
from pipeline.report.reading import ENOUGH, direction, read

OK = {"status": "ok", "state": "ok"}
TICKS = 100


def history(**curves) -> pd.DataFrame:
    return pd.DataFrame({"kimg": np.arange(1.0, TICKS + 1)} | {name: np.broadcast_to(np.asarray(curve, dtype=float), TICKS) for name, curve in curves.items()})


def noisy(start, end, noise=0.0):
    return np.linspace(start, end, TICKS) + noise * np.random.default_rng(0).standard_normal(TICKS)


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        (noisy(2, 2), "level"),
        (noisy(0, 0), "level"),
        (noisy(3, 1), "falling"),
        (noisy(1, 3), "level"),                             # by 3 % from tenth to tenth
        (np.linspace(0, 1, TICKS) ** 4, "rising"),
        (noisy(1, 1, 0.5), "level"),                        # more than 10 %, less than the noise
        (np.r_[noisy(3, 1)[:80], np.ones(20)], "level"),
    ],
)
def test_the_direction_is_that_of_the_last_two_tenths(curve, expected):
    assert direction(pd.Series(curve)) == expected


@pytest.mark.parametrize(
    ("curves", "expected"),
    [
        ({"wasserstein": noisy(3.1, 0.6)}, "the critic's estimate fell from 3.10 at its height to 0.714 and was still falling: not converged"),
        ({"wasserstein": np.r_[noisy(3, 1)[:80], np.ones(20)]}, "to 1.00 and is level"),
        ({"wasserstein": np.linspace(0, 1, TICKS) ** 4}, "the critic's estimate ended at its height, 0.83"),
        ({"penalty": 0.02}, "penalty stable near 0.0200"),
        ({"penalty": noisy(1, 0.1)}, "at the end and falling"),
        ({"penalty": 0.5}, "penalty stable near 0.500, the critic is far from slope 1"),
        ({"gradient_d": 2.0, "gradient_g": 1.0}, "gradient norms at the end D 2.00, G 1.00"),
        ({"gradient_g": [1.0] * 98 + [11.0, 1.0]}, "G 2.00 (1 jump above ten times the median)"),
        ({"ema_distance": 0.03}, "EMA distance 3.0% at the end"),
        ({"penalty": 0.02}, "EMA distance not recorded"),
        ({"sample_spread": 0.4}, "samples spread by 0.400"),
        ({"sample_spread": np.r_[np.linspace(0.1, 0.5, 50), np.linspace(0.5, 0.1, 50)]}, "less than half of what it was: fewer kinds of images"),
        ({"images_per_second": 600.0, "memory_mib": 812}, "600.0 images a second, 812 MiB at most"),
        ({"images_per_second": noisy(1000, 500), "memory_mib": 812}, "slower towards the end"),
        ({"penalty": 0.02}, "time and memory by tick not recorded"),
    ],
)
def test_a_curve_in_words(curves, expected):
    assert expected in read(OK, history(**curves))


def test_no_rule_speaks_of_a_column_that_is_missing():
    assert read(OK, history()) == "EMA distance not recorded; time and memory by tick not recorded"


def test_a_spread_that_was_large_before_training_is_no_loss_of_variety():
    assert "fewer kinds" not in read(OK, history(sample_spread=np.r_[[0.9] * 5, [0.4] * 95]))


def test_few_ticks_are_not_read():
    assert read(OK, history(penalty=0.02).head(ENOUGH - 1)) == f"too few ticks to read curves ({ENOUGH - 1}; {ENOUGH} are needed)"


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ({"status": "not run", "state": "not run"}, "not run"),
        (OK, "curves not recorded"),
        ({"status": "diverged", "state": "diverged at 3.5 kimg", "detail": "collapsed: one image"}, "diverged at 3.5 kimg: collapsed: one image; curves not recorded"),
        ({"status": "diverged", "state": "diverged at 3.5 kimg", "detail": float("nan")}, "diverged at 3.5 kimg: reason not recorded; curves not recorded"),
        (
            {"status": "oom", "state": "oom", "bytes_asked": 2.0 * 2**30, "device": "a card", "batch_discriminator": 64.0, "batch_generator": 128.0, "would_help": "train.accumulate: 2"},
            "2.00 GiB more were asked for on a card, batches of 64 (D) and 128 (G); would help: train.accumulate: 2",
        ),
        ({"status": "oom", "state": "oom", "bytes_asked": float("nan")}, "out of memory on an unknown device"),
    ],
)
def test_what_befell_a_cell_without_curves(cell, expected):
    assert read(cell, None) == expected


def test_time_and_memory_are_read_from_the_file_beside_the_history(tmp_path):
    folder = write_project(tmp_path, {"full": [10.0, 12.0, None]})
    place = folder / "results/digits/full/seed0"
    assert "images_per_second" not in load_history(folder / "results", {"dataset": "digits", "variant": "full", "seed": 0})
    (place / "machine.csv").write_text("kimg,seconds,sec_per_kimg,images_per_second,memory_mib\n64,10,1,1000,700\n128,20,1,900,710\n")
    found = load_history(folder / "results", {"dataset": "digits", "variant": "full", "seed": 0})
    assert found.images_per_second[:2].tolist() == [1000, 900] and found.images_per_second.isna()[2] and found.wasserstein.tolist() == [6.4, 12.8, 19.2]
    report = render(folder)
    table = pd.read_csv(report / "tables/digits_health.csv").set_index("seed").reading
    assert table[0].startswith("too few ticks") and table[2] == "not run"
    assert "Health of the trainings" in (report / "README.md").read_text() and "images a second" in (report / "index.html").read_text()
