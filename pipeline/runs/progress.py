"""What a person sees while a cell trains, a line a tick, and the clock.

Nothing about a line decides over a training: where standard output is gone (a reader that ended, a closed terminal) or
its disk is full, the line is lost and the training goes on.
"""

import time
from typing import TextIO

import torch

from pipeline.base.files import say
from pipeline.base.machine import peak_memory
from pipeline.networks.distributed import all_reduce_max
from pipeline.training.loop import Observer


class Progress(Observer):
    """Reports to `stream` (standard output) and measures time; training time runs on over interruptions."""

    def __init__(self, name: str, stream: TextIO | None = None):
        self.name, self.stream = name, stream
        self.total = self.resumed_at = self.ticked_at = self.before = 0.0
        self.began = self.ticked = time.monotonic()

    def start(self, total_kimg: float, *, kimg: float = 0.0, seconds: float = 0.0) -> None:
        """Begin, or go on at `kimg` after `seconds` of training in earlier sittings."""
        self.total, self.resumed_at, self.ticked_at, self.before = total_kimg, kimg, kimg, seconds
        self.began = self.ticked = time.monotonic()
        self.note(f"{total_kimg:,.1f} kimg")

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
        self.note(
            f"{kimg:,.1f}/{self.total:,.1f} kimg, {pace:.2f} s/kimg, {left / 60:.1f} min left, "
            f"{memory_mib:,} MiB, W {row['wasserstein']:.2f}"
        )
        return {
            "kimg": kimg,
            "seconds": self.seconds(),
            "sec_per_kimg": pace,
            "images_per_second": 1000 / pace if pace else 0.0,
            "memory_mib": memory_mib,
        }

    def note(self, text: str) -> None:
        say(f"train: {self.name}: {text}", stream=self.stream)

    def stop(self, status: str) -> None:
        self.note(f"{status} after {self.seconds():,.0f} s")
