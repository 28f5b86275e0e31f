"""A cell's name, paths and DVC addresses all follow from its three parts; stages read its plan files."""

import sys
from pathlib import Path

import pytest

from pipeline.base.cell import STAGES, Cell, load_stage_plan
from pipeline.base.errors import ConfigError, UserError
from pipeline.data.config import DataConfig

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


@pytest.fixture
def prepared_plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "plan/prepare/tiny.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("source: digits\nresolution: 8\nchannels: 3\n")
    monkeypatch.setattr(sys, "argv", ["prepare", "--dataset", "tiny"])
    return file


def test_a_stage_knows_its_place_and_its_settings(prepared_plan):
    plan, *names = load_stage_plan("doc", "prepare", DataConfig, cell=False)
    assert names == ["tiny", "tiny"] and plan.resolution == 8


def test_a_cell_is_named_by_dataset_variant_and_seed(prepared_plan, monkeypatch):
    file = prepared_plan.parent / "tiny/full/seed3.yaml"
    file.parent.mkdir(parents=True)
    prepared_plan.rename(file)
    monkeypatch.setattr(sys, "argv", ["train", "--dataset", "tiny", "--variant", "full", "--seed", "3"])
    assert load_stage_plan("doc", "prepare", DataConfig, cell=True)[1:] == ("tiny", "tiny/full/seed3")


def test_a_plan_file_that_does_not_fit_is_named_with_its_key(prepared_plan):
    prepared_plan.write_text("source: digits\nresolution: wide\nchannels: 3\n")
    with pytest.raises(ConfigError, match=r"plan/prepare/tiny.yaml: resolution: given 'wide'"):
        load_stage_plan("doc", "prepare", DataConfig, cell=False)


def test_a_missing_plan_file_is_one_line(prepared_plan):
    prepared_plan.unlink()
    with pytest.raises(UserError, match="plan/prepare/tiny.yaml: no such file"):
        load_stage_plan("doc", "prepare", DataConfig, cell=False)
