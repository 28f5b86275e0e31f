"""Where a result comes from: revision, changes, versions, machine; absence is written down and never an error."""

import re
import subprocess

import pytest
import torch

from pipeline.base import provenance as module
from pipeline.base.provenance import provenance

CPU = torch.device("cpu")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A git repository of one commit with a params.yaml, the current folder; git(...) runs there."""
    monkeypatch.chdir(tmp_path)

    def git(*arguments):
        names = ("-c", "user.name=test", "-c", "user.email=test@example.invalid")
        return subprocess.run(["git", *names, *arguments], check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    (tmp_path / "params.yaml").write_text("a: 1\n")
    git("add", "--all")
    git("commit", "--quiet", "-m", "start")
    return git


def test_a_clean_tree_is_known_by_its_revision(repository):
    found = provenance(CPU)
    assert found["revision"] == repository("rev-parse", "HEAD") and found["dirty"] is False


def test_a_changed_parameter_makes_it_dirty_and_a_result_does_not(repository, tmp_path):
    (tmp_path / "results.json").write_text("{}")
    assert provenance(CPU)["dirty"] is False
    (tmp_path / "params.yaml").write_text("a: 2\n")
    assert provenance(CPU)["dirty"] is True


def test_without_a_repository_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found = provenance(CPU)
    assert "fatal: not a git repository" in found["revision"] and found["dirty"] is None


def test_without_git_it_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance(CPU)["revision"] == "git rev-parse: [Errno 2] No such file or directory: 'git'"


def test_versions_are_those_of_the_libraries_and_absence_is_told(monkeypatch):
    monkeypatch.setattr(module, "LIBRARIES", ("torch", "no-such-library"))
    libraries = provenance(CPU)["libraries"]
    assert torch.__version__.startswith(libraries["torch"].partition("+")[0])
    assert libraries["no-such-library"] == "absent"


def test_the_machine_is_named_with_its_cores():
    found = provenance(CPU)
    assert re.search(r", \d+ cores?, \w+$", found["device"]) and found["threads"] == torch.get_num_threads()
