"""What a worker asks of dvc, what it refuses, and what it says when something fails; dvc is a script that records."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from pipeline.base import git as revision
from pipeline.base.cell import Cell
from pipeline.base.errors import UserError
from pipeline.base.git import check_clean, other_libraries
from pipeline.matrix import dvc, worker
from pipeline.matrix.units import last_report
from pipeline.matrix.worker import Stopped, Worker, parse, start

FAKE = """\
import json, os, sys, time
with open("calls.jsonl", "a") as file:
    file.write(json.dumps([sys.argv[1:], os.environ.get("TRANSGAN_WORKER")]) + "\\n")
if sys.argv[1] == os.environ.get("FAIL"):
    print("error: the disk is full")
    sys.exit(1)
print("Running stage 'train@digits-full-0':")
time.sleep(float(os.environ.get("SLEEP", "0")))
"""
CELL, TWIN = Cell("digits", "full", 0), Cell("digits", "again", 0)


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone with a plan of one training and its twin, in which dvc only records how it was called."""
    monkeypatch.setenv("TRANSGAN_WORK", str(tmp_path / "work"))
    (tmp_path / "fake.py").write_text(FAKE)
    cells = [
        {"dataset": "digits", "variant": variant, "seed": 0, "kimg": 1.0, "twin_of": twin}
        for variant, twin in (("full", None), ("again", "full"))
    ]
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan/index.json").write_text(json.dumps({"cells": cells}))
    (tmp_path / "runs" / str(CELL)).mkdir(parents=True)
    (tmp_path / "runs" / str(CELL) / "run.json").write_text('{"key": "abc", "status": "ok"}')
    monkeypatch.setattr(dvc, "DVC", [sys.executable, str(tmp_path / "fake.py")])
    monkeypatch.setattr(worker, "check_remote", lambda root: "/store")
    return tmp_path


def calls(clone) -> list:
    file = clone / "calls.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def test_a_unit_is_trained_then_pushed_and_the_run_cache_last(clone):
    unfinished = clone / "work/abc"
    unfinished.mkdir(parents=True)
    unit = Worker(clone, "r1").work(TWIN)
    asked = [call[0] for call in calls(clone)]
    stages = [
        f"{stage}@digits-{variant}-0" for variant in ("full", "again") for stage in ("train", "measure", "illustrate")
    ]
    first = ["repro", "--pull", "train@digits-full-0"]  # before the twin, which copies it
    assert asked[0] == ["repro", "plan"]  # whatever plan lies there, of the commit or of a revision before
    assert asked[1:] == [first, ["repro", "--pull", *stages], ["push", *stages], ["push", "--run-cache", *stages]]
    assert all(call[1].endswith(".lock") for call in calls(clone))  # the training knows whom to end with
    assert unit.cells == (CELL, TWIN)
    assert last_report(CELL)["state"] == "done" and last_report(TWIN)["state"] == "done"
    assert not unfinished.exists()  # the state of the training went once its results were pushed


def test_a_failed_stage_is_one_line_and_a_state(clone, monkeypatch):
    monkeypatch.setenv("FAIL", "repro")
    with pytest.raises(UserError, match=r"dvc repro plan: the disk is full; .* goes on from there") as error:
        Worker(clone, "r1").work(CELL)
    assert "\n" not in str(error.value) and last_report(CELL)["state"] == "failed"
    assert "the disk is full" in last_report(CELL)["detail"] and len(calls(clone)) == 1


def test_two_signals_stop_a_training_once_and_the_first_one_counts(clone, monkeypatch):
    """slurmstepd signals every process of a task, and the task's script its worker once more."""
    sent = []
    monkeypatch.setattr(worker.os, "killpg", lambda group, number: sent.append(number))
    monkeypatch.setenv("SLEEP", "0.5")
    one = Worker(clone, "r1")

    def signals():
        while one.process is None:
            time.sleep(0.01)
        for name in ("SIGUSR1", "SIGTERM"):
            one.stop(name)

    threading.Thread(target=signals).start()
    with pytest.raises(Stopped) as stopped:
        one.dvc("push")
    assert sent == [signal.SIGINT] and str(stopped.value) == "SIGUSR1"


def test_a_signal_to_the_process_stops_its_work(clone):
    one = Worker(clone, "r1")
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
    try:
        one.handle_signals()
        os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    assert one.signal == "SIGUSR1"


def test_a_state_that_a_file_system_holds_on_to_fails_no_cell(clone, monkeypatch, capsys):
    def busy(key):
        raise OSError("Device or resource busy: .nfs0001")

    monkeypatch.setattr(worker, "discard", busy)
    Worker(clone, "r1").work(CELL)
    assert last_report(CELL)["state"] == "done" and "could not be removed (Device or" in capsys.readouterr().out


def test_a_remote_that_refuses_loses_nothing_and_says_what_to_do(clone, monkeypatch):
    monkeypatch.setenv("FAIL", "push")
    unfinished = clone / "work/abc"
    unfinished.mkdir(parents=True)
    with pytest.raises(
        UserError, match=r"is trained, and could not be pushed \(dvc push .*the disk is full; .*\); nothing is lost"
    ):
        Worker(clone, "r1").work(CELL)
    assert unfinished.is_dir() and last_report(CELL)["state"] == "failed"


def test_a_signal_before_the_work_begins_nothing(clone):
    one = Worker(clone, "r1")
    one.signal = "SIGUSR1"
    with pytest.raises(Stopped) as stopped:
        one.work(CELL)
    assert str(stopped.value) == "SIGUSR1" and not calls(clone) and last_report(CELL)["state"] == "stopped"


# ---- refusals ----
@pytest.fixture
def repository(tmp_path):
    for command in (
        ["init", "--quiet"],
        ["-c", "user.name=t", "-c", "user.email=t@example.invalid", "commit", "--quiet", "--allow-empty", "-m", "one"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    (tmp_path / "requirements.txt").write_text("torch==1.0 \\\n    --hash=sha256:0\nnumpy==2.0\n")
    subprocess.run(["git", "add", "requirements.txt"], cwd=tmp_path, check=True)
    commit = ["-c", "user.name=t", "-c", "user.email=t@example.invalid", "commit", "--quiet", "-m", "two"]
    subprocess.run(["git", *commit], cwd=tmp_path, check=True)
    return tmp_path


def options(*given):
    return parse(["--cell", str(CELL), "--other-libraries", *given])


def test_another_revision_is_refused_in_one_line(repository):
    with pytest.raises(UserError, match=r"this clone is at \w{12}, the head at 000000000000: .*git checkout") as error:
        start(repository, options("--revision", "0" * 40))
    assert "\n" not in str(error.value)


def test_a_clone_with_changes_is_refused_in_one_line(repository):
    (repository / "requirements.txt").write_text("torch==3.0\n")
    with pytest.raises(UserError, match=r"uncommitted changes \(requirements.txt\): commit or undo them") as error:
        start(repository, options())
    assert "\n" not in str(error.value)


def test_the_same_revision_is_allowed(repository, monkeypatch):
    monkeypatch.setattr(Worker, "handle_signals", lambda self: None)
    at = revision.ask("rev-parse", "HEAD", root=repository)
    assert start(repository, options("--revision", at)).revision == at


def test_other_library_versions_are_refused_unless_allowed(repository, monkeypatch):
    monkeypatch.setattr(revision, "installed", {"torch": "1.0+cu128", "numpy": "1.9"}.get)
    assert other_libraries(repository) == {"numpy": ("1.9", "2.0")}
    with pytest.raises(UserError, match="numpy 1.9 instead of 2.0; .*--other-libraries") as error:
        check_clean(repository)
    assert "\n" not in str(error.value)


def test_versions_of_a_record_are_compared_with_the_pins(repository):
    assert other_libraries(repository, {"torch": "1.1", "numpy": "2.0", "unpinned": "3"}) == {"torch": ("1.1", "1.0")}


def test_a_source_without_a_revision_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["worker", "--cell", str(CELL), "--source", "/somewhere"])
    with pytest.raises(SystemExit):
        worker.main()
    assert "--source: given without --revision" in capsys.readouterr().err
