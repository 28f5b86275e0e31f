"""When a state is stored, and how a training is stopped."""

import io
import os
import signal
import time

import pytest
import torch

from pipeline.base.errors import UserError
from pipeline.base.files import read_json
from pipeline.runs import checkpoint_schedule as module
from pipeline.runs.checkpoint_schedule import CheckpointSchedule, Progress, explain_disk_error, least_seconds
from pipeline.training.loop import train

CPU = torch.device("cpu")


@pytest.fixture
def schedule(tmp_path, plan):
    """(least seconds between checkpoints) -> the checkpoint schedule of a training of 8 iterations of 8 images."""

    def make(least=1000.0):
        one = CheckpointSchedule(tmp_path, plan(), CPU, "cell", io.StringIO())
        one.least, one.due = least, time.monotonic() + least
        return one

    return make


def saved(folder):
    return [int(path.stem.removeprefix("step-")) for path in sorted(folder.glob("step-*.json"))]


# ---- the interval ----
@pytest.mark.parametrize(
    ("cost", "least", "expected"), [(0.01, 20.0, 20.0), (0.5, 20.0, 50.0), (3.0, 20.0, 300.0), (0.01, 0.0, 1.0)]
)
def test_the_next_checkpoint_waits_a_hundred_times_what_the_last_one_cost(schedule, monkeypatch, cost, least, expected):
    clock = [500.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(module, "capture", lambda *_: {})
    monkeypatch.setattr(module, "save", lambda *_, **__: clock.__setitem__(0, clock[0] + cost))
    nothing = {"history": [], "machine": [], "grids": [], "grids_kimg": [], "seconds": 0.0}
    outcome, one = type("Outcome", (), {"step": 1, **nothing})(), schedule(least=least)
    assert one.due == 500.0 + least
    one.save(outcome)
    assert one.due == pytest.approx(500.0 + cost + expected)


def test_nothing_is_stored_before_its_time(schedule, plan, images, tmp_path):
    one = schedule()
    train(plan(), images, CPU, one)
    assert saved(tmp_path) == []


def test_storing_after_every_iteration_changes_nothing(schedule, plan, images, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SHARE", float("inf"))
    one = schedule(least=0.0)
    often = train(plan(), images, CPU, one)
    never = train(plan(), images, CPU, Progress("cell", io.StringIO()))
    assert saved(tmp_path) == [7, 8] and often.history == never.history
    for name in ("generator", "ema", "discriminator"):
        ours, theirs = (getattr(outcome.networks, name).state_dict() for outcome in (often, never))
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize(("given", "expected"), [(None, 20.0), ("0", 0.0), ("2.5", 2.5)])
def test_the_least_interval_is_the_environments(monkeypatch, given, expected):
    monkeypatch.setenv("CHECKPOINT_SECONDS", given) if given else monkeypatch.delenv(
        "CHECKPOINT_SECONDS", raising=False
    )
    assert least_seconds() == expected


@pytest.mark.parametrize("given", ["", "soon", "-1", "nan", "inf"])
def test_an_interval_that_is_none_is_refused(monkeypatch, given):
    monkeypatch.setenv("CHECKPOINT_SECONDS", given)
    with pytest.raises(UserError, match="CHECKPOINT_SECONDS: given .*; allowed: least seconds"):
        least_seconds()


# ---- what others see ----
def test_others_see_how_far_a_training_is(schedule, plan, images, tmp_path):
    train(plan(), images, CPU, schedule())
    seen = read_json(tmp_path / "progress.json")
    assert (seen["cell"], seen["kimg"], seen["planned"]) == ("cell", 0.064, 0.064)
    assert seen["seconds_per_kimg"] > 0 and seen["seconds_left"] == 0


def test_a_disk_that_refuses_progress_does_not_end_the_training(schedule, plan, images, tmp_path):
    (tmp_path / "progress.json").mkdir()
    assert train(plan(), images, CPU, schedule()).status == "ok"


# ---- signals ----
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_training_after_its_iteration_stored(schedule, plan, images, tmp_path, number):
    one, before = schedule(), signal.getsignal(number)
    after_iteration = one.after_iteration

    def interrupted(outcome):
        if outcome.step == 3:
            os.kill(os.getpid(), number)
        after_iteration(outcome)

    one.after_iteration = interrupted

    with (
        pytest.raises(
            UserError,
            match=rf"cell: stopped by {number.name} at 0\.0 of 0\.1 kimg, its state is stored; "
            "the same command goes on from there",
        ),
        one.stoppable(),
    ):
        train(plan(), images, CPU, one)
    assert saved(tmp_path) == [3] and signal.getsignal(number) == before


def test_a_second_signal_ends_it_at_once(schedule):
    one = schedule()
    with pytest.raises(KeyboardInterrupt), one.stoppable():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_two_different_signals_are_one_event(schedule):
    one = schedule()
    with one.stoppable():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
    assert one.signals[0] == signal.SIGTERM


def test_a_signal_that_is_ignored_stays_ignored(schedule):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        one = schedule()
        with one.stoppable():
            os.kill(os.getpid(), signal.SIGHUP)
        assert not one.signals
    finally:
        signal.signal(signal.SIGHUP, before)


# ---- what the disk refuses ----
def test_a_refusal_is_one_line_that_says_what_becomes_of_it(schedule, plan, images, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "save", full)
    one = schedule(least=0.0)
    with pytest.raises(
        UserError,
        match=r"the checkpoint at 0\.0 kimg could not be written; .* goes on from the one before "
        r"\(.*No space left on device\)",
    ) as error:
        train(plan(), images, CPU, one)
    assert "\n" not in str(error.value)


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError), explain_disk_error("never mind"):
        raise ZeroDivisionError
