"""What a person sees while a cell trains, and the clock: one renewing line on a terminal, a line a tick in a log.

Nothing about a line decides over a training: where standard output is gone (a reader that ended, a closed terminal) or
its disk is full, the line is lost and the training goes on.

Curves and pictures for TensorBoard are in .work/events/<cell>/<key>/. They are a copy of what the training itself
collects, so nothing depends on them. A training that goes on after an interruption writes its file anew from its
checkpoint: whatever the old file said beyond that moment is gone.
"""

import io
import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from pipeline.base.arrays import tile
from pipeline.base.files import say, write_json
from pipeline.base.machine import peak_memory
from pipeline.networks.distributed import all_reduce_max
from pipeline.runs.work_dirs import EVENTS, work_root
from pipeline.training.loop import Observer, Outcome

MARK = "tfevents"  # TensorBoard reads the files that have this in their name
KEPT = 5  # trainings of a cell whose curves are kept, the newest
KEY_DIGITS = 8  # of a training's key, in the name of its folder
GRID_TAG = "fixed latents"
GRID_SIDE, GRID_PIXELS = 8, 1024  # images a side of a grid, and pixels a side, at most
CLOCK = ("kimg", "step")  # columns of the history that say when; TensorBoard's step is the number of real images shown


class Progress(Observer):
    """Reports to `stream` (standard output) and measures time; training time runs on over interruptions."""

    def __init__(self, name: str, stream: TextIO | None = None):
        self.name, self.stream = name, stream
        self.file: Path | None = None  # progress.json of the work folder: what others see of this training
        self.total, self.resumed_at, self.before = 0.0, 0.0, 0.0
        self.began = self.ticked = time.monotonic()
        self.ticked_at = 0.0
        self.open = False  # whether the cursor stands behind a renewing line

    def start(self, total_kimg: float, *, kimg: float = 0.0, seconds: float = 0.0) -> None:
        """Begin, or go on at `kimg` after `seconds` of training in earlier sittings."""
        self.total, self.resumed_at, self.before = total_kimg, kimg, seconds
        self.began = self.ticked = time.monotonic()
        self.ticked_at = kimg
        self.note(f"{total_kimg:,.1f} kimg")
        self._publish(kimg, None, None)

    def seconds(self) -> float:
        """Seconds trained so far, earlier sittings included."""
        return self.before + time.monotonic() - self.began

    def tick(self, row: dict[str, float], device: torch.device) -> dict[str, float]:
        """Show a tick; returns what the machine did since the last one: the row of machine.csv.

        Memory is that of the process that took most.
        """
        memory_mib = all_reduce_max(peak_memory(device))
        now, kimg = time.monotonic(), row["kimg"]
        pace = (now - self.ticked) / (kimg - self.ticked_at)
        left = (self.total - kimg) * (now - self.began) / (kimg - self.resumed_at)
        self.ticked, self.ticked_at = now, kimg
        self._publish(kimg, pace, left)
        text = (
            f"{kimg:,.1f}/{self.total:,.1f} kimg, {pace:.2f} s/kimg, {left / 60:.1f} min left, "
            f"{memory_mib:,} MiB, W {row['wasserstein']:.2f}"
        )
        if self._terminal():
            self._write(f"\r\x1b[Ktrain: {self.name}: {text}", end="")
        else:
            self.note(text)
        return {
            "kimg": kimg,
            "seconds": self.seconds(),
            "sec_per_kimg": pace,
            "images_per_second": 1000 / pace if pace else 0.0,
            "memory_mib": memory_mib,
        }

    def note(self, text: str) -> None:
        """A line of its own."""
        self._write(f"train: {self.name}: {text}", end="\n")

    def newline(self) -> None:
        """End a renewing line that was left open: what comes next, an error perhaps, begins on its own."""
        if self.open:
            self._write("", end="\n")

    def stop(self, status: str) -> None:
        lead = "\r\x1b[K" if self._terminal() else ""
        self._write(f"{lead}train: {self.name}: {status} after {self.seconds():,.0f} s", end="\n")

    def _publish(self, kimg: float, pace: float | None, left: float | None) -> None:
        """Write progress.json; a disk that refuses does not end the training, its checkpoint will say so."""
        if self.file is None:
            return
        content = {"cell": self.name, "kimg": kimg, "of": self.total, "s_per_kimg": pace, "seconds_left": left}
        with suppress(OSError):
            write_json(self.file, {**content, "updated": time.time()})

    def _terminal(self) -> bool:
        try:
            return (self.stream or sys.stdout).isatty()
        except (AttributeError, ValueError):  # closed, before or after this process began
            return False

    def _write(self, text: str, end: str) -> None:
        say(text, end=end, stream=self.stream)
        self.open = not end


def events_folder(name: str, key: str) -> Path:
    """Where the curves of training `key` of cell `name` are."""
    return work_root() / EVENTS / name / key[:KEY_DIGITS]


class EventFile:
    """A new event file in `folder`, each record on disk before the next. A reader forgets what earlier files said.

    Errors of this class and its methods: `OSError` of the file system.
    """

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        # TensorBoard goes from file to file by their names: the new one is the last, also where the clock was put back.
        last = max(
            (float(old.name.split(f"{MARK}.")[1].rpartition(".")[0]) for old in folder.glob(f"*{MARK}*")), default=0
        )
        name = f"events.out.{MARK}.{max(now, last + 1):.6f}.{os.getpid()}"
        self.writer = RecordWriter(open(folder / name, "xb"))  # noqa: SIM115
        self._write(Event(wall_time=now, file_version="brain.Event:2"))
        self._write(Event(wall_time=now, step=0, session_log=SessionLog(status=SessionLog.START)))

    def scalars(self, values: dict[str, float], *, step: int, wall_time: float) -> None:
        """One point of every curve in `values`, tag -> value; kept as float32. `wall_time`: seconds since 1970."""
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._write(Event(wall_time=wall_time, step=step, summary=summary))

    def image(self, tag: str, picture: Image.Image, *, step: int, wall_time: float) -> None:
        png = io.BytesIO()
        picture.save(png, "PNG")
        image = Summary.Image(
            width=picture.width, height=picture.height, colorspace=3, encoded_image_string=png.getvalue()
        )
        summary = Summary(value=[Summary.Value(tag=tag, image=image)])
        self._write(Event(wall_time=wall_time, step=step, summary=summary))

    def close(self) -> None:
        self.writer.close()

    def _write(self, event: Event) -> None:
        self.writer.write(event.SerializeToString())
        self.writer.flush()


class EventLog(Observer):
    """Keeps the event file in `folder` equal to an outcome's history, machine rows and grids.

    A disk that does not take it ends the copying with one line, never the training.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]):
        self.folder, self.say = folder, say
        self.file: EventFile | None = None
        self.rows = self.grids = 0  # that the file has
        self.origin = time.time()  # when the training would have begun, had it never been interrupted

    def resume(self, outcome: Outcome) -> None:
        """A new file in place of those of earlier sittings, with all that `outcome` has."""
        try:
            self._begin(outcome)
        except OSError as error:
            self._give_up(error)

    def after_iteration(self, outcome: Outcome) -> None:
        """Add what is new since the last call."""
        if self.file is None or (len(outcome.history), len(outcome.grids)) == (self.rows, self.grids):
            return
        try:
            if len(outcome.grids) < self.grids:  # a divergence takes back the grids drawn after the last healthy tick
                self._begin(outcome)
            else:
                self._add(outcome)
        except OSError as error:
            self._give_up(error)

    def stop(self, status: str) -> None:
        file, self.file = self.file, None
        if file is not None:
            with suppress(OSError):  # a full disk costs the last curves and no training
                file.close()

    def _begin(self, outcome: Outcome) -> None:
        self.stop("")
        _forget_oldest(self.folder)
        for old in self.folder.glob(f"*{MARK}*"):
            os.truncate(old, 0)  # not removed: a TensorBoard that has it open would never come to the next one
        self.file, self.rows, self.grids = EventFile(self.folder), 0, 0
        self.origin = time.time() - outcome.seconds
        self._add(outcome)

    def _add(self, outcome: Outcome) -> None:
        assert self.file is not None
        for row, machine in zip(outcome.history[self.rows :], outcome.machine[self.rows :], strict=True):
            values = {f"training/{name}": value for name, value in row.items() if name not in CLOCK}
            values |= {f"machine/{name}": value for name, value in machine.items() if name not in CLOCK}
            self.file.scalars(values, step=_images(row["kimg"]), wall_time=self.origin + machine.get("seconds", 0.0))
        times = {_images(machine["kimg"]): machine.get("seconds", 0.0) for machine in outcome.machine}
        for grid, kimg in zip(outcome.grids[self.grids :], outcome.grids_kimg[self.grids :], strict=True):
            step = _images(kimg)
            seconds = max((value for moment, value in times.items() if moment <= step), default=0.0)
            self.file.image(GRID_TAG, grid_picture(grid), step=step, wall_time=self.origin + seconds)
        self.rows, self.grids = len(outcome.history), len(outcome.grids)

    def _give_up(self, error: OSError) -> None:
        self.stop("")
        self.say(f"{self.folder}: no curves for TensorBoard from here on ({error}); the training goes on")


def grid_picture(grid: np.ndarray) -> Image.Image:
    """The first images of a grid (N, C, H, W) uint8 as one RGB picture of about GRID_PIXELS a side at most."""
    side = grid.shape[-1]
    columns = max(2, min(GRID_SIDE, GRID_PIXELS // side))
    shown = tile(grid[: columns * columns], columns=columns, scale=max(1, 32 // side))
    return Image.fromarray(shown.squeeze()).convert("RGB")


def _images(kimg: float) -> int:
    return round(kimg * 1000)


def _forget_oldest(folder: Path) -> None:
    """Leave room for `folder` among the KEPT newest of its cell."""
    others = [path for path in folder.parent.glob("*") if path != folder]
    for old in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT - 1 :]:
        shutil.rmtree(old)
