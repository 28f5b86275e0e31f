"""A dvc.lock of another machine does not hide the runs of this one: the real run cache, a stage that does nothing."""

import subprocess
import sys
import time

import pytest
import yaml

from pipeline.base.run_cache import restore
from repository import ran

DVC = """\
stages:
  train:
    cmd: python train.py
    deps: [data, plan.yaml]
    outs: [runs]
"""
# A stage as stages/train.py begins, with a result that no other run gives.
TRAIN = """\
import pathlib, sys, time
sys.path.insert(0, {root!r})
from pipeline.base.run_cache import restore
if restore("train"):
    sys.exit(print("restored"))
pathlib.Path("runs").mkdir()
pathlib.Path("runs/weights").write_text(str(time.time_ns()))
print("trained")
"""


class Project:
    def __init__(self, folder, root):
        self.folder = folder
        (folder / "data/deep").mkdir(parents=True)
        files = {"plan.yaml": "lr: 1", "data/a": "1", "data/deep/b": "2", "train.py": TRAIN.format(root=str(root))}
        for name, text in (files | {"dvc.yaml": DVC}).items():
            (folder / name).write_text(text)
        self.dvc("init", "--no-scm", "--quiet")

    def dvc(self, *arguments):
        command = [sys.executable, "-m", "dvc", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def weights(self):
        return (self.folder / "runs/weights").read_text()

    def another_machines_lock(self):
        """The same stage with the same dependencies, and an output that nobody here has."""
        lock = yaml.safe_load((self.folder / "dvc.lock").read_text())
        lock["stages"]["train"]["outs"][0]["md5"] = "0" * 32 + ".dir"
        (self.folder / "dvc.lock").write_text(yaml.safe_dump(lock))


@pytest.fixture(scope="module")
def project(tmp_path_factory, pytestconfig):
    project = Project(tmp_path_factory.mktemp("project"), pytestconfig.rootpath)
    project.dvc("repro", "--quiet")
    return project


def test_plain_dvc_restores_the_training_in_place_of_training_again(project):
    before = project.weights()
    project.another_machines_lock()
    output = project.dvc("repro")
    assert ran(output) == {"train"} and "restored" in output and project.weights() == before


def test_changed_dependencies_and_a_forced_run_are_trained(project):
    before = project.weights()
    assert not restore("train", project.folder)  # what dvc.lock names is here: dvc was told to run
    project.another_machines_lock()
    (project.folder / "data/deep/b").write_text("3")
    assert not restore("train", project.folder)
    assert "trained" in project.dvc("repro") and project.weights() != before
    time.sleep(0.01)
    before = project.weights()
    assert "trained" in project.dvc("repro", "--force") and project.weights() != before


def test_without_a_lock_nothing_is_restored(project, tmp_path):
    (tmp_path / ".dvc").mkdir()
    assert not restore("train", tmp_path)
