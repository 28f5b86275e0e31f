"""Trainings side by side: all are tried, a failure is told at the end, Ctrl-C begins no other one."""

import os
import signal
import time
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from pipeline import repro
from pipeline.errors import UserError

NAMES = ["plan", "prepare@digits", "reference@digits", *(f"train@digits-{variant}-0" for variant in "abcd"), "report"]


@pytest.fixture
def calls(monkeypatch):
    """A repository in which everything has changed; returns what dvc was asked for."""
    made = []
    stages = [SimpleNamespace(addressing=name) for name in NAMES]
    monkeypatch.setattr(
        repro,
        "Repo",
        lambda: nullcontext(SimpleNamespace(status=lambda: {"changed": 1}, index=SimpleNamespace(stages=stages))),
    )
    monkeypatch.setattr(repro, "dvc", lambda *arguments: made.append(arguments))
    return made


def test_what_trainings_need_comes_first_and_everything_else_last(calls):
    repro.reproduce(jobs=2)
    assert calls[:2] == [("repro", "plan"), ("repro", "reference@digits")] and calls[-1] == ("repro",)
    assert sorted(call[-1] for call in calls[2:-1]) == NAMES[3:7] and all(
        call[:3] == ("--wait-for-lock", "repro", "--single-item") for call in calls[2:-1]
    )


def test_a_failure_stops_no_other_training_and_is_told(calls, monkeypatch):
    def dvc(*arguments):
        calls.append(arguments)
        if arguments[-1] == "train@digits-a-0":
            raise UserError("it failed")

    monkeypatch.setattr(repro, "dvc", dvc)
    with pytest.raises(UserError, match="it failed"):
        repro.reproduce(jobs=2)
    assert {call[-1] for call in calls} >= set(NAMES[3:7]) and calls[-1] != ("repro",)


def test_ctrl_c_begins_no_other_training(calls, monkeypatch):
    def dvc(*arguments):
        calls.append(arguments)
        if arguments[-1].startswith("train"):
            time.sleep(0.3)
        if arguments[-1] == "train@digits-a-0":
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)

    monkeypatch.setattr(repro, "dvc", dvc)
    with pytest.raises(KeyboardInterrupt):
        repro.reproduce(jobs=2)
    assert not {"train@digits-d-0", "repro"} & {call[-1] for call in calls}
