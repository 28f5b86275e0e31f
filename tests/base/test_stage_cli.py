"""The common start of the stage scripts."""

import sys

import pytest

from pipeline.base.errors import ConfigError, UserError
from pipeline.base.stage_cli import load_stage_plan
from pipeline.data.config import DataConfig


@pytest.fixture
def prepared_plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "plan/prepare/tiny.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("source: digits\nresolution: 8\nchannels: 3\n")
    monkeypatch.setattr(sys, "argv", ["prepare", "--dataset", "tiny"])
    return file


def test_a_stage_knows_its_place_and_its_settings(prepared_plan):
    plan, target = load_stage_plan("doc", "prepare", DataConfig, cell=False)
    assert (target.dataset, target.name, plan.resolution) == ("tiny", "tiny", 8)


def test_a_cell_is_named_by_dataset_variant_and_seed(prepared_plan, monkeypatch):
    file = prepared_plan.parent / "tiny/full/seed3.yaml"
    file.parent.mkdir(parents=True)
    prepared_plan.rename(file)
    monkeypatch.setattr(sys, "argv", ["train", "--dataset", "tiny", "--variant", "full", "--seed", "3"])
    assert load_stage_plan("doc", "prepare", DataConfig, cell=True)[1].name == "tiny/full/seed3"


def test_a_plan_file_that_does_not_fit_is_named_with_its_key(prepared_plan):
    prepared_plan.write_text("source: digits\nresolution: wide\nchannels: 3\n")
    with pytest.raises(ConfigError, match=r"plan/prepare/tiny.yaml: resolution: given 'wide'"):
        load_stage_plan("doc", "prepare", DataConfig, cell=False)


def test_a_missing_plan_file_is_one_line(prepared_plan):
    prepared_plan.unlink()
    with pytest.raises(UserError, match="plan/prepare/tiny.yaml: no such file"):
        load_stage_plan("doc", "prepare", DataConfig, cell=False)
