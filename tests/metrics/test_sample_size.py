"""The distance of fewer samples: which ones are taken, and what the whole set gives."""

import numpy as np
import pytest

from pipeline.metrics.frechet import fit, frechet_distance
from pipeline.metrics.sample_size import write_sample_sizes
from pipeline.metrics.suite import Features, real_side

RANDOM = np.random.default_rng(0)
REAL = {("inception_clean", "train"): real_side(RANDOM.normal(size=(900, 6)))}
GENERATED = {"inception_clean": Features(RANDOM.normal(0.5, 1, size=(800, 6)), None)}


def written(folder, metrics):
    write_sample_sizes(metrics, REAL, GENERATED, folder)
    return [line.split(",") for line in (folder / "sample_size.csv").read_text().splitlines()]


def test_the_first_samples_are_measured_and_the_last_row_is_the_metric_itself(tmp_path):
    header, *rows = written(tmp_path, ["kid800", "fid800_train_clean"])
    assert header == ["n_gen", "fid_train_clean"] and [row[0] for row in rows] == ["100", "200", "400", "800"]
    for count, value in rows:
        own = fit(GENERATED["inception_clean"].features[: int(count)], name="samples")
        expected = frechet_distance(REAL["inception_clean", "train"].gaussian, own)
        assert float(value) == pytest.approx(expected, rel=1e-5)


def test_a_metric_with_a_count_takes_no_more_samples_than_that(tmp_path):
    rows = written(tmp_path, ["fid400_train_clean"])[1:]
    assert [row[0] for row in rows] == ["50", "100", "200", "400"]


def test_without_a_frechet_distance_nothing_is_written(tmp_path):
    assert write_sample_sizes(["kid800"], REAL, GENERATED, tmp_path) == 0 and not list(tmp_path.iterdir())
