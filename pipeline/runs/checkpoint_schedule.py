"""What a person sees while a cell trains, when its state is stored, and how it is stopped."""

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import torch
from safetensors import SafetensorError

from pipeline.base.errors import UserError
from pipeline.base.files import say, write_json
from pipeline.base.machine import peak_memory
from pipeline.networks.distributed import all_reduce_max, rank, world
from pipeline.runs.checkpoint import capture, load, put_back, save, save_weights
from pipeline.runs.events import EventLog
from pipeline.runs.work_dirs import EVENTS, work_root
from pipeline.training.config import TrainPlan
from pipeline.training.loop import Observer, Outcome

LEAST = 20.0  # seconds between two checkpoints, at least; the environment's CHECKPOINT_SECONDS instead
SHARE = 0.01  # of the time, at most, goes into checkpoints: after one that took a second, the next waits a hundred
WEIGHTS = "weights"  # folder of the averaged generators that are kept, one file each, named by kimg
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
STOP = "stop"  # file of the work directory: the number of a signal to the process that started several
STARTER = os.getppid()
GONE = 1000  # a reason to stop beside the numbers of signals: several processes whose starter was killed


class Progress(Observer):
    """Reports to `stream` (standard output), a line a tick, and measures time, which runs on over interruptions.

    A line decides nothing: where standard output is gone or its disk is full, it is lost and the training goes on.
    """

    def __init__(self, name: str, stream: TextIO | None = None):
        self.name, self.stream = name, stream
        self.total = self.before = 0.0
        # kimg and clock where this sitting began, and at the last tick
        self.began = self.ticked = 0.0, time.monotonic()

    def start(self, total_kimg: float, *, kimg: float = 0.0, seconds: float = 0.0) -> None:
        """Begin, or go on at `kimg` after `seconds` of training in earlier sittings."""
        self.total, self.before = total_kimg, seconds
        self.began = self.ticked = kimg, time.monotonic()
        self.note(f"{total_kimg:,.1f} kimg")

    def seconds(self) -> float:
        """Seconds trained so far, earlier sittings included."""
        return self.before + time.monotonic() - self.began[1]

    def tick(self, row: dict[str, float], device: torch.device) -> dict[str, float]:
        """Show a tick; returns what the machine did since the last one: the row of machine.csv.

        Memory is that of the process that took most.
        """
        memory_mib = all_reduce_max(peak_memory(device))
        now, kimg = time.monotonic(), row["kimg"]
        pace, mean = ((now - clock) / (kimg - at) for at, clock in (self.ticked, self.began))  # seconds a kimg
        self.ticked, left = (kimg, now), f"{(self.total - kimg) * mean / 60:.1f} min left"
        how_far = f"{kimg:,.1f}/{self.total:,.1f} kimg, {pace:.2f} s/kimg, {left}"
        self.note(f"{how_far}, {memory_mib:,} MiB, W {row['wasserstein']:.2f}")
        machine = {"kimg": kimg, "seconds": self.seconds(), "sec_per_kimg": pace}
        return machine | {"images_per_second": 1000 / pace if pace else 0.0, "memory_mib": memory_mib}

    def after_iteration(self, outcome: Outcome) -> None:
        outcome.seconds = self.seconds()

    def note(self, text: str) -> None:
        say(f"train: {self.name}: {text}", stream=self.stream)

    def stop(self, status: str) -> None:
        self.note(f"{status} after {self.seconds():,.0f} s")


class CheckpointSchedule(Progress):
    """Also stores the state of the training by the clock, puts it back, keeps curves, and ends it on a signal.

    Of several processes on one cell each has its own: all stop after the same iteration, and the first one writes.
    `folder`: the work directory, named by the training's key.
    """

    def __init__(
        self, folder: Path, plan: TrainPlan, device: torch.device, name: str, stream: TextIO | None = None
    ) -> None:
        super().__init__(name, stream)
        self.folder, self.device, self.writes = folder, device, rank() == 0
        self.images_a_step = plan.train.critic_steps * plan.train.batch_discriminator
        self.planned, self.shown = plan.train.kimg or 0.0, (0, 0)
        self.events = EventLog(work_root() / EVENTS / name / folder.name[:8], self.note)
        self.least = least_seconds()
        self.due = time.monotonic() + self.least
        self.signals: list[int] = []  # numbers of those received
        self.iterations = 0  # of this sitting

    def _kimg(self, outcome: Outcome) -> float:
        return outcome.step * self.images_a_step / 1000

    def resume(self, outcome: Outcome) -> None:
        """Put back the newest usable checkpoint, if there is one. Every process reads it from the disk.

        Errors: `UserError` where processes found different ones.
        """
        found = load(self.folder, self.folder.name, self.note)
        if found is not None:
            put_back(outcome, found["state"], self.device)
            kimg, before, by = self._kimg(outcome), outcome.processes[-1][1], ""
            outcome.resumed.append(kimg)
            if before != world():
                outcome.processes.append([kimg, world()])
                by = f", by {world()} process{'es' if world() > 1 else ''} where it was {before:.0f} before"
            saved = time.strftime("%H:%M:%S", time.localtime(found["saved"]))
            self.note(f"resumed at {kimg:,.1f} kimg from the checkpoint of {saved}{by}")
        if all_reduce_max(outcome.step) != outcome.step:
            unequal = "not every process could read the newest checkpoint"
            raise UserError(f"{self.folder}: {unequal}; the same command tries again")
        self._publish(outcome)

    def after_iteration(self, outcome: Outcome) -> None:
        """Store the state when it is due.

        Errors: `UserError` where it cannot be stored, and after a signal, once it is stored.
        """
        super().after_iteration(outcome)
        self.iterations += 1
        if (len(outcome.history), len(outcome.grids)) != self.shown:
            self._publish(outcome)
        reason = all_reduce_max(self._reason())
        if reason or time.monotonic() >= self.due:
            self.save(outcome)
        if reason:
            all_reduce_max(0)  # the state is stored before any process ends
            by = "the end of the process that started it" if reason == GONE else signal.Signals(reason).name
            reached = f"at {self._kimg(outcome):,.1f} of {self.planned:,.1f} kimg"
            stored = "its state is stored; the same command goes on from there"
            raise UserError(f"{self.name}: stopped by {by} {reached}, {stored}")

    def _reason(self) -> int:
        """Why training has to stop: the number of a signal, GONE, or 0."""
        if self.signals or world() == 1:
            return next(iter(self.signals), 0)
        if os.getppid() != STARTER:
            return GONE
        stop = self.folder / STOP
        return int(stop.read_text() or 0) if self.writes and stop.exists() else 0

    def save(self, outcome: Outcome) -> None:
        """Store the state. Errors: `UserError` where the disk does not take it; the checkpoints before it stay."""
        if not self.writes:
            return
        began, refused = time.monotonic(), f"the checkpoint at {self._kimg(outcome):,.1f} kimg could not be written"
        goes_on = "once that is mended the same command goes on from the one before"
        with explain_disk_error(f"{self.folder}: {refused}; {goes_on}"):
            save(self.folder, capture(outcome, self.device), key=self.folder.name, step=outcome.step)
        ended = time.monotonic()
        self.due = ended + max(self.least, (ended - began) / SHARE)
        self._publish(outcome)

    def _publish(self, outcome: Outcome) -> None:
        """Curves and progress.json; a disk that refuses does not end the training, its checkpoint will say so."""
        if not self.writes:
            return
        self.events.copy(outcome)
        self.shown = len(outcome.history), len(outcome.grids)
        kimg = self._kimg(outcome)
        facts = {"cell": self.name, "updated": time.time(), "kimg": kimg, "planned": self.planned}
        if outcome.machine:
            pace = outcome.machine[-1]["sec_per_kimg"]
            facts |= {"seconds_per_kimg": pace, "seconds_left": max(0.0, self.planned - kimg) * pace}
        with suppress(OSError):
            write_json(self.folder / "progress.json", facts)

    def weights(self, outcome: Outcome, kimg: float) -> None:
        """Errors: `UserError` where the disk does not take it."""
        path = self.folder / WEIGHTS / f"{kimg:012.3f}.safetensors"
        if self.writes:
            with explain_disk_error(f"{path}: could not be written; once that is mended the same command goes on"):
                save_weights(path, outcome.networks.ema.state_dict())

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """SIGTERM, Ctrl-C and a closed terminal end the training after its iteration, the same one again at once."""
        try:
            with handled_signals(self.signals.append):
                yield
        finally:
            self.events.close()


@contextmanager
def handled_signals(handle: Callable[[int], object]) -> Iterator[None]:
    """`handle` is called for the first signal of each kind; the same one again is a `KeyboardInterrupt`.

    Two different ones may be one event: a batch system tells every process, and the worker tells its training.
    """
    seen = set()

    def remember(number: int, _frame: object) -> None:
        if number in seen:
            raise KeyboardInterrupt
        seen.add(number)
        handle(number)

    # One that is ignored (nohup) stays so; Python lets only the main thread handle any.
    main = threading.current_thread() is threading.main_thread()
    handled = [one for one in SIGNALS if main and signal.getsignal(one) != signal.SIG_IGN]
    before = {one: signal.signal(one, remember) for one in handled}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def explain_disk_error(consequence: str) -> Iterator[None]:
    """What a disk refuses (it is full, not readable, not ours) as one line, with what it means for the training."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise UserError(f"{consequence} ({' '.join(str(error).split())})") from None


def least_seconds() -> float:
    """Of the environment, as it is no part of an experiment: it changes no byte of what is trained."""
    given = os.environ.get("CHECKPOINT_SECONDS", str(LEAST))
    if re.fullmatch(r"\d+(\.\d*)?", given, flags=re.ASCII):
        return float(given)
    raise UserError(f"CHECKPOINT_SECONDS: given {given!r}; allowed: least seconds between two checkpoints, 0 or more")
