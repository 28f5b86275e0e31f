"""Several processes on one cell, started: what they leave, and that every end is one line and keeps the state."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline.base.errors import UserError
from pipeline.base.files import read_json
from pipeline.base.schema import dump
from pipeline.runs import processes
from pipeline.runs.job import Job, run_key
from pipeline.runs.run import run_cell
from runs import content

ROOT = Path(__file__).parent.parent.parent
NAME = "digits/full/seed0"
LONG = {"kimg": 0.48, "ticks": 30}


@pytest.fixture
def start(tmp_path, data):
    """(plan) -> a train stage on the cell of this test, ended with it."""
    started = []

    def begin(plan) -> Stage:
        started.append(Stage(tmp_path, plan, data))
        return started[-1]

    yield begin
    for stage in started:
        stage.process.kill()  # its members notice, store their state and end


class Stage:
    """A train stage in a process of its own."""

    def __init__(self, folder: Path, plan, data: Path):
        self.work, self.out = folder / ".work", folder / "runs/digits/full/seed0"
        file = folder / f"plan{plan.train.processes}.yaml"
        file.write_text(dump(plan))
        environment = os.environ | {
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
            "DVC_ROOT": str(folder),
            "CHECKPOINT_SECONDS": "0",
            "OMP_NUM_THREADS": "1",
        }
        self.log = folder / f"log{len(list(folder.glob('log*')))}"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "tests/several.py"), str(file), str(data), str(self.out), NAME],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def stored(self) -> bool:
        return bool(list(self.work.glob("*/step-*.json")))

    def begin(self) -> None:
        """Wait until a checkpoint is there."""
        self.wait_for(self.stored)

    def wait_for(self, condition) -> None:
        limit = time.monotonic() + 300  # seconds; a busy machine takes a minute to start three processes
        while not condition():
            assert self.process.poll() is None and time.monotonic() < limit, self.said()
            time.sleep(0.02)

    def member(self, number: int) -> int:
        """The process that is this member."""
        (lock,) = self.work.glob(f"*/process-{number}.lock")
        return int(re.match(r"process (\d+)", lock.read_text())[1])

    def end(self) -> str:
        self.process.wait(timeout=300)
        return self.said()

    def record(self):
        return read_json(self.work / "records" / read_json(self.out / "run.json")["key"] / "record.json")

    def said(self) -> str:
        return self.log.read_text()


def errors(output: str) -> list[str]:
    """Whatever is not a line of progress."""
    return [line for line in output.splitlines() if not line.startswith("train: ")]


def test_two_processes_leave_what_one_leaves(plan, data, start, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    alone, both = tmp_path / "alone/full/seed0", tmp_path / "runs/digits/full/seed0"
    run_cell(plan(), data=data, out=alone, name=NAME)
    stage = start(plan(processes=2))
    assert not errors(stage.end()) and stage.process.returncode == 0
    assert content(alone).keys() == content(both).keys()
    for name in ("generator", "generator_ema", "discriminator"):
        ours, theirs = (load_file(run / f"{name}.safetensors") for run in (both, alone))
        flat = [torch.cat([tensor.flatten() for tensor in tensors.values()]) for tensors in (ours, theirs)]
        assert (flat[0] - flat[1]).norm() < 1e-3 * flat[1].norm()
    assert read_json(both / "run.json") == read_json(alone / "run.json")
    record = stage.record()
    assert record["processes"] == [[0.0, 2]] and record["peak_memory_mib"] > 10
    assert not [folder for folder in stage.work.iterdir() if folder.name not in ("cells", "events", "records")]


def test_ended_in_every_way_it_goes_on_and_with_another_number_too(plan, start):
    """SIGTERM to the stage, a killed member, a killed stage; then one process goes on, and two again to the end."""
    two = plan(processes=2, **LONG)

    stage = start(two)
    stage.begin()
    stage.process.send_signal(signal.SIGTERM)
    (line,) = errors(stage.end())
    assert re.fullmatch(
        rf"error: {NAME}: stopped by SIGTERM at [\d.]+ of 0.5 kimg, "
        r"its state is stored; the same command goes on from there",
        line,
    )

    stage = start(two)
    stage.wait_for(lambda: "resumed at" in stage.said())
    os.kill(stage.member(1), signal.SIGKILL)
    (line,) = errors(stage.end())
    assert line == (
        f"error: {NAME}: process 1 of 2 was killed by SIGKILL and the others were ended; "
        "its last checkpoint is kept, the same command goes on from there"
    )

    stage = start(two)
    stage.wait_for(lambda: "resumed at" in stage.said())
    stage.process.kill()
    stage.process.wait()  # its members end after their iteration, without anybody to tell

    stage = start(plan(**LONG))  # one process
    stage.wait_for(lambda: "resumed at" in stage.said())
    assert ", by 1 process where it was 2 before" in stage.said()
    time.sleep(0.5)
    stage.process.send_signal(signal.SIGTERM)
    stage.end()

    stage = start(two)
    output = stage.end()
    assert stage.process.returncode == 0 and not errors(output), output
    assert ", by 2 processes where it was 1 before" in output
    record = stage.record()
    assert [number for _, number in record["processes"]] == [2, 1, 2]
    assert record["processes"][0][0] == 0 < record["processes"][1][0] < record["processes"][2][0]


def test_a_run_that_diverges_ends_all_processes(plan, start):
    stage = start(plan(processes=2, lr=1e30, clip_norm=None))
    output = stage.end()
    assert stage.process.returncode == 0 and not errors(output), output
    assert read_json(stage.out / "run.json")["status"] == "diverged"


def test_the_number_of_processes_is_no_part_of_the_key(plan):
    key = run_key(plan(), "images", torch.device("cpu"))
    assert run_key(plan(processes=2), "images", torch.device("cpu")) == key
    assert run_key(plan(threads=2), "images", torch.device("cpu")) != key


@pytest.mark.parametrize(
    ("notes", "codes", "found"),
    [
        ([{"done": True}], {1: 75}, None),
        (
            [{"lost": "Connection closed by peer"}, {"shortage": {"detail": "too little"}}],
            {1: 1, 0: 75},
            {"detail": "too little"},
        ),
        ([{"error": "disk full"}], {0: 1}, "disk full"),
        ([], {0: 75, 1: -9}, "cell: process 1 of 2 was killed by SIGKILL and the others were ended; no checkpoint"),
        ([], {0: 75, 1: 1}, r"cell: process 1 of 2 failed \(exit status 1\)"),
        ([], {1: 1, 0: -6}, r"cell: process 1 of 2 failed \(exit status 1\)"),  # NCCL then aborts the others
        (
            [{"lost": "NCCL error: no space left"}] * 2,
            {1: 75, 0: 75},
            r"cell: process 1 of 2 failed \(NCCL error: no space left\)",
        ),
    ],
)
def test_what_became_of_it_is_said_by_whoever_was_first(plan, notes, codes, found, tmp_path):
    job = Job(name="cell", plan=plan(processes=2), data=tmp_path, out=tmp_path, work=tmp_path, key="ab", parts=1)
    if isinstance(found, str):
        with pytest.raises(UserError, match=found):
            processes._verdict(codes, notes, job)
    else:
        assert processes._verdict(codes, notes, job) == found
