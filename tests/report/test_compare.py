"""Two revisions side by side, on a repository without DVC: git has all they need."""

import os
import subprocess
from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.report.appendix_tables import flat
from pipeline.report.compare import compare
from pipeline.report.snapshots import changed_params, snapshot
from report_project import write_project


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()


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
    Path("params.yaml").write_text("model: {norm: layer, scales: 3}\nprofile: demo\n")
    git("add", "--all")
    git("commit", "--quiet", "-m", "experiment")
    git("update-ref", f"refs/exps/ab/{'c' * 38}/layer", "HEAD")
    git("reset", "--quiet", "--hard", "HEAD~1")
    return tmp_path


def test_differences_are_paired_and_equal_values_left_out(repository):
    sides = [snapshot(name, repository / "scratch") for name in ("HEAD", "layer")]
    text = compare(*sides, repository / "compare", 0.95).read_text()
    assert "| model.norm | token | layer |" in text
    # -3, -3.5, -2.5: mean -3, s = 0.5, half-width 4.3027 x 0.5 / sqrt(3)
    assert "| full | fd_digits | 12.00 ± 4.97 | 9.00 ± 5.69 | -3.00 ± 1.24 | better |" in text
    assert "| no_norm | fd_digits | not run | seed 0: oom; seed 1: not run; seed 2: not run | - | - |" in text
    assert "| mine |" not in text and "values that are equal in both" in text
    page = (repository / "compare/index.html").read_text()
    assert page.count("<img") == 4 * 3 and "A: full, seed 0" in page


def test_other_protocols_are_not_subtracted(repository):
    for path in Path("results").rglob("protocol.json"):
        path.write_text(path.read_text().replace('"split": "all"', '"split": "test"'))
    sides = [snapshot(name, repository / "scratch") for name in ("HEAD", "workspace")]
    assert (
        "| other protocol (split test, not all) | not comparable |"
        in compare(*sides, repository / "compare", 0.95).read_text()
    )


def test_what_cannot_be_compared_is_said_in_one_line(repository):
    with pytest.raises(UserError, match="no such revision or experiment"):
        snapshot("nowhere", repository / "scratch")
    with pytest.raises(UserError, match="no plan/index.json"):
        snapshot("empty", repository / "scratch")


def test_settings_are_compared_key_by_key(repository):
    assert flat({"a": {"b": 1, "c": [1, {"d": 2}]}, "e": {}}) == {"a.b": 1, "a.c": [1, {"d": 2}], "e": {}}
    one, two = (snapshot(name, repository / "scratch") for name in ("HEAD", "layer"))
    assert changed_params(one, two) == {"model.norm": ("token", "layer")}
