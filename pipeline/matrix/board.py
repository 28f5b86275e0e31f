"""What `make repro` shows of its cells: on a terminal a line a cell, renewed; in a log a line for each event."""

import shutil
import sys
import time
from dataclasses import dataclass
from typing import TextIO

from pipeline.matrix.cluster import states

CLEAR = "\x1b[K"  # the rest of a line
EVERY = 1.0  # seconds between two pictures on a terminal


@dataclass
class Row:
    """A cell: where it is (waiting, training, measure, ..., done, failed), how far, and its result."""

    cell: str
    kimg: float  # planned; 0 for a twin, which is copied
    state: str = "waiting"
    reached: float = 0.0
    s_per_kimg: float | None = None
    seconds_left: float | None = None
    result: str = ""


class Board:
    """All cells of a matrix and how far they are. `event` may be called by any thread."""

    def __init__(self, cells: dict[str, float], places: int, stream: TextIO | None = None):
        """`cells`: {cell: kimg to train}; `places`: cells at a time."""
        self.rows = {cell: Row(cell, kimg) for cell, kimg in cells.items()}
        self.places, self.stream = places, stream or sys.stdout
        self.terminal = self.stream.isatty()
        self.began, self.height = time.monotonic(), 0

    def event(self, cell: str, state: str, result: str = "") -> None:
        """A cell has come to `state`; a log says so when it begins training, and when it ends."""
        row = self.rows[cell]
        row.state, row.result = state, result or row.result
        if state not in ("train", "failed"):  # its training has ended
            row.reached, row.seconds_left = row.kimg, 0.0
        if not self.terminal and state in ("train", "done", "failed"):
            what = "begins" if state == "train" else state
            total = f" ({self.total()})" if state != "train" else ""
            print(f"repro: {cell}: {what}{f', {result}' if result else ''}{total}", file=self.stream, flush=True)

    def refresh(self) -> None:
        """Read how far the trainings are, and draw, on a terminal."""
        for cell, seen in states.progress().items():
            row = self.rows.get(cell)
            if row is not None and row.state == "train":
                row.reached, row.s_per_kimg, row.seconds_left = seen["kimg"], seen["s_per_kimg"], seen["seconds_left"]
        if self.terminal:
            self._draw()

    def total(self) -> str:
        """`3 of 24 cells, 12 % trained, about 20 min left`"""
        rows = self.rows.values()
        done = sum(row.state in ("done", "failed") for row in rows)
        planned, reached = sum(row.kimg for row in rows), sum(min(row.reached, row.kimg) for row in rows)
        text = f"{done} of {len(self.rows)} cells, {100 * reached / max(planned, 1e-9):.0f} % trained"
        left = self.seconds_left()
        return text if left is None else f"{text}, about {left / 60:,.0f} min left"

    def seconds_left(self) -> float | None:
        """Of the whole matrix, from the pace of all cells so far; None while there is none."""
        paces = [row.s_per_kimg for row in self.rows.values() if row.s_per_kimg]
        if not paces:
            return None
        kimg = sum(row.kimg - row.reached for row in self.rows.values() if row.state not in ("done", "failed"))
        waiting = sum(row.state not in ("done", "failed") for row in self.rows.values())
        return kimg * sum(paces) / len(paces) / max(1, min(self.places, waiting))

    def lines(self, height: int) -> list[str]:
        """The picture in `height` lines: every cell if they fit, else those at work, then those that failed."""
        rows = list(self.rows.values())
        if len(rows) > height - 1:
            order = {"waiting": 3, "done": 2, "failed": 1}
            rows = sorted(rows, key=lambda row: order.get(row.state, 0))[: height - 1]
        return [*map(describe, rows), f"total: {self.total()}"]

    def _draw(self) -> None:
        width, height = shutil.get_terminal_size()
        lines = [line[: width - 1] for line in self.lines(height - 1)]
        up = f"\x1b[{self.height}A" if self.height else ""
        print(up + "\n".join(f"\r{line}{CLEAR}" for line in lines), file=self.stream, flush=True)
        self.height = len(lines)


def describe(row: Row) -> str:
    """`digits/full/seed1      train    12.3/40.0 kimg    2.31 s/kimg    1.1 min left`"""
    far = f"{row.reached:>8,.1f}/{row.kimg:,.1f} kimg" if row.kimg else "    as its twin"
    text = f"{row.cell:<34} {row.state:<10} {far}"
    if row.state == "train" and row.s_per_kimg is not None:
        left = "" if row.seconds_left is None else f" {row.seconds_left / 60:>7,.1f} min left"
        text += f" {row.s_per_kimg:>8.2f} s/kimg{left}"
    return f"{text}  {row.result}".rstrip()
