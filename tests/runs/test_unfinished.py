"""What is known of an unfinished training, as data and as lines of a terminal, and of a command at its end."""

import os
import sys
import time

import pytest

from pipeline.base.files import read_json, write_json
from pipeline.runs import watch
from pipeline.runs.checkpoint_schedule import CheckpointSchedule
from pipeline.runs.run import run_cell
from pipeline.runs.unfinished import sparkline, unfinished
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


def test_an_interrupted_training_is_read_with_its_history(plan, data, tmp_path, interrupted, ends):
    (one,) = unfinished(interrupted)
    assert (one.cell, one.process, one.kimg, one.planned) == (NAME, None, 0.04, 0.064)
    assert [row["step"] for row in one.history] == [2, 4] and len(one.machine) == 2
    assert one.seconds_left == pytest.approx(0.024 * one.machine[-1]["sec_per_kimg"])
    ends(None)
    run_cell(plan(), data=data, out=tmp_path / "runs" / NAME, name=NAME)
    assert unfinished(interrupted) == []


def test_progress_written_between_two_checkpoints_counts(interrupted):
    (before,) = unfinished(interrupted)
    live = {
        "cell": NAME,
        "kimg": 0.048,
        "of": 0.064,
        "s_per_kimg": 2.0,
        "seconds_left": 1.0,
        "updated": time.time() + 9,
    }
    write_json(before.folder / "progress.json", live)
    (one,) = unfinished(interrupted)
    assert (one.kimg, one.seconds_per_kimg, one.updated) == (0.048, 2.0, live["updated"])
    assert one.seconds_left == pytest.approx(0.032)
    assert "  0 s ago  " in one.line()  # the clock was put back since


def test_a_training_without_a_checkpoint_has_a_name_and_nothing_else(work):
    with work_folder("ab" * 32, NAME, print):
        (one,) = unfinished(work)
    assert (one.cell, one.process, one.kimg, one.planned, one.history) == (
        NAME,
        f"process {os.getpid()}",
        0.0,
        None,
        [],
    )
    assert one.line().startswith(f"{NAME}  0.0 kimg  ") and one.line().endswith(f"at work: process {os.getpid()}")


def test_a_checkpoint_that_cannot_be_read_is_passed_over(interrupted):
    newest = max(interrupted.glob("*/step-*.json"))
    newest.write_text(newest.read_text()[:100])
    assert unfinished(interrupted)[0].kimg == 0.032


def test_the_terminal_shows_a_line_for_each(interrupted, monkeypatch, capsys):
    with work_folder("ab" * 32, "digits/other/seed0", print):
        monkeypatch.setattr(sys, "argv", ["watch", "--text"])
        watch.main()
    full, other = capsys.readouterr().out.splitlines()
    assert full.startswith(f"{NAME}  0.0 of 0.1 kimg  62%") and full.endswith("interrupted")
    assert other.startswith("digits/other/seed0") and other.endswith(f"at work: process {os.getpid()}")


def test_with_nothing_to_show_it_says_so_and_a_wrong_interval_is_refused(work, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["watch", "--text"])
    watch.main()
    assert "no training is at work" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["watch", "--text", "--every", "0"])
    with pytest.raises(SystemExit):
        watch.main()
    assert capsys.readouterr().err == "error: --every: given 0; allowed: seconds, more than 0\n"


def test_tensorboard_is_started_on_the_folder_of_the_curves(work, monkeypatch):
    started = []
    monkeypatch.setattr(
        watch.subprocess, "run", lambda command: started.append(command) or type("", (), {"returncode": 0})
    )
    monkeypatch.setattr(sys, "argv", ["watch", "--port", "7007"])
    watch.main()
    (command,) = started
    assert command[:3] == [sys.executable, "-m", "tensorboard.main"] and command[-1] != "0.0.0.0"
    assert command[command.index("--logdir") + 1] == str(work / "events") and "7007" in command
    assert (work / "events").is_dir()


@pytest.mark.parametrize(
    ("values", "expected"), [([0.0, 1.0], "▁█"), ([2.0, 2.0], "▁▁"), ([float(i) for i in range(48)], None)]
)
def test_a_sparkline_goes_from_the_least_to_the_largest(values, expected):
    drawn = sparkline(values)
    assert drawn == (expected or drawn) and len(drawn) <= 24
    assert list(drawn) == sorted(drawn)


# ---- the command at the end ----
COMMAND = 'printf "%s|%s|%s|%s\\n" "$TRANSGAN_CELL" "$TRANSGAN_STATUS" "$TRANSGAN_KIMG" "$TRANSGAN_DETAIL" >> told'


@pytest.fixture
def told(tmp_path, monkeypatch):
    """() -> what the command of TRANSGAN_NOTIFY was told, split at the bars."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRANSGAN_NOTIFY", COMMAND)
    return lambda: [line.split("|") for line in (tmp_path / "told").read_text().splitlines()]


def test_the_end_of_a_training_is_told(plan, data, tmp_path, work, told):
    run_cell(plan(), data=data, out=tmp_path / "runs" / NAME, name=NAME)
    run_cell(plan(lr=1e30), data=data, out=tmp_path / "runs/digits/wild/seed0", name="wild")
    full, wild = told()
    assert full == [NAME, "ok", "0.064", ""]
    assert wild[:3] == ["wild", "diverged", "0"] and "not finite" in wild[3]


def test_failures_and_interruptions_are_told_and_raised(plan, data, tmp_path, work, ends, told):
    for error, status in ((ValueError("two\nlines"), "failed"), (KeyboardInterrupt(), "stopped")):
        ends(error)
        with pytest.raises(type(error)):
            run_cell(plan(), data=data, out=tmp_path / "runs" / NAME, name=NAME)
        for path in work.glob("*/step-*"):
            path.unlink()
        assert told()[-1][:3] == [NAME, status, "0.032"]
    assert told()[0][3] == "two lines"


@pytest.mark.parametrize("command", ["exit 3", "no-such-command-anywhere", "sleep 20"])
def test_a_command_that_fails_fails_no_training(plan, data, tmp_path, work, monkeypatch, capfd, command):
    monkeypatch.setenv("TRANSGAN_NOTIFY", command)
    monkeypatch.setattr("pipeline.runs.record.NOTIFY_SECONDS", 0.5)
    assert run_cell(plan(), data=data, out=tmp_path / "runs" / NAME, name=NAME)["status"] == "ok"
    assert read_json(tmp_path / "runs" / NAME / "run.json")["status"] == "ok"
    assert f"train: {NAME}: TRANSGAN_NOTIFY: " in capfd.readouterr().out
