"""Trainings side by side: all are tried, a failure is told at the end, Ctrl-C begins no other one; dvc is a script."""

import io
import json
import os
import signal
import sys
import threading
import time
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from pipeline.base.errors import UserError
from pipeline.matrix import repro
from pipeline.matrix.board import Board

NAMES = [
    "plan",
    "prepare@digits",
    "reference@digits",
    *(f"train@digits-{variant}-{seed}" for variant in ("full", "again", "grid") for seed in (0, 1)),
    "report",
]
FAKE = """\
import os, sys, time
place = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
with open("calls.txt", "a") as file:
    file.write(" ".join([place, *sys.argv[1:]]) + "\\n")
for stage in sys.argv[4:]:
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
    stages = [SimpleNamespace(addressing=name) for name in NAMES]
    repository = SimpleNamespace(status=lambda: {"changed": 1}, index=SimpleNamespace(stages=stages))
    monkeypatch.setattr(repro, "Repo", lambda: nullcontext(repository))
    monkeypatch.setattr(repro, "DVC", [sys.executable, str(tmp_path / "fake.py")])
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
    assert all(call[1:4] == ["--wait-for-lock", "repro", "--single-item"] for call in made[2:-1])


def test_twins_are_one_after_the_other_in_one_place(project):
    repro.reproduce(jobs=2)
    (one,) = [call for call in units(project) if "train@digits-full-0" in call]
    stages = ("train", "measure", "illustrate", "collect")
    assert one[4:] == [f"{stage}@digits-{variant}-0" for variant in ("full", "again") for stage in stages]


def test_one_at_a_time_is_plain_dvc(project):
    repro.reproduce(jobs=1)
    assert [call[1:] for call in calls(project)] == [["repro"]]


def test_a_cell_a_gpu(project, monkeypatch):
    monkeypatch.setattr(repro, "visible_gpus", lambda: ["0", "1"])
    monkeypatch.setenv("SLEEP", "0.5")
    repro.reproduce(jobs=None)
    assert sorted(call[0] for call in units(project)) == ["0", "0", "1", "1"]


def test_a_failure_stops_no_other_training_and_is_told(project, monkeypatch, capsys):
    monkeypatch.setenv("FAIL", "train@digits-full-0")
    with pytest.raises(UserError, match="digits/full/seed0: it failed; what was finished is kept") as error:
        repro.reproduce(jobs=2)
    assert "\n" not in str(error.value) and len(units(project)) == 4 and calls(project)[-1][1:] != ["repro"]
    shown = capsys.readouterr().out
    assert "repro: digits/full/seed0: failed, it failed (log: " in shown
    assert "repro: digits/grid/seed1: done" in shown


def test_each_cells_output_is_in_its_own_log(project):
    repro.reproduce(jobs=2)
    log = (project / ".work/logs/digits-grid-seed0.log").read_text()
    assert "train@digits-grid-0" in log and "grid-1" not in log


def test_the_first_number_measured_is_shown(project, capsys):
    for variant in ("full", "again"):
        folder = project / f"measured/digits/{variant}/seed0"
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text('{"status": "ok", "kimg": 1.0, "fd_digits": 49.21}')
    repro.reproduce(jobs=2)
    assert "repro: digits/again/seed0: done, fd_digits 49.21 (" in capsys.readouterr().out


def test_ctrl_c_begins_no_other_training(project, monkeypatch):
    monkeypatch.setenv("SLEEP", "1.5")
    board = Board(repro.planned(), 1, io.StringIO())
    timer = threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        repro.run_units(repro.read_units(), [{}], board)
    time.sleep(0.2)
    assert len(units(project)) == 1
