"""Cells that are the same training are one piece of work."""

import json

import pytest

from pipeline.base.cell import Cell
from pipeline.base.errors import UserError
from pipeline.matrix.units import Unit, find_unit, read_units


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


def cells(seed: int) -> tuple[Cell, Cell]:
    return Cell("digits", "full", seed), Cell("digits", "again", seed)


def test_twins_are_one_unit_and_the_first_is_trained(plan):
    assert read_units(plan) == [Unit(cells(0), 1.0), Unit(cells(1), 1.0, processes=4)]
    assert Unit(cells(0)).addresses(("train", "collect")) == [
        f"{stage}@digits-{variant}-0" for variant in ("full", "again") for stage in ("train", "collect")
    ]


def test_a_twin_finds_the_unit_of_its_training_and_an_unknown_cell_is_refused(plan):
    assert str(find_unit(read_units(plan), Cell("digits", "again", 1))) == "digits/full/seed1"
    allowed = r"--cell: given 'digits/ful/seed0'; allowed: .*did you mean 'digits/full/seed0'"
    with pytest.raises(UserError, match=allowed):
        find_unit(read_units(plan), Cell("digits", "ful", 0))
