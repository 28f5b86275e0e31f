"""What a head says of cells that are done, running, stopped, failed and missing, and which ones it brings home."""

import json
import time

import pytest

from pipeline.base.cell import Cell
from pipeline.base.errors import UserError
from pipeline.base.run_cache import ONLY_RESTORE
from pipeline.matrix import gather
from pipeline.matrix.dvc import DvcError, Output
from pipeline.matrix.gather import describe, look
from pipeline.matrix.units import State, Unit, say_state, state_file
from pipeline.runs.work_dirs import lock


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSGAN_WORK", str(tmp_path))
    return tmp_path


def cell(name: str) -> Cell:
    return Cell("digits", name, 0)


def unit(*names: str) -> Unit:
    return Unit(tuple(map(cell, names)))


def test_every_state_and_its_line(work):
    units = [unit(name) for name in "abcdef"]
    say_state(cell("a"), State.DONE, "", "r1")
    say_state(cell("c"), State.STOPPED, "by SIGTERM, its state is stored", "r1")
    say_state(cell("d"), State.FAILED, "no space left", "r1")
    say_state(cell("e"), State.RUNNING, "", "r1")  # and its lock is not held: it was killed
    (work / "key").mkdir()
    reached = {"kimg": 12.0, "of": 40.0, "seconds_left": 600, "updated": time.time()}
    (work / "key/progress.json").write_text(json.dumps({"cell": "digits/b/seed0", **reached}))
    say_state(cell("b"), State.RUNNING, "", "r1")
    with lock(state_file(cell("b"), "lock"), "b", pytest.fail):
        seen = look(units, "r1")
    assert [one.state for one in seen] == ["done", "running", "stopped", "failed", "stopped", "missing"]
    lines = describe(seen)
    assert lines[0] == "gather: 6 cells: 1 done, 1 running, 2 stopped, 1 failed, 1 missing"
    assert "12.0 of 40.0 kimg, 10 min left" in lines[1] and "digits/b/seed0" in lines[1]
    assert any("digits/d/seed0: no space left" in line for line in lines)
    assert any("digits/e/seed0: its worker on" in line and "is gone" in line for line in lines)


def test_a_twin_is_where_its_training_is(work):
    say_state(cell("a"), State.RUNNING, "", "r1")
    with lock(state_file(cell("a"), "lock"), "a", pytest.fail):
        assert [one.state for one in look([unit("a", "again")], "r1")] == ["running", "running"]


@pytest.mark.parametrize("state", [State.FAILED, State.DONE])
def test_what_was_said_at_another_revision_says_nothing_of_this_one(work, state):
    say_state(cell("a"), state, "", "r0")
    (seen,) = look([unit("a")], "r1")
    assert seen.state is State.MISSING and f"{state} at another revision, r0" in seen.detail
    assert look([unit("a")], "r0")[0].state is state


def test_what_the_remote_lacks_stays_and_nothing_is_trained(work, monkeypatch, capsys):
    asked = []

    def fake(*arguments, root, variables=None):
        asked.append((arguments, variables))
        if "--keep-going" in arguments:  # dvc began b's training, and the stage refused
            raise DvcError("dvc repro: train@digits-b-0: is not in the remote", Output(["train@digits-b-0"]))

    monkeypatch.setattr(gather, "dvc", fake)
    (work / "runs/digits/a/seed0").mkdir(parents=True)
    (work / "results/digits/a").mkdir(parents=True)
    (work / "results/digits/a/seed0").mkdir()
    (work / "results/digits/a/seed0/run.json").write_text('{"libraries": {"torch": "1.0"}}')
    (work / "requirements.txt").write_text("torch==2.0 \\\n")
    assert gather.restore(work, [unit("a"), unit("b")]) == {cell("a")}
    assert asked[0][1] == {ONLY_RESTORE: "1"} and "train@digits-b-0" in asked[0][0]
    assert asked[1][0][-3:] == ("collect_reference@digits", "summary", "report")
    shown = capsys.readouterr().out
    assert "1 of 2 cells restored, 0 trained" in shown
    assert "digits/a/seed0 was trained with other library versions: torch 1.0" in shown


def test_another_failure_is_not_taken_for_a_missing_cell(work, monkeypatch):
    def fake(*arguments, root, variables=None):
        raise DvcError("dvc repro: the remote cannot be read", Output())

    monkeypatch.setattr(gather, "dvc", fake)
    with pytest.raises(UserError, match="the remote cannot be read"):
        gather.restore(work, [unit("a")])
