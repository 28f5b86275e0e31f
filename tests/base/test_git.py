"""git as a child process: its own words where it refuses, whatever a hook or another owner does."""

import subprocess

import pytest

from pipeline.base.errors import UserError
from pipeline.base.git import ask, check_clean, no_revision


@pytest.fixture
def repository(tmp_path):
    names = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    for command in (["init", "--quiet"], [*names, "commit", "--quiet", "--allow-empty", "-m", "one"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_a_clone_of_another_owner_is_refused_in_gits_own_words(repository, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert "dubious ownership" in no_revision(repository) and "safe.directory" in no_revision(repository)
    assert ask("rev-parse", "HEAD", root=repository) is None
    with pytest.raises(UserError, match="must name the revision they come from: .*dubious ownership") as error:
        check_clean(repository)
    assert "\n" not in str(error.value)


def test_no_repository_and_no_commit_are_told_apart(tmp_path):
    assert "not a git repository" in no_revision(tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    assert "single revision" in no_revision(tmp_path)


def test_a_hook_that_names_another_repository_is_no_hindrance(repository, tmp_path, monkeypatch):
    at = ask("rev-parse", "HEAD", root=repository)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert at is not None and ask("rev-parse", "HEAD", root=repository) == at and no_revision(repository) is None
