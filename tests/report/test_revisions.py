"""Two revisions side by side, on a repository without DVC: git has all they need."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.errors import UserError
from pipeline.pictures.illustrate import write_sheet
from pipeline.report.appendix import settings_of
from pipeline.report.revisions import changed_settings, compare, snapshot
from report_project import PARAMS, render, write_project


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def redraw() -> None:
    """Other samples for the first seed of `full`."""
    images = np.full((1, 16, 3, 8, 8), 7, dtype=np.uint8)
    write_sheet(Path("results/digits/full/seed0/samples"), images, rows=["samples"])


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """HEAD; an experiment with other settings, one other value and a variant more; a commit without results."""
    monkeypatch.chdir(tmp_path)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setitem(os.environ, f"GIT_{name}_NAME", "test")
        monkeypatch.setitem(os.environ, f"GIT_{name}_EMAIL", "test@example.invalid")
    git("init", "--quiet")
    Path("params.yaml").write_text("model: {norm: token, scales: 3}\nprofile: demo\n")
    git("add", "--all")
    git("commit", "--quiet", "-m", "no results yet")
    git("tag", "empty")
    write_project(tmp_path, {"full": [10.0, 12.0, 14.0], "mine": [3.0, 4.0, 5.0]})
    git("add", "--all")
    git("commit", "--quiet", "-m", "base")
    write_project(tmp_path, {"full": [7.0, 8.5, 11.5], "mine": [3.0, 4.0, 5.0], "no_norm": ["oom", None, None]})
    redraw()
    Path("params.yaml").write_text("model: {norm: layer, scales: 3}\nprofile: demo\n")
    git("add", "--all")
    git("commit", "--quiet", "-m", "experiment")
    git("update-ref", f"refs/exps/ab/{'c' * 38}/layer", "HEAD")
    git("reset", "--quiet", "--hard", "HEAD~1")
    return tmp_path


def test_what_changed_comes_first_and_equal_values_are_left_out(repository):
    sides = [snapshot(name, repository / "scratch") for name in ("HEAD", "layer")]
    text = compare(*sides, repository / "compare").read_text()
    assert text.index("</a>What changed") < text.index("| model.norm | token | layer |")
    assert "| full | fd_digits | 12.0 ± 5.0 | 9.0 ± 5.7 | 0.74 (" in text
    assert "| no_norm | fd_digits | not run | seed 0: oom; seed 1: not run; seed 2: not run | - | - |" in text
    assert "| mine |" not in text and " values are equal in both and left out." in text
    assert (repository / "compare/index.html").is_file() and "![The first samples of every cell of layer" in text


def test_what_b_does_not_have_is_left_out(repository):
    sides = [snapshot(name, repository / "scratch") for name in ("layer", "HEAD")]
    assert "no_norm" not in compare(*sides, repository / "compare").read_text()


def test_other_protocols_are_not_compared(repository):
    for path in Path("results").rglob("protocol.json"):
        path.write_text(path.read_text().replace('"split": "all"', '"split": "test"'))
    sides = [snapshot(name, repository / "scratch") for name in ("HEAD", "workspace")]
    for path in Path("results").rglob("full/seed?.json"):
        path.write_text(path.read_text().replace('"recall_digits": 0.25', '"recall_digits": 0.5'))
    sides[1] = snapshot("workspace", repository / "scratch")
    assert "not comparable (split test, not all)" in compare(*sides, repository / "compare").read_text()


def test_an_experiment_of_one_cell_gives_a_short_report_beside_head(repository):
    write_project(repository, {"full": [8.0, None, None]})
    redraw()
    index = json.loads(Path("plan/index.json").read_text())
    index |= {"cells": index["cells"][:1], "seeds": [0]}
    Path("plan/index.json").write_text(json.dumps(index))
    Path("params.yaml").write_text("model: {norm: layer, scales: 3}\nprofile: demo\n")
    report = render(repository, PARAMS | {"model": {"norm": "layer", "scales": 3}})
    text = (report / "README.md").read_text()
    assert "| full | fd_digits | 12.0 ± 5.0 | 8.00 | open: better than all of A (10.0 to 14.0) |" in text
    assert "| model.norm | token | layer |" in text and "digits_samples.png" in text and len(text.split()) < 600
    assert (report / "index.html").is_file() and not (report / "tables/digits_ablation.csv").exists()


def test_a_short_report_without_git_stands_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = write_project(tmp_path / "project", {"full": [8.0, None, None]})
    index = json.loads((folder / "plan/index.json").read_text())
    (folder / "plan/index.json").write_text(json.dumps(index | {"cells": index["cells"][:1]}))
    text = (render(folder) / "README.md").read_text()
    assert "HEAD (no results)" in text and "| full | fd_digits | not run | 8.00 |" in text


def test_what_cannot_be_compared_is_said_in_one_line(repository):
    with pytest.raises(UserError, match="no such revision or experiment"):
        snapshot("nowhere", repository / "scratch")
    with pytest.raises(UserError, match="no plan/index.json"):
        snapshot("empty", repository / "scratch")


def test_settings_are_compared_key_by_key(repository):
    assert settings_of({"a": {"b": 1, "c": [1, {"d": 2}]}}, None) == {"a.b": 1, "a.c": [1, {"d": 2}]}
    one, two = (snapshot(name, repository / "scratch") for name in ("HEAD", "layer"))
    assert changed_settings(one, two).frame.to_numpy().tolist() == [["model.norm", "token", "layer"]]
