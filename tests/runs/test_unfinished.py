"""What is known of an unfinished training, as data and as lines of a terminal."""

import os
import socket
import sys
import time

import pytest

from pipeline.base.files import read_json, write_json
from pipeline.runs import unfinished as module
from pipeline.runs.checkpoint_schedule import CheckpointSchedule
from pipeline.runs.run import run_cell
from pipeline.runs.unfinished import unfinished
from pipeline.runs.work_dirs import work_folder

NAME = "digits/full/seed0"


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path / ".work"


@pytest.fixture
def ends(monkeypatch):
    """(error or None, after=5) -> a training stores its state after every iteration, and one of them raises."""
    original = CheckpointSchedule.after_iteration

    def choose(error, after=5):
        def after_iteration(self, outcome):
            self.due = 0.0
            original(self, outcome)
            if outcome.step == after and error is not None:
                raise error

        monkeypatch.setattr(CheckpointSchedule, "after_iteration", after_iteration)

    return choose


@pytest.fixture
def interrupted(plan, data, tmp_path, work, ends):
    """A training of 8 iterations that was cut off after its fifth, when it had two of its four ticks."""
    ends(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run_cell(plan(), data=data, out=tmp_path / "runs" / NAME, name=NAME)
    return work


def test_an_interrupted_training_is_read(plan, data, tmp_path, interrupted, ends):
    (one,) = unfinished(interrupted)
    assert (one.cell, one.process, one.kimg, one.planned) == (NAME, None, 0.04, 0.064)
    assert one.seconds_left == pytest.approx(0.024 * one.seconds_per_kimg)
    ends(None)
    run_cell(plan(), data=data, out=tmp_path / "runs" / NAME, name=NAME)
    assert unfinished(interrupted) == []


def test_a_clock_that_was_put_back_since_is_no_negative_time(interrupted):
    (one,) = unfinished(interrupted)
    write_json(one.folder / "progress.json", read_json(one.folder / "progress.json") | {"updated": time.time() + 9})
    assert "  0 s ago  " in unfinished(interrupted)[0].line()


def test_a_training_without_a_checkpoint_has_a_name_and_nothing_else(work):
    with work_folder("ab" * 32, NAME, print):
        (one,) = unfinished(work)
    assert (one.cell, one.process, one.kimg, one.planned) == (NAME, f"process {os.getpid()}", 0.0, None)
    assert one.line().startswith(f"{NAME}  0.0 kimg  ") and one.line().endswith(f"at work: process {os.getpid()}")


def test_the_terminal_shows_a_line_for_each(interrupted, monkeypatch, capsys):
    with work_folder("ab" * 32, "digits/other/seed0", print):
        monkeypatch.setattr(sys, "argv", ["watch", "--text"])
        module.watch()
    full, other = capsys.readouterr().out.splitlines()
    assert full.startswith(f"{NAME}  0.0 of 0.1 kimg (62%)") and full.endswith("interrupted")
    assert other.startswith("digits/other/seed0") and other.endswith(f"at work: process {os.getpid()}")


def test_with_nothing_to_show_it_says_so(work, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["watch", "--text"])
    module.watch()
    assert "no training is at work" in capsys.readouterr().out


def test_what_another_revision_wrote_of_its_progress_is_no_obstacle(work):
    with work_folder("ab" * 32, NAME, print) as folder:
        write_json(folder / "progress.json", {"cell": NAME, "kimg": 1.5, "of": 4.0, "history": [], "updated": 1.0})
        (one,) = unfinished(work)
    assert (one.cell, one.kimg, one.planned) == (NAME, 1.5, None)


def test_tensorboard_is_started_on_the_folder_of_the_curves(work, monkeypatch):
    started = []
    monkeypatch.setattr(
        module.subprocess, "run", lambda command: started.append(command) or type("", (), {"returncode": 0})
    )
    monkeypatch.setattr(sys, "argv", ["watch", "--port", "0"])
    module.watch()
    (command,) = started
    assert command[:3] == [sys.executable, "-m", "tensorboard.main"] and command[-1] != "0.0.0.0"
    assert (
        command[command.index("--logdir") + 1] == str(work / "events") and command[command.index("--port") + 1] == "0"
    )
    assert (work / "events").is_dir()


@pytest.mark.parametrize("port", ["taken", "99999", "six"])
def test_a_port_that_cannot_be_is_one_line_and_no_tensorboard(work, monkeypatch, capsys, port):
    monkeypatch.setattr(module.subprocess, "run", lambda command: pytest.fail("TensorBoard began"))
    with socket.create_server(("localhost", 0)) as server:
        port = str(server.getsockname()[1]) if port == "taken" else port
        monkeypatch.setattr(sys, "argv", ["watch", "--port", port])
        with pytest.raises(SystemExit):
            module.watch()
    error = capsys.readouterr().err
    assert error.startswith(f"error: --port: given {port}; allowed: ") and error.count("\n") == 1
