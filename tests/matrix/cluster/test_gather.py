"""What a head says of cells that are there, running, stopped, failed and missing."""

import json
import time

import pytest

from pipeline.matrix.cluster import gather, states
from pipeline.matrix.cluster.gather import describe, look
from pipeline.matrix.cluster.units import Unit


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSGAN_WORK", str(tmp_path))
    return tmp_path


def unit(*names: str) -> Unit:
    return Unit(tuple(f"digits/{name}/seed0" for name in names))


def test_every_state_and_its_line(work):
    units = [unit("a"), unit("b"), unit("c"), unit("d"), unit("e"), unit("f")]
    states.say("digits/c/seed0", "stopped", "by SIGTERM, its state is stored", "r1")
    states.say("digits/d/seed0", "failed", "no space left", "r1")
    states.say("digits/e/seed0", "running", "", "r1")  # and its lock is not held: it was killed
    (work / "key").mkdir()
    reached = {"kimg": 12.0, "of": 40.0, "seconds_left": 600, "updated": time.time()}
    (work / "key/progress.json").write_text(json.dumps({"cell": "digits/b/seed0", **reached}))
    states.say("digits/b/seed0", "running", "", "r1")
    with states.claim("digits/b/seed0", lambda who: pytest.fail(who)):
        seen = look(units, there={"digits/a/seed0"})
    assert [one.state for one in seen] == ["there", "running", "stopped", "failed", "stopped", "missing"]
    lines = describe(seen)
    assert lines[0] == "gather: 6 cells: 1 there, 1 running, 2 stopped, 1 failed, 1 missing"
    assert "12.0 of 40.0 kimg, 10 min left" in lines[1] and "digits/b/seed0" in lines[1]
    assert any("digits/d/seed0: no space left" in line for line in lines)
    assert any("digits/e/seed0: its worker on" in line and "is gone" in line for line in lines)


def test_a_twin_is_where_its_training_is(work):
    states.say("digits/a/seed0", "running", "", "r1")
    with states.claim("digits/a/seed0", lambda who: pytest.fail(who)):
        assert [one.state for one in look([unit("a", "again")], there=set())] == ["running", "running"]


def test_what_is_in_the_remote_is_there_whatever_a_worker_said_last(work):
    states.say("digits/a/seed0", "failed", "of an earlier try", "r1")
    assert look([unit("a")], there={"digits/a/seed0"})[0].state == "there"


def test_results_pushed_by_another_plan_are_missing(work):
    states.say("digits/a/seed0", "pushed", "", "r0")
    assert look([unit("a")], there=set())[0].state == "missing"


def test_what_was_said_at_another_revision_is_no_failure_of_this_one(work):
    states.say("digits/a/seed0", "failed", "a fault that was mended", "r0")
    (seen,) = look([unit("a")], there=set(), at="r1")
    assert seen.state == "missing" and "at r0, another revision, it was failed" in seen.detail
    assert look([unit("a")], there=set(), at="r0")[0].state == "failed"


def test_cells_that_are_there_alone_are_named_to_dvc(work, monkeypatch, capsys):
    asked = []

    class Ended:
        ran = ["train@digits-a-0"]

    monkeypatch.setattr(gather, "_dvc", lambda root, *arguments: asked.append(arguments) or Ended())
    run = work / "runs/digits/a/seed0"
    run.mkdir(parents=True)
    (run / "run.json").write_text('{"libraries": {"torch": "1.0"}}')
    (work / "requirements.txt").write_text("torch==2.0 \\\n")
    gather.bring_home(work, ["digits/a/seed0"], whole=False)
    assert asked[0][:3] == ("repro", "--pull", "--single-item") and asked[0][3:] == (
        "train@digits-a-0",
        "measure@digits-a-0",
        "illustrate@digits-a-0",
        "collect@digits-a-0",
    )
    shown = capsys.readouterr().out
    assert "1 cells restored" in shown and "2 trained" in shown  # of both commands
    assert "digits/a/seed0 was trained with other library versions: torch 1.0" in shown
