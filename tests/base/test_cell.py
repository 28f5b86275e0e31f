"""A cell's name, paths and DVC addresses all follow from its three parts."""

from pathlib import Path

import pytest

from pipeline.base.cell import STAGES, Cell
from pipeline.base.errors import UserError

CELL = Cell("digits", "full", 12)


def test_the_name_reads_back():
    assert str(CELL) == "digits/full/seed12"
    assert Cell.parse(str(CELL)) == CELL == Cell.of({"dataset": "digits", "variant": "full", "seed": "12", "kimg": 1})


def test_paths_and_addresses():
    assert CELL.plan("train") == Path("plan/train/digits/full/seed12.yaml")
    assert [CELL.address(stage) for stage in STAGES] == [
        "train@digits-full-12",
        "measure@digits-full-12",
        "illustrate@digits-full-12",
        "collect@digits-full-12",
    ]


@pytest.mark.parametrize("name", ["digits/full", "digits/full/12", "di-gits/full/seed1", "a/b/seedx", "../b/seed1"])
def test_other_names_are_refused(name):
    with pytest.raises(UserError, match="allowed: <dataset>/<variant>/seed<number>"):
        Cell.parse(name)
