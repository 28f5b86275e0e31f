"""Trainings side by side: all are tried, a failure is told at the end, Ctrl-C begins no other one; dvc is a script."""

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
from cluster.stub_project import StubProject
from filelock import FileLock

from pipeline.base.errors import UserError
from pipeline.base.machine import slots, visible_gpus
from pipeline.matrix import dvc, repro
from pipeline.matrix.units import read_units

FAKE = """\
import os, sys, time
place = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
with open("calls.txt", "a") as file:
    file.write(" ".join([place, *sys.argv[1:]]) + "\\n")
for stage in sys.argv[5:]:
    print(f"Running stage '{stage}':", flush=True)
time.sleep(float(os.environ.get("SLEEP", "0")))
if os.environ.get("FAIL", "never") in sys.argv:
    print("ERROR: failed to reproduce", flush=True) if os.environ.get("BARE") else print("error: it failed", flush=True)
    sys.exit(1)
"""


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A plan of two seeds of `full`, its twin `again`, and `grid`; everything has changed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("TRANSGAN_WORK", raising=False)
    (tmp_path / "fake.py").write_text(FAKE)
    cells = [
        {"dataset": "digits", "variant": variant, "seed": seed, "kimg": 1.0, "twin_of": twin}
        for variant, twin in (("full", None), ("again", "full"), ("grid", None))
        for seed in (0, 1)
    ]
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan/index.json").write_text(json.dumps({"cells": cells}))
    for name, value in (("load", None), ("status", ["changed"]), ("no_revision", None)):
        monkeypatch.setattr(repro, name, lambda value=value: value)
    for module in (repro, dvc):
        monkeypatch.setattr(module, "DVC", [sys.executable, str(tmp_path / "fake.py")])
    monkeypatch.setattr(repro, "visible_gpus", list)
    return tmp_path


def calls(project) -> list[list[str]]:
    return [line.split() for line in (project / "calls.txt").read_text().splitlines()]


def units(project) -> list[list[str]]:
    return [call for call in calls(project) if "--single-item" in call]


def test_what_trainings_need_comes_first_and_everything_else_last(project):
    repro.reproduce(jobs=2)
    made = calls(project)
    assert made[0][1:] == ["repro", "plan"] and made[1][1:] == ["repro", "reference@digits"]
    assert made[-1][1:] == ["repro"] and len(units(project)) == 4
    assert all(call[1:5] == ["--wait-for-lock", "repro", "--single-item", "--glob"] for call in made[2:-1])


def test_twins_are_one_after_the_other_in_one_place(project):
    repro.reproduce(jobs=2)
    (one,) = [call for call in units(project) if "*@digits-full-0" in call]
    assert one[5:] == ["*@digits-full-0", "*@digits-again-0"]


def test_one_at_a_time_is_plain_dvc(project):
    repro.reproduce(jobs=1)
    assert [call[1:] for call in calls(project)] == [["repro", "plan"], ["repro"]]


def test_a_cell_a_gpu(project, monkeypatch):
    monkeypatch.setattr(repro, "visible_gpus", lambda: ["0", "1"])
    monkeypatch.setenv("SLEEP", "0.5")
    repro.reproduce(jobs=None)
    assert sorted(call[0] for call in units(project)) == ["0", "0", "1", "1"]


def test_a_failure_stops_no_other_training_and_is_told(project, monkeypatch, capsys):
    monkeypatch.setenv("FAIL", "*@digits-full-0")
    with pytest.raises(UserError, match=r"digits/full/seed0: it failed \(log: .*\); what was") as error:
        repro.reproduce(jobs=2)
    assert "\n" not in str(error.value) and len(units(project)) == 4 and calls(project)[-1][1:] != ["repro"]
    shown = capsys.readouterr().out
    assert "repro: digits/full/seed0: failed, it failed (log: " in shown
    assert "repro: digits/grid/seed1: done" in shown


def test_each_cells_output_is_in_its_own_log(project):
    repro.reproduce(jobs=2)
    log = (project / ".work/logs/digits-grid-seed0.log").read_text()
    assert "*@digits-grid-0" in log and "grid-1" not in log


def test_the_first_number_measured_is_shown(project, capsys):
    for variant in ("full", "again"):
        folder = project / f"measured/digits/{variant}/seed0"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text('{"status": "ok", "kimg": 1.0, "fd_digits": 49.21}')
    repro.reproduce(jobs=2)
    assert "repro: digits/full/seed0: done, fd_digits 49.21 (" in capsys.readouterr().out


def test_ctrl_c_begins_no_other_training(project, monkeypatch):
    monkeypatch.setenv("SLEEP", "1.5")
    timer = threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        repro.run_units(read_units(), [{}])
    time.sleep(0.2)
    assert len(units(project)) == 1


def test_a_cell_that_a_killed_make_repro_left_at_work_is_waited_for(project, capsys):
    """Its processes hold a lock on the log that they write."""
    log = project / ".work/logs/digits-full-seed0.log"
    log.parent.mkdir(parents=True)
    with open(log, "a") as left:
        fcntl.flock(left, fcntl.LOCK_EX)
        orphan = subprocess.Popen(["sleep", "1"], stdout=left)
    began = time.monotonic()
    repro.run_units(read_units()[:1], [{}])
    assert orphan.poll() is not None and time.monotonic() - began > 0.5 and len(units(project)) == 1


def test_a_second_make_repro_in_one_clone_is_refused_in_one_line(project, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["repro"])
    (project / ".work").mkdir()
    with FileLock(project / ".work/repro.lock"), pytest.raises(SystemExit):
        repro.main()
    assert capsys.readouterr().err == (
        "error: another make repro is at work in this clone; wait until it has ended, or end it\n"
    )


def test_the_end_is_three_numbers_and_the_link(project, capsys):
    (project / "results").mkdir()
    (project / "results/summary.json").write_text('{"metric": "fd_digits", "full": 49.8}')
    repro.reproduce(jobs=2)
    *_, numbers, link = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"repro: 4 trainings in [\d.]+ min, no git; fd_digits by row: dvc metrics show", numbers)
    assert link == f"report: {project}/reports/README.md and index.html beside it"


# ---- what dvc refuses, with the real dvc: one line, no traceback ----
REFUSALS = {
    "a conflict marker in dvc.lock": lambda root: (root / "dvc.lock").write_text("<<<<<<< HEAD\nschema: '2.0'\n"),
    "a tab in dvc.yaml": lambda root: (root / "dvc.yaml").write_text("stages:\n\ta: {}\n"),
    "no repository": lambda root: subprocess.run(["rm", "-r", str(root / ".git")], check=True),
}


@pytest.fixture
def real(tmp_path, monkeypatch):
    """A repository of one stage, with the real dvc."""
    root = tmp_path / "clone"
    root.mkdir()
    for command in (["git", "init", "--quiet"], [sys.executable, "-m", "dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=root, check=True)
    (root / "dvc.yaml").write_text("stages:\n  a:\n    cmd: echo\n")
    monkeypatch.chdir(root)
    monkeypatch.setattr(dvc, "DVC", [sys.executable, "-m", "dvc"])
    return root


@pytest.mark.pipeline
def test_locks_that_a_killed_dvc_left_half_written_are_removed(real):
    """dvc refuses the file for ever, and with it every command that changes the repository."""
    (real / ".dvc/tmp/rwlock").touch()
    assert "Running stage 'a'" in dvc.dvc("repro", "a", root=real)


@pytest.mark.pipeline
def test_every_stage_of_every_cell_runs_once_and_a_twin_copies(tmp_path, monkeypatch, capsys):
    """With the real dvc, and stages that do next to nothing."""
    stub = StubProject(tmp_path / "stub", variants=("full", "again"), seeds=(0, 1), steps=2)
    for name, value in stub.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(stub.folder)
    for module in (repro, dvc):
        monkeypatch.setattr(module, "DVC", [sys.executable, "-m", "dvc"])
    dvc.dvc("repro", "reference@digits")
    repro.run_units(read_units(), [{}, {}])
    assert ": done (2 of 2 trainings, " in capsys.readouterr().out
    trained = [f"digits/full/seed{seed} {step}" for seed in (0, 1) for step in (0, 1)]
    cells = [f"digits/{variant}/seed{seed}" for variant in ("full", "again") for seed in (0, 1)]
    others = [f"{stage} {cell}" for stage in ("measure", "illustrate", "collect") for cell in cells]
    assert sorted(stub.logged()) == sorted([*trained, *others, "prepare digits", "reference digits"])


@pytest.mark.pipeline
@pytest.mark.parametrize("name", REFUSALS)
def test_what_dvc_refuses_is_one_line(real, name):
    REFUSALS[name](real)
    with pytest.raises(UserError) as error:
        dvc.status()
    told = {"a conflict marker in dvc.lock": "dvc.lock' is invalid", "a tab in dvc.yaml": "dvc.yaml"}.get(
        name, "not a git"
    )
    assert "\n" not in str(error.value) and str(error.value).startswith("dvc status") and told in str(error.value)


# ---- places ----
@pytest.mark.parametrize(
    ("gpus", "processes", "jobs", "expected"),
    [
        (["0", "1", "2", "3"], 1, None, ["0", "1", "2", "3"]),
        (["0", "1", "2", "3"], 2, None, ["0,1", "2,3"]),
        (["0", "1", "2"], 2, None, ["0,1"]),
        (["0"], 4, None, ["0"]),
        (["0", "1"], 1, 3, ["0", "1", "0"]),
    ],
)
def test_a_place_has_the_gpus_of_a_unit(gpus, processes, jobs, expected):
    assert [place["CUDA_VISIBLE_DEVICES"] for place in slots(gpus, processes, jobs)] == expected


def test_without_gpus_a_cell_a_core(monkeypatch):
    assert slots([], 1, 3) == [{}, {}, {}] and 1 <= len(slots([], 1, None)) <= 8


def test_gpus_that_are_already_chosen_are_kept(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert visible_gpus() == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []
