"""`dvc exp run -S` changes the line of its key and no other: params.yaml and conf/ are as DVC itself writes YAML."""

import difflib
import shutil

import pytest
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import modify_yaml

from settings_files import ROOT

FILES = ["params.yaml", *sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("conf/**/*.yaml"))]


def changed(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_dvc_writes_again_is_the_same(file, tmp_path):
    copy = tmp_path / "settings.yaml"
    shutil.copyfile(ROOT / file, copy)
    with modify_yaml(str(copy)) as content:
        content["x"] = 1
    assert changed((ROOT / file).read_text(), copy.read_text()) == ["+x: 1"]


@pytest.mark.parametrize(
    ("file", "override", "lines"),
    [
        ("params.yaml", "model.norm=layer", ["-  norm: token", "+  norm: layer"]),
        ("params.yaml", "train.lr=1e-5", ["-  lr: 0.0001", "+  lr: 1e-05"]),
        ("params.yaml", "train.anneal=null", []),
        ("params.yaml", "report.dpi=99", ["-  dpi: 120", "+  dpi: 99"]),
        ("params.yaml", "~train.ticks", ["-  ticks: 200"]),
        ("params.yaml", "evaluate.reference.threads=3", ["-    threads: 2", "+    threads: 3"]),
        ("params.yaml", "+variants.try.model.norm=none", ["+variants:", "+  try:", "+    model:", "+      norm: none"]),
        ("conf/dataset/folder.yaml", "data.path='/my images/ü.zip'", ["-  path:", "+  path: /my images/ü.zip"]),
        ("conf/released/cifar10.yaml", "weights=/x.pth", ["-weights:", "+weights: /x.pth"]),
        ("conf/variant/wgan_gp.yaml", "train.lr=1e-3", ["-  lr: 0.0002", "+  lr: 0.001"]),
        ("conf/variant/full.yaml", "+train.lr=2e-4", ["-train: {}", "+train:", "+  lr: 0.0002"]),
    ],
)
def test_an_override_changes_its_own_line(file, override, lines, tmp_path):
    copy = tmp_path / "settings.yaml"
    shutil.copyfile(ROOT / file, copy)
    apply_overrides(str(copy), [override])
    found = [line.partition("#")[0].rstrip() for line in changed((ROOT / file).read_text(), copy.read_text())]
    assert found == lines
