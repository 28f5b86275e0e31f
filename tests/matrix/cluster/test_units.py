"""Cells that are the same training are one piece of work."""

import json

import pytest

from pipeline.base.errors import UserError
from pipeline.matrix.cluster.units import Unit, address, find_unit, read_units


@pytest.fixture
def plan(tmp_path):
    """A plan of full and its twin `again` at two seeds; seed 1 trains in four processes."""
    cells = [
        {"dataset": "digits", "variant": variant, "seed": seed, "kimg": 1.0, "twin_of": twin}
        for variant, twin in (("full", None), ("again", "full"))
        for seed in (0, 1)
    ]
    (tmp_path / "plan/train/digits/full").mkdir(parents=True)
    (tmp_path / "plan/index.json").write_text(json.dumps({"cells": cells}))
    (tmp_path / "plan/train/digits/full/seed1.yaml").write_text("train: {processes: 4}\n")
    return tmp_path


def test_twins_are_one_unit_and_the_first_is_trained(plan):
    assert read_units(plan) == [
        Unit(("digits/full/seed0", "digits/again/seed0")),
        Unit(("digits/full/seed1", "digits/again/seed1"), processes=4),
    ]


def test_a_twin_finds_the_unit_of_its_training(plan):
    assert find_unit(read_units(plan), "digits/again/seed1").name == "digits/full/seed1"


def test_a_cell_that_is_not_planned_is_refused_in_one_line(plan):
    with pytest.raises(
        UserError, match=r"--cell: given 'digits/ful/seed0'; allowed: .*did you mean 'digits/full/seed0'"
    ):
        find_unit(read_units(plan), "digits/ful/seed0")


def test_stages_are_named_as_dvc_names_them():
    assert address("train", "digits/full/seed12") == "train@digits-full-12"
    assert Unit(("a/b/seed0",)).stages() == ["train@a-b-0", "measure@a-b-0", "illustrate@a-b-0"]
