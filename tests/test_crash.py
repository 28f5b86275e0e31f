"""Real `dvc repro` runs, killed at random moments and started again, end in the bytes of a training that was never
killed.
"""

import contextlib
import itertools
import os
import random
import re
import signal
import time
from pathlib import Path

import pytest

from pipeline.base.files import read_json
from pipeline.base.schema import bind, read_yaml
from pipeline.runs.run import run_cell
from pipeline.training.config import TrainPlan
from repository import Repository
from runs import content, work_dirs

pytestmark = pytest.mark.pipeline
STAGE, RUN = "train@digits-full-0", Path("runs/digits/full/seed0")
AGAIN = ("repro", "--force", "--no-run-cache", "--single-item", STAGE)  # trained again, however often it was before
TRAINING = re.compile(r"^train: digits/full/seed0: [\d.,]+ kimg$", re.MULTILINE)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository whose one training takes some seconds, ready to train."""
    repository = Repository(tmp_path_factory.mktemp("repository"))
    small = {"kimg": 1.44, "ticks": 20, "snapshots": 5, "batch_discriminator": 8, "batch_generator": 8}
    repository.edit(
        profile="smoke",
        matrix__variants=["full"],
        matrix__seeds=[0],
        **{f"conf/profile/smoke.yaml:train.{key}": value for key, value in small.items()},
    )
    code, output = repository.dvc("repro", "prepare@digits")
    assert code == 0, output
    repository.commit("ready to train")
    return repository


@pytest.fixture(scope="module")
def whole(repository, tmp_path_factory):
    """What a training that nobody disturbs leaves."""
    plan, out = repository.folder / "plan/train/digits/full/seed0.yaml", tmp_path_factory.mktemp("whole") / RUN
    run_cell(
        bind(TrainPlan, read_yaml(plan), file=str(plan)), data=repository.folder / "data/digits", out=out, name="whole"
    )
    return content(out)


class Attempt:
    """One `dvc repro` that is not left in peace."""

    numbers = itertools.count()

    def __init__(self, repository: Repository, *arguments: str):
        self.repository, self.log = (
            repository,
            repository.folder.parent / f"{repository.folder.name}.{next(self.numbers)}.log",
        )
        self.process = repository.start(*arguments, log=self.log, CHECKPOINT_SECONDS="0")

    def trains(self) -> bool:
        """Wait until iterations run; whether they do (False: it is all over)."""
        while not TRAINING.search(self.log.read_text()):
            if self.process.poll() is not None:
                return False
            time.sleep(0.05)
        return True

    def stored(self) -> bool:
        """Wait until a checkpoint is there, which a busy machine takes seconds for; whether there is one."""
        while not list(self.repository.folder.glob(".work/*/step-*.json")):
            if self.process.poll() is not None:
                return False
            time.sleep(0.05)
        return True

    def trainer(self) -> int | None:
        """The process that holds the cell."""
        for path in self.repository.folder.glob(".work/cells/*.lock"):
            if found := re.match(r"process (\d+)", path.read_text()):
                return int(found[1])
        return None

    def kill(self, who: str) -> None:
        """trainer | dvc | both (SIGKILL) | terminate (SIGTERM to the trainer) | interrupt (Ctrl-C: SIGINT to the whole
        group).
        """
        trainer = self.trainer()
        if who in ("dvc", "both"):
            self.process.kill()
        if who in ("trainer", "both", "terminate") and trainer:
            send(trainer, signal.SIGTERM if who == "terminate" else signal.SIGKILL)
        if who == "interrupt":
            os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(timeout=120)

    def end(self) -> str:
        self.process.wait(timeout=300)
        return self.log.read_text()


def send(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def gone(process: int) -> None:
    """Wait until a process that is not our child has ended."""
    for _ in range(2400):
        try:
            if Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return
        except FileNotFoundError:
            return
        time.sleep(0.05)
    pytest.fail(f"process {process} did not end")


def test_killed_trainer_killed_dvc_and_both_at_once(repository, whole):
    chance = random.Random(0)
    for who in ("trainer", "dvc", "both"):
        attempt = Attempt(repository, "repro", STAGE)
        assert attempt.trains() and attempt.stored(), attempt.end()
        time.sleep(chance.uniform(0.3, 1.2))
        trainer = attempt.trainer()
        attempt.kill(who)
        assert attempt.process.returncode != 0 and not (repository.folder / RUN).exists()
        if who == "dvc":  # the trainer goes on, and holds its cell; halted, so that it cannot reach its end meanwhile
            send(trainer, signal.SIGSTOP)
            output = Attempt(repository, "repro", STAGE).end()
            assert f"is being trained by process {trainer} (digits/full/seed0)" in output and "Traceback" not in output
            send(trainer, signal.SIGKILL)
        gone(trainer)
    code, output = repository.dvc("repro", STAGE)
    assert code == 0 and "resumed at" in output, output
    assert content(repository.folder / RUN) == whole
    key = read_json(repository.folder / RUN / "run.json")["key"]
    assert read_json(repository.folder / ".work" / "records" / key / "record.json")["resumed_at_kimg"]
    assert not work_dirs(repository.folder / ".work")
    code, output = repository.dvc("status", STAGE)
    assert "up to date" in output


@pytest.mark.nightly
def test_killed_at_random_moments_twenty_times_and_more(repository, whole, capsys):
    chance, kills, finished = random.Random(1), {}, 0
    assert not work_dirs(repository.folder / ".work"), "left by the test before"
    while sum(kills.values()) < 24 or not finished:
        attempt = Attempt(repository, *AGAIN)
        who = chance.choice(["trainer", "dvc", "both", "terminate", "interrupt"])
        if chance.random() < 0.2:  # anywhere in the start: DVC's own work, imports, reading
            time.sleep(chance.uniform(0.5, 5.0))
            who = "both"
        elif attempt.trains():
            time.sleep(chance.uniform(0.0, 2.5))
        trainer = attempt.trainer()
        if attempt.process.poll() is None:
            attempt.kill(who)
            kills[who] = kills.get(who, 0) + 1
        if who == "dvc" and trainer and chance.random() < 0.7:
            # Refused, unless the trainer has just ended: then what it left is taken over.
            attempt = Attempt(repository, *AGAIN)
            assert "is being trained by process" in attempt.end() or attempt.process.returncode == 0, attempt.end()
            send(trainer, signal.SIGKILL)  # otherwise it goes on to its end, unrecorded, and its state is kept
        if trainer:
            gone(trainer)
        if attempt.process.returncode == 0:
            finished += 1
            assert content(repository.folder / RUN) == whole, f"after {kills}"
    code, output = repository.dvc(*AGAIN)
    assert code == 0 and content(repository.folder / RUN) == whole
    with capsys.disabled():
        print(f"\n{sum(kills.values())} kills ({kills}), {finished + 1} trainings ended, every one in the same bytes")
