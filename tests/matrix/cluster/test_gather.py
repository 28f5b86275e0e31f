"""What a head says of cells that are done, running, stopped, failed and missing, and which ones it brings home."""

import json
import time

import pytest

from pipeline.base.cell import Cell
from pipeline.base.errors import UserError
from pipeline.base.run_cache import ONLY_RESTORE
from pipeline.matrix import gather
from pipeline.matrix.dvc import DvcError
from pipeline.matrix.gather import cell_states, describe
from pipeline.matrix.units import State, Unit, state_file, write_report
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
    write_report((cell("a"),), State.DONE, "", "r1")
    write_report((cell("c"),), State.STOPPED, "by SIGTERM, its state is stored", "r1")
    write_report((cell("d"),), State.FAILED, "no space left", "r1")
    write_report((cell("e"),), State.RUNNING, "", "r1")  # and its lock is not held: it was killed
    (work / "key").mkdir()
    (work / "key/lock").touch()
    reached = {
        "kimg": 12.0,
        "planned": 40.0,
        "seconds_per_kimg": 600 / 28,
        "seconds_left": 600.0,
        "updated": time.time(),
    }
    (work / "key/progress.json").write_text(json.dumps({"cell": "digits/b/seed0", **reached}))
    write_report((cell("b"),), State.RUNNING, "", "r1")
    with lock(state_file(cell("b"), "lock"), "b", pytest.fail):
        states = cell_states(units, "r1")
    assert [state for state, _ in states.values()] == ["done", "running", "stopped", "failed", "stopped", "missing"]
    lines = describe(states)
    assert lines[0] == "gather: 6 cells: 1 done, 1 running, 2 stopped, 1 failed, 1 missing"
    assert "12.0 of 40.0 kimg, 10 min left" in lines[1] and "digits/b/seed0" in lines[1]
    assert any("digits/d/seed0: no space left" in line for line in lines)
    assert any("digits/e/seed0: its worker on" in line and "is gone" in line for line in lines)


def test_a_twin_is_where_its_training_is(work):
    write_report((cell("a"),), State.RUNNING, "", "r1")
    with lock(state_file(cell("a"), "lock"), "a", pytest.fail):
        assert [state for state, _ in cell_states([unit("a", "again")], "r1").values()] == ["running", "running"]


@pytest.mark.parametrize("state", [State.FAILED, State.DONE])
def test_what_was_said_at_another_revision_says_nothing_of_this_one(work, state):
    write_report((cell("a"),), state, "", "r0")
    found, detail = cell_states([unit("a")], "r1")[cell("a")]
    assert found is State.MISSING and f"{state} at another revision, r0" in detail
    assert cell_states([unit("a")], "r0")[cell("a")][0] is state


def test_what_the_remote_lacks_stays_and_nothing_is_trained(work, monkeypatch, capsys):
    asked = []

    def fake(*arguments, root, variables=None):
        asked.append((arguments, variables))
        if "--keep-going" in arguments:  # dvc began b's training, and the stage refused
            raise DvcError("train@digits-b-0: is not in the remote", "Running stage 'train@digits-b-0':\n")
        return ""

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
        raise DvcError("dvc repro: the remote cannot be read", "")

    monkeypatch.setattr(gather, "dvc", fake)
    with pytest.raises(UserError, match="the remote cannot be read"):
        gather.restore(work, [unit("a")])
