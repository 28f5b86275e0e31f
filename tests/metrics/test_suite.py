"""Metrics by name: each what its own function says, on the first so many samples, or a refusal that names it."""

import json

import numpy as np
import pytest

from pipeline.base.errors import UserError
from pipeline.metrics.config import MetricSettings
from pipeline.metrics.distances import (
    frechet_distance,
    inception_score,
    kernel_distance,
    precision_recall,
)
from pipeline.metrics.extractors.extractor import Features
from pipeline.metrics.suite import measure

DIGITS = ["fd_digits", "is_digits", "kd_digits", "pr_digits"]
NETWORKS = ("digits_classifier", "inception_legacy", "inception_clean", "vgg16")


def plan(*metrics):
    return MetricSettings(metrics=list(metrics), splits=5, subsets=10, subset_size=40)


@pytest.fixture(scope="module")
def sides():
    random = np.random.default_rng(0)
    return random.normal(size=(80, 5)), random.normal(0.3, 1, (60, 5)), random.normal(size=(60, 10))


def measured(settings, real, generated, logits, **options):
    both = {(name, split): Features(real) for name in NETWORKS for split in ("train", "test")}
    return measure(
        settings,
        both,
        dict.fromkeys(NETWORKS, Features(generated, logits)),
        **options,
    )


def test_measure_is_the_metrics_by_name(sides):
    real, generated, logits = sides
    values, unavailable = measured(plan(*DIGITS), real, generated, logits, seed=4)
    assert list(values) == [
        "fd_digits",
        "is_digits",
        "is_digits_std",
        "kd_digits",
        "kd_digits_std",
        "precision_digits",
        "recall_digits",
    ]
    assert values["fd_digits"] == frechet_distance(Features(real).gaussian, Features(generated).gaussian)
    assert (values["is_digits"], values["is_digits_std"]) == inception_score(logits, splits=5)
    assert (values["kd_digits"], values["kd_digits_std"]) == kernel_distance(
        real, generated, subsets=10, subset_size=40, seed=4
    )
    assert (values["precision_digits"], values["recall_digits"]) == precision_recall(real, generated, neighbours=3)
    assert json.loads(json.dumps(values)) == values and not unavailable


def test_a_name_with_a_count_takes_the_first_so_many(sides):
    real, generated, logits = sides
    values, _ = measured(
        plan(
            "fid60_train_clean",
            "fid40_train_clean",
            "fid40_train_legacy",
            "is40",
            "kid40",
            "pr40_2",
            "pr40_3_inception",
        ),
        real,
        generated,
        logits,
    )
    few, _ = measured(plan(*DIGITS), real, generated[:40], logits[:40])
    assert values["fid40_train_legacy"] == few["fd_digits"] != values["fid60_train_clean"]
    assert values["fid40_train_clean"] == frechet_distance(Features(real).gaussian, Features(generated[:40]).gaussian)
    assert (values["precision40_3_inception"], values["recall40_3_inception"]) == (
        few["precision_digits"],
        few["recall_digits"],
    )
    assert (values["is40"], values["kid40"]) == (few["is_digits"], few["kd_digits"])
    assert (values["precision40_2"], values["recall40_2"]) == precision_recall(real, generated[:40], neighbours=2)


def test_a_metric_asks_for_nothing_that_it_does_not_read(sides, monkeypatch):
    """No covariance for a kernel distance: 15 s at 2,048 features."""
    real, generated, _ = sides
    monkeypatch.setattr(Features, "gaussian", property(lambda _: pytest.fail("a covariance was computed")))
    assert measure(
        plan("kid"), {("inception_clean", "train"): Features(real)}, {"inception_clean": Features(generated)}
    )


def test_without_logits_a_score_is_a_reason_and_the_others_are_numbers(sides):
    real, generated, _ = sides
    values, unavailable = measured(plan("is60", "kid60"), real, generated, None)
    assert set(values) == {"kid60", "kid60_std"} and unavailable == {
        "is60": "not available: these weights have no logits"
    }


@pytest.mark.parametrize(
    ("metric", "least"),
    [("fd_digits", 2), ("is_digits", 5), ("kd_digits", 40), ("pr_digits", 4), ("pr4_3", 4), ("kid50", 50)],
)
def test_too_few_samples_are_refused_by_metric(sides, metric, least):
    real, generated, logits = sides
    assert measured(plan(metric), real, generated[:least], logits[:least])[0]
    with pytest.raises(UserError, match=f"{metric}: needs at least {least} generated samples, has {least - 1}"):
        measured(plan(metric), real, generated[: least - 1], logits[: least - 1])


def test_too_few_real_samples_are_refused_too(sides):
    with pytest.raises(UserError, match="pr60_9: needs at least 10 real samples, has 9"):
        measured(plan("pr60_9"), sides[0][:9], *sides[1:])


@pytest.mark.parametrize("metric", ["fd_digits", "kd_digits", "pr_digits", "is_digits"])
def test_a_broken_generator_is_an_error_not_a_number(sides, metric):
    real, generated, logits = (side.copy() for side in sides)
    generated[3], logits[3] = np.nan, np.inf
    with pytest.raises(UserError, match="1 of 60 (generated )?samples have a non-finite feature"):
        measured(plan(metric), real, generated, logits)
