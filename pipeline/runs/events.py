"""Curves and pictures for TensorBoard: .work/events/<cell>/<key>/.

They are a copy of what the training itself collects, so nothing depends on them. A training that goes on after an
interruption writes its file anew from its checkpoint: whatever the old file said beyond that moment is gone.
"""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import image

from pipeline.base.images import tile
from pipeline.training.loop import Outcome

MARK = "tfevents"  # TensorBoard reads the files that have this in their name
KEPT = 5  # trainings of a cell whose curves are kept, the newest
GRID_TAG = "fixed latents"
GRID_SIDE, GRID_PIXELS = 8, 1024  # images a side of a grid, and pixels a side, at most
CLOCK = ("kimg", "step")  # columns of the history that say when; TensorBoard's step is the number of real images shown


class EventLog:
    """Keeps the event file in `folder` equal to an outcome's history, machine rows and grids.

    A disk that does not take it ends the copying with one line, never the training.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]):
        self.folder, self.say = folder, say
        self.file: RecordWriter | None = None
        self.rows = self.grids = 0  # that the file has
        self.origin = 0.0  # when the training would have begun, had it never been interrupted
        self.closed = False

    def copy(self, outcome: Outcome) -> None:
        """Add what is new since the last call.

        A file of its own replaces those of earlier sittings at the first call, and after a divergence, which takes back
        the grids drawn after the last healthy tick.
        """
        if self.closed:
            return
        try:
            if self.file is None or len(outcome.grids) < self.grids:
                self._begin(outcome)
            for row, machine in zip(outcome.history[self.rows :], outcome.machine[self.rows :], strict=True):
                tags = {f"training/{name}": value for name, value in row.items() if name not in CLOCK}
                tags |= {f"machine/{name}": value for name, value in machine.items() if name not in CLOCK}
                points = [Summary.Value(tag=tag, simple_value=value) for tag, value in tags.items()]
                self._append(machine["seconds"], step=round(row["kimg"] * 1000), summary=Summary(value=points))
            for grid, kimg in zip(outcome.grids[self.grids :], outcome.grids_kimg[self.grids :], strict=True):
                picture = image(GRID_TAG, np.asarray(grid_picture(grid)), dataformats="HWC")
                self._append(outcome.seconds, step=round(kimg * 1000), summary=picture)
            self.rows, self.grids = len(outcome.history), len(outcome.grids)
        except OSError as error:
            self.close()
            self.say(f"{self.folder}: no curves for TensorBoard from here on ({error}); the training goes on")

    def close(self) -> None:
        """Nothing is copied from now on."""
        self.closed = True
        if self.file is not None:
            with suppress(OSError):  # a full disk costs the last curves and no training
                self.file.close()

    def _begin(self, outcome: Outcome) -> None:
        """A new event file. A reader forgets what earlier ones said; the newest trainings of the cell are kept."""
        if self.file is not None:
            self.file.close()
        self.folder.mkdir(parents=True, exist_ok=True)
        others = [path for path in self.folder.parent.iterdir() if path != self.folder]
        for old in sorted(others, key=os.path.getmtime, reverse=True)[KEPT - 1 :]:
            shutil.rmtree(old)
        # TensorBoard goes from file to file by their names: the new one is the last, also where the clock was put back.
        now = time.time()
        number = now
        for old in self.folder.glob(f"*{MARK}*"):
            number = max(number, float(old.name.split(f"{MARK}.")[1].rpartition(".")[0]) + 1)
            os.truncate(old, 0)  # not removed: a TensorBoard that has it open would never come to the next one
        name = f"events.out.{MARK}.{number:.6f}.{os.getpid()}"
        self.file = RecordWriter(open(self.folder / name, "xb"))  # noqa: SIM115
        self.origin, self.rows, self.grids = now - outcome.seconds, 0, 0
        self._append(outcome.seconds, file_version="brain.Event:2")
        self._append(outcome.seconds, step=0, session_log=SessionLog(status=SessionLog.START))

    def _append(self, seconds: float, **content: Any) -> None:
        """A record of that moment of the training, on disk before the next. Points are kept as float32."""
        assert self.file is not None
        self.file.write(Event(wall_time=self.origin + seconds, **content).SerializeToString())
        self.file.flush()


def grid_picture(grid: np.ndarray) -> Image.Image:
    """The first images of a grid (N, C, H, W) uint8 as one RGB picture of about GRID_PIXELS a side at most."""
    side = grid.shape[-1]
    columns = max(2, min(GRID_SIDE, GRID_PIXELS // side))
    shown = tile(grid[: columns * columns], columns=columns, scale=max(1, 32 // side))
    return Image.fromarray(shown.squeeze()).convert("RGB")
