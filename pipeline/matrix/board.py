"""What `make repro` shows of its cells: a line for each event, and on a terminal a table of those at work."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.base.files import read_json
from pipeline.matrix.units import State, Unit, trainings

OVERHEAD = 15.0  # seconds of a cell outside its training
REPORT = 45.0  # seconds of what follows the last cell
ENDED = (State.DONE, State.FAILED)


@dataclass
class Row:
    """How far a unit is. `expected`: seconds of its training on the machine of the record in git, or a guess."""

    unit: Unit
    expected: float
    state: State = State.MISSING
    stage: str = ""
    kimg: float = 0.0  # reached
    seconds: float = 0.0  # of training so far

    @property
    def share(self) -> float:
        """Of its training, 0..1."""
        return min(1.0, self.kimg / self.unit.kimg) if self.unit.kimg else 1.0


class Board:
    """All units of a matrix. `event` may be called by any thread."""

    def __init__(self, units: list[Unit], slots: int, console: Console | None = None):
        """`slots`: units at a time."""
        recorded = {unit: seconds for unit in units if (seconds := recorded_seconds(unit))}
        paces = [seconds / unit.kimg for unit, seconds in recorded.items() if unit.kimg]
        pace = sum(paces) / len(paces) if paces else 1.0
        self.rows = {str(unit): Row(unit, recorded.get(unit, pace * unit.kimg)) for unit in units}
        self.slots, self.console = slots, console or Console(highlight=False, soft_wrap=True)
        self.live = Live(console=self.console, get_renderable=self.table, refresh_per_second=1, transient=True)

    def event(self, unit: Unit, state: State, *, stage: str = "", text: str = "") -> None:
        """A unit has come to `state`; a line says so when it begins, and when it ends. `text`: result or error."""
        row = self.rows[str(unit)]
        begins = state is State.RUNNING and row.state is State.MISSING
        row.state, row.stage = state, stage
        if stage != "train" and not begins and row.kimg < unit.kimg:  # its training has ended
            row.seconds /= row.share or 1.0
            row.kimg = unit.kimg
        if begins or state in ENDED:
            total = "" if begins else f" ({self})"
            self.console.print(f"repro: {unit}: {'begins' if begins else state}{f', {text}' if text else ''}{total}")

    def table(self) -> Group:
        """A line for each unit at work, and one for all."""
        self.read_progress()
        table = Table(box=None, show_header=False)
        for name, row in self.rows.items():
            if row.state is State.RUNNING:
                kimg = f"{row.kimg:,.1f}/{row.unit.kimg:,.1f} kimg" if row.unit.kimg else "imported"
                pace = f"{row.seconds / row.kimg:.2f} s/kimg" if row.seconds and row.stage == "train" else ""
                table.add_row(name, row.stage, kimg, pace)
        return Group(table, Text(f"total: {self}"))

    def read_progress(self) -> None:
        """What the trainings at work write of themselves."""
        for cell, training in trainings().items():
            row = self.rows.get(cell)
            if row is not None and row.stage == "train" and training.seconds_per_kimg:
                row.kimg, row.seconds = training.kimg, training.kimg * training.seconds_per_kimg

    def __str__(self) -> str:
        """`3 of 24 trainings, 12 % trained, about 20 min left`"""
        rows = self.rows.values()
        ended = sum(row.state in ENDED for row in rows)
        planned, reached = sum(row.unit.kimg for row in rows), sum(row.share * row.unit.kimg for row in rows)
        text = f"{ended} of {len(rows)} trainings, {100 * reached / max(planned, 1e-9):.0f} % trained"
        left = self.seconds_left()
        return text if left is None else f"{text}, about {left / 60:,.0f} min left"

    def seconds_left(self) -> float | None:
        """Of the whole matrix, all stages: what the records in git let expect, at this machine's pace so far."""
        timed = [row for row in self.rows.values() if row.seconds]
        if not timed:
            return None
        pace = sum(row.seconds for row in timed) / sum(row.expected * row.share for row in timed)
        waiting = [row for row in self.rows.values() if row.state not in ENDED]
        work = sum(row.expected * (1 - row.share) * pace + OVERHEAD * len(row.unit.cells) for row in waiting)
        return work / max(1, min(self.slots, len(waiting))) + REPORT


def recorded_seconds(unit: Unit) -> float | None:
    """Seconds of the unit's training by the record that git holds, of whatever machine."""
    file = Path("results") / str(unit.cells[0]) / "run.json"
    return read_json(file).get("seconds") if file.is_file() else None
