"""What `make repro` says of its cells: a line for each event, and on a terminal one for the whole that is kept up."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live
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
    share: float = 0.0  # of its training, 0..1
    seconds: float = 0.0  # of training so far


class Board:
    """All units of a matrix. `event` may be called by any thread."""

    def __init__(self, units: list[Unit], slots: int, console: Console | None = None):
        """`slots`: units at a time."""
        files = {unit: Path("results") / str(unit) / "run.json" for unit in units}
        recorded = {unit: read_json(file).get("seconds") for unit, file in files.items() if file.is_file()}
        paces = [seconds / unit.kimg for unit, seconds in recorded.items() if seconds and unit.kimg]
        pace = sum(paces) / len(paces) if paces else 1.0  # seconds a kimg
        self.rows = {str(unit): Row(unit, recorded.get(unit) or pace * unit.kimg) for unit in units}
        self.slots, self.console = slots, console or Console(highlight=False, soft_wrap=True)
        self.live = Live(console=self.console, get_renderable=self.total, refresh_per_second=1, transient=True)

    def event(self, unit: Unit, state: State, *, stage: str = "", text: str = "") -> None:
        """A unit has come to `state`; a line says so when it begins, and when it ends. `text`: result or error."""
        row = self.rows[str(unit)]
        begins = state is State.RUNNING and row.state is State.MISSING
        row.state, row.stage = state, stage
        if stage != "train" and not begins and row.share < 1:  # its training has ended
            row.seconds, row.share = row.seconds / (row.share or 1.0), 1.0
        if begins or state in ENDED:
            total = "" if begins else f" ({self})"
            self.console.print(f"repro: {unit}: {'begins' if begins else state}{f', {text}' if text else ''}{total}")

    def total(self) -> Text:
        """The line for the whole, by what the trainings at work write of themselves."""
        for cell, training in trainings().items():
            row = self.rows.get(cell)
            if row is not None and row.stage == "train" and training.seconds_per_kimg and row.unit.kimg:
                row.share = min(1.0, training.kimg / row.unit.kimg)
                row.seconds = training.kimg * training.seconds_per_kimg
        return Text(f"total: {self}; each training: make watch TEXT=1")

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
