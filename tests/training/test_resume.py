"""A training that is cut off anywhere, any number of times, ends in the same bytes as one that never was."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest
import torch

from pipeline.base.errors import UserError
from pipeline.base.files import read_json
from pipeline.base.schema import dump
from pipeline.runs import run as module
from pipeline.runs.checkpoint_schedule import CheckpointSchedule
from pipeline.runs.run import run_cell
from pipeline.runs.work_dirs import read_record, record_folder
from runs import content, work_dirs

ROOT = Path(__file__).parent.parent.parent
# What may change the numbers a step draws, or what it leaves behind: each of these is cut off and resumed.
SETTINGS = {
    "plain": {},
    "several critic steps": {"critic_steps": 2, "penalty_interval": 3, "lr_decay": True},
    "ticks apart": {"ticks": 1, "snapshots": 3},
    "bf16": {"precision": "bf16"},
    "bf16 in parts, computed again": {"precision": "bf16", "accumulate": 2, "recompute": True},
}


class Cut(Exception):
    """The end of a process, as a test plays it: nothing is stored, nothing is tidied up."""


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path / ".work"


@pytest.fixture
def cut_after(monkeypatch):
    """(iterations, stored every so many) -> trainings end after so many iterations of a sitting; None: never."""
    original = CheckpointSchedule.after_iteration

    def choose(iterations, every=1):
        done = [0]

        def after_iteration(self, outcome):
            done[0] += 1
            self.due = 0.0 if outcome.step % every == 0 else float("inf")
            original(self, outcome)
            if done[0] == iterations:
                raise Cut

        monkeypatch.setattr(CheckpointSchedule, "after_iteration", after_iteration)

    return choose


@pytest.mark.parametrize(
    ("changes", "every"),
    [(changes, 1) for changes in SETTINGS.values()] + [({}, 3)],
    ids=[*SETTINGS, "stored now and then"],
)
def test_cut_off_after_every_few_iterations(plan, data, tmp_path, work, cut_after, changes, every):
    settings = plan(**{"kimg": 0.08} | changes)
    run_cell(settings, data=data, out=tmp_path / "whole/digits/full/seed0", name="whole")
    out, cuts = tmp_path / "cut/digits/full/seed0", 0
    while not (out / "run.json").is_file():
        cut_after((2, 1, 4, 3)[cuts % 4] + every - 1, every)
        try:
            run_cell(settings, data=data, out=out, name="cut")
        except Cut:
            cuts += 1
    assert cuts >= 2 and content(out) == content(tmp_path / "whole/digits/full/seed0")
    key = read_json(out / "run.json")["key"]
    assert len(read_record(key)["resumed_at_kimg"]) >= cuts - 1
    rows = [line.split(",")[0] for line in (record_folder(key) / "machine.csv").read_text().splitlines()]
    assert rows == [line.split(",")[0] for line in (out / "history.csv").read_text().splitlines()]
    assert work_dirs(work) == []


@pytest.mark.parametrize(
    "variant",
    ["standard_attention", "nystrom_attention", "batch_norm", "augment_color", "wgan_gp", "sngan", "stylegan2"],
)
def test_other_networks_cut_off_once(params, plan, data, tmp_path, work, cut_after, variant):
    settings = plan(variant, kimg=0.04)
    run_cell(settings, data=data, out=tmp_path / "whole/digits/x/seed0", name="whole")
    out = tmp_path / "cut/digits/x/seed0"
    cut_after(3)
    with pytest.raises(Cut):
        run_cell(settings, data=data, out=out, name="cut")
    cut_after(None)
    run_cell(settings, data=data, out=out, name="cut")
    assert content(out) == content(tmp_path / "whole/digits/x/seed0")


def test_a_changed_setting_finds_no_state(plan, data, tmp_path, work, cut_after, capsys):
    cut_after(3)
    with pytest.raises(Cut):
        run_cell(plan(), data=data, out=tmp_path / "runs/digits/full/seed0", name="cell")
    cut_after(None)
    run_cell(plan(drift_weight=0.002), data=data, out=tmp_path / "runs/digits/full/seed0", name="cell")
    assert "resumed" not in capsys.readouterr().out
    assert len(work_dirs(work)) == 1  # the first one's, for whoever goes back to it


def test_a_run_that_diverged_is_resumed_as_one_that_diverged(plan, data, tmp_path, work, cut_after):
    settings = plan(lr=1e30)
    run_cell(settings, data=data, out=tmp_path / "whole/digits/full/seed0", name="whole")
    out = tmp_path / "cut/digits/full/seed0"
    for iterations in (1, 1):  # the second one is cut off after it had diverged
        cut_after(iterations)
        with pytest.raises(Cut):
            run_cell(settings, data=data, out=out, name="cut")
    cut_after(None)
    assert run_cell(settings, data=data, out=out, name="cut")["status"] == "diverged"
    assert content(out) == content(tmp_path / "whole/digits/full/seed0")


def test_the_same_training_in_flight_for_another_cell_is_waited_for_and_copied(
    plan, data, tmp_path, work, monkeypatch, capsys
):
    original, records = CheckpointSchedule.after_iteration, []
    twin = Thread(
        target=lambda: records.append(run_cell(plan(), data=data, out=tmp_path / "runs/digits/mine/seed0", name="mine"))
    )

    def after_iteration(self, outcome):
        original(self, outcome)
        if outcome.step == 2:
            twin.start()
            while "waited for" not in capsys.readouterr().out:
                time.sleep(0.01)

    monkeypatch.setattr(CheckpointSchedule, "after_iteration", after_iteration)
    run_cell(plan(), data=data, out=tmp_path / "runs/digits/full/seed0", name="full")
    twin.join(timeout=60)
    assert records[0]["copied_from"] == "digits/full/seed0"
    assert content(tmp_path / "runs/digits/mine/seed0") == content(tmp_path / "runs/digits/full/seed0")
    assert work_dirs(work) == []


# ---- the end of a run ----
def test_files_that_cannot_be_written_cost_no_training(plan, data, tmp_path, work, cut_after, monkeypatch):
    out = tmp_path / "runs/digits/full/seed0"

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.runs.run.save_weights", full)
        with pytest.raises(
            UserError,
            match=r"could not be written; the training is complete and kept, "
            r"once that is mended the same command writes it \(.*No space left",
        ) as error:
            run_cell(plan(), data=data, out=out, name="cell")
    assert "\n" not in str(error.value)
    cut_after(1)  # any iteration would raise
    assert run_cell(plan(), data=data, out=out, name="cell")["status"] == "ok"


def test_a_run_whose_starter_is_gone_is_kept_until_it_is_asked_for_again(
    plan, data, tmp_path, work, cut_after, monkeypatch, capsys
):
    out, parents = tmp_path / "runs/digits/full/seed0", iter([100, 1])
    with monkeypatch.context() as patch:
        patch.setattr(module.os, "getppid", lambda: next(parents))
        run_cell(plan(), data=data, out=out, name="cell")
    assert "started this training is gone" in capsys.readouterr().out
    before = content(out)
    shutil.rmtree(out)  # as dvc does before it runs a stage
    cut_after(1)
    run_cell(plan(), data=data, out=out, name="cell")
    assert content(out) == before and work_dirs(work) == []


@pytest.mark.parametrize("variant", ["full", "sngan", "stylegan2"])
def test_too_little_memory_halfway_keeps_the_state_for_another_try(plan, data, tmp_path, work, monkeypatch, variant):
    original = CheckpointSchedule.after_iteration

    def after_iteration(self, outcome):
        self.due = 0.0
        original(self, outcome)
        if outcome.step == 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointSchedule, "after_iteration", after_iteration)
        record = run_cell(plan(variant), data=data, out=tmp_path / "runs/digits/x/seed0", name="cell")
    assert (record["status"], record["bytes_asked"], record["batch_discriminator"]) == ("oom", 2**31, 8)
    assert run_cell(plan(variant), data=data, out=tmp_path / "runs/digits/x/seed0", name="cell")["resumed_at_kimg"] == [
        0.024
    ]


# ---- real processes, really killed ----
TRAINER = """
from pipeline.base.errors import command_line
from pipeline.runs.run import run_cell
from pipeline.base.schema import bind, read_yaml
from pipeline.training.config import TrainPlan

def main():
    plan = bind(TrainPlan, read_yaml("plan.yaml"), file="plan.yaml")
    run_cell(plan, data="data/digits", out="runs/digits/full/seed0", name="digits/full/seed0")

command_line(main)()
"""


@pytest.fixture
def trainer(plan, data, tmp_path):
    """() -> a process that trains for some seconds in a folder of its own, storing its state all the time."""
    (tmp_path / "plan.yaml").write_text(dump(plan(kimg=0.8, ticks=20)))
    shutil.copytree(data, tmp_path / "data/digits")
    environment = os.environ | {"DVC_ROOT": str(tmp_path), "CHECKPOINT_SECONDS": "0", "PYTHONPATH": str(ROOT)}

    def start():
        return subprocess.Popen(
            [sys.executable, "-c", TRAINER],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def until_said(process, text):
    """Read what the process says until a line has `text`; returns all of it."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    pytest.fail("".join(lines) + process.stderr.read())


def test_a_stopped_training_with_a_torn_checkpoint_goes_on(plan, data, tmp_path, trainer, work):
    process = trainer()
    until_said(process, ": 0.8 kimg\n")
    while not list(tmp_path.glob(".work/*/step-*.json")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 1 and error.count("\n") == 1, out + error
    assert "stopped by SIGTERM at" in error and "the same command goes on from there" in error
    newest = max(tmp_path.glob(".work/*/step-*.pt"))
    newest.write_bytes(newest.read_bytes()[:1000])
    out, error = trainer().communicate(timeout=120)
    assert "checkpoint not used" in out and "resumed at" in out and not error
    whole = run_cell(plan(kimg=0.8, ticks=20), data=data, out=tmp_path / "whole/digits/full/seed0", name="whole")
    assert whole["resumed_at_kimg"] == [] and content(tmp_path / "runs/digits/full/seed0") == content(
        tmp_path / "whole/digits/full/seed0"
    )
