"""When the state of a training is stored, and how a training is stopped."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError

from pipeline.base.errors import UserError
from pipeline.networks.distributed import all_reduce_max, world
from pipeline.runs.checkpoint import capture, load, put_back, save, save_weights
from pipeline.runs.progress import EventLog, Progress, events_folder
from pipeline.training.config import TrainConfig
from pipeline.training.loop import Observer, Outcome

LEAST = 20.0  # seconds between two checkpoints, at least; the environment's CHECKPOINT_SECONDS instead
SHARE = 0.01  # of the time, at most, goes into checkpoints: after one that took a second, the next waits a hundred
WEIGHTS = "weights"  # folder of the averaged generators that are kept, one file each, named by kimg
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ABANDONED = "the end of the process that started it"
REASONS = ("", *(one.name for one in SIGNALS), ABANDONED)  # to stop; processes agree on one by its place here


class Stopped(UserError):
    """Training ended after an iteration as it was asked to, its state is stored."""


class CheckpointSchedule(Observer):
    """Stores the state of the training `key` in `folder` by the clock, puts it back, and ends the training on a
    signal.

    Of several processes on one cell each has its own: all stop after the same iteration, and one `writes`.
    `asked`: a reason to stop beside signals, or None.
    """

    def __init__(
        self,
        folder: Path,
        key: str,
        config: TrainConfig,
        device: torch.device,
        progress: Progress,
        *,
        least: float,
        share: float = SHARE,
        asked: Callable[[], str | None] = lambda: None,
        writes: bool = True,
        facts: dict[str, str] | None = None,
    ):
        """`facts`: for people, written into checkpoints."""
        self.asked, self.writes, self.facts = asked, writes, facts or {}
        self.folder, self.key, self.config, self.device, self.progress = folder, key, config, device, progress
        self.least, self.share = least, share
        progress.file = folder / "progress.json" if writes else None
        self.events = EventLog(events_folder(progress.name, key), progress.note) if writes else Observer()
        self.due = time.monotonic() + least
        self.signal: str | None = None
        self.iterations = 0  # of this sitting

    def start(self, total_kimg: float, *, kimg: float, seconds: float) -> None:
        self.progress.start(total_kimg, kimg=kimg, seconds=seconds)

    def seconds(self) -> float:
        return self.progress.seconds()

    def tick(self, row: dict[str, float], device: torch.device) -> dict[str, float]:
        return self.progress.tick(row, device)

    def stop(self, status: str) -> None:
        self.progress.stop(status)
        self.events.stop(status)

    def weights(self, outcome: Outcome, kimg: float) -> None:
        """Errors: `UserError` where the disk does not take it."""
        if not self.writes:
            return
        path = self.folder / WEIGHTS / f"{kimg:012.3f}.safetensors"
        with explain_disk_error(f"{path}: could not be written; once that is mended the same command goes on"):
            save_weights(path, outcome.networks.ema)

    def kimg(self, outcome: Outcome) -> float:
        return outcome.step * self.config.critic_steps * self.config.batch_discriminator / 1000

    def resume(self, outcome: Outcome) -> None:
        """Put back the newest usable checkpoint, if there is one. Every process reads it from the disk.

        Errors: `UserError` where processes found different ones.
        """
        found = load(self.folder, self.key, self.progress.note)
        if found is not None:
            put_back(outcome, found["state"], self.device)
            outcome.resumed.append(self.kimg(outcome))
            kimg, saved = self.kimg(outcome), time.strftime("%H:%M:%S", time.localtime(found["saved"]))
            self.progress.note(f"resumed at {kimg:,.1f} kimg from the checkpoint of {saved}{self.now_by(outcome)}")
        if all_reduce_max(outcome.step) != outcome.step:
            raise UserError(
                f"{self.folder}: not every process could read the newest checkpoint; the same command tries again"
            )
        self.events.resume(outcome)

    def now_by(self, outcome: Outcome) -> str:
        """Keeps and says by how many processes the training goes on, where it was another number before."""
        before = outcome.processes[-1][1]
        if before == world():
            return ""
        outcome.processes.append([self.kimg(outcome), world()])
        return f", by {world()} process{'es' if world() > 1 else ''} where it was {before:.0f} before"

    def after_iteration(self, outcome: Outcome) -> None:
        """After every iteration: store the state when it is due.

        Errors: `Stopped` after a signal, once the state is stored; `UserError` where it cannot be stored.
        """
        self.iterations += 1
        self.events.after_iteration(outcome)
        reason = REASONS[all_reduce_max(REASONS.index(self.signal or self.asked() or ""))]
        if reason or time.monotonic() >= self.due:
            self.save(outcome)
        if reason:
            all_reduce_max(0)  # the state is stored before any process ends
            raise Stopped(
                f"{self.progress.name}: stopped by {reason} at {self.kimg(outcome):,.1f} of "
                f"{self.config.kimg:,.1f} kimg, its state is stored; the same command goes on from there"
            )

    def save(self, outcome: Outcome) -> None:
        """Errors: `UserError` where the disk does not take it; the checkpoints before it stay."""
        if not self.writes:
            return
        began, kimg = time.monotonic(), self.kimg(outcome)
        with explain_disk_error(
            f"{self.folder}: the checkpoint at {kimg:,.1f} kimg could not be written; "
            "once that is mended the same command goes on from the one before"
        ):
            save(
                self.folder,
                capture(outcome, self.device),
                key=self.key,
                step=outcome.step,
                facts={
                    "cell": self.progress.name,
                    "kimg": kimg,
                    "kimg_planned": self.config.kimg,
                    "history": outcome.history,
                    "machine": outcome.machine,
                    **self.facts,
                },
            )
        ended = time.monotonic()
        self.due = ended + max(self.least, (ended - began) / self.share)

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """SIGTERM, Ctrl-C and a closed terminal end the training after its iteration, the same one again at once."""

        def remember(number: int) -> None:
            self.signal = self.signal or signal.Signals(number).name

        with handled_signals(remember):
            try:
                yield
            finally:
                self.progress.newline()
                self.events.stop("")  # its file is closed however the training ends


@contextmanager
def handled_signals(handle: Callable[[int], None]) -> Iterator[None]:
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
    handled = [one for one in SIGNALS if signal.getsignal(one) != signal.SIG_IGN] if main else []
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
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UserError(
            f"CHECKPOINT_SECONDS: given {given!r}; allowed: least seconds between two checkpoints, 0 or more"
        )
    return seconds
