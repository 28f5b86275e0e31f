"""What a person sees while a cell trains, and the clock: one renewing line on a terminal, a line a tick in a log.

Nothing about a line decides over a training: where standard output is gone (a reader that ended, a closed terminal) or
its disk is full, the line is lost and the training goes on.
"""

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import torch

from pipeline.base.files import write_json
from pipeline.base.memory import peak_memory
from pipeline.base.output import say
from pipeline.networks.distributed import all_reduce_max
from pipeline.training.loop import Observer


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
