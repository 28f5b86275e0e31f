"""What `make repro` shows of its cells: on a terminal a table, renewed; in a log a line for each event."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.base.cell import Cell
from pipeline.matrix.units import State, Unit, progress

OVERHEAD = 15.0  # seconds of a cell outside its training, until one has been measured
REPORT = 45.0  # seconds of what follows the last cell
ENDED = (State.DONE, State.FAILED)


@dataclass
class Row:
    """A unit: how far it is. `expected`: seconds of its training on the machine of the record in git, or a guess."""

    kimg: float
    expected: float
    cells: int
    state: State = State.MISSING
    stage: str = ""
    reached: float = 0.0  # kimg
    trained: float = 0.0  # seconds of training so far
    overhead: float | None = None  # seconds outside the training, of a unit that is done
    text: str = ""  # result or error


class Board:
    """All units of a matrix. `event` may be called by any thread."""

    def __init__(self, units: list[Unit], places: int, seconds: dict[Cell, float], console: Console | None = None):
        """`places`: units at a time. `seconds`: how long a cell's training took once, where git has a record of it."""
        pace = [seconds[unit.cells[0]] / unit.kimg for unit in units if unit.kimg and unit.cells[0] in seconds]
        guess = sum(pace) / len(pace) if pace else 1.0
        self.rows = {
            str(unit): Row(unit.kimg, seconds.get(unit.cells[0], guess * unit.kimg), len(unit.cells)) for unit in units
        }
        self.places, self.console = places, console or Console(highlight=False, soft_wrap=True)
        self.live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None

    def event(self, unit: Unit, state: State, *, stage: str = "", text: str = "", overhead: float = 0.0) -> None:
        """A unit has come to `state`; a log says so when it begins, and when it ends."""
        row = self.rows[str(unit)]
        begins = state is State.RUNNING and row.state is State.MISSING
        row.state, row.stage, row.text = state, stage, text or row.text
        if stage != "train" and not begins and row.reached < row.kimg:  # its training has ended
            row.trained *= row.kimg / row.reached if row.reached else 1.0
            row.reached = row.kimg
        if state in ENDED:
            row.overhead = overhead
        if self.live is None and (begins or state in ENDED):
            what = "begins" if begins else state
            self.console.print(f"repro: {unit}: {what}{f', {text}' if text else ''}{'' if begins else f' ({self})'}")

    @contextmanager
    def shown(self, every: float) -> Iterator[None]:
        """Renewed every so many seconds, as long as the block runs."""
        ended = threading.Event()

        def renew() -> None:
            while not ended.wait(every):
                self.refresh()
            self.refresh()

        thread = threading.Thread(target=renew, daemon=True)
        with self.live or nullcontext():
            thread.start()
            try:
                yield
            finally:
                ended.set()
                thread.join()

    def refresh(self) -> None:
        """Read how far the trainings are, and draw, on a terminal."""
        for cell, seen in progress().items():
            row = self.rows.get(cell)
            if row is not None and row.stage == "train" and seen["s_per_kimg"]:
                row.reached, row.trained = seen["kimg"], seen["kimg"] * seen["s_per_kimg"]
        if self.live is not None:
            self.live.update(Group(self.table(), Text(f"total: {self}")), refresh=True)

    def __str__(self) -> str:
        """`3 of 24 trainings, 12 % trained, about 20 min left`"""
        rows = self.rows.values()
        ended = sum(row.state in ENDED for row in rows)
        planned, reached = sum(row.kimg for row in rows), sum(min(row.reached, row.kimg) for row in rows)
        text = f"{ended} of {len(rows)} trainings, {100 * reached / max(planned, 1e-9):.0f} % trained"
        left = self.seconds_left()
        return text if left is None else f"{text}, about {left / 60:,.0f} min left"

    def seconds_left(self) -> float | None:
        """Of the whole matrix, all stages: what the records in git let expect, at this machine's pace so far."""
        rows = self.rows.values()
        share = {id(row): min(1.0, row.reached / row.kimg) if row.kimg else 1.0 for row in rows}
        expected = sum(row.expected * share[id(row)] for row in rows if row.trained)
        if not expected:
            return None
        pace = sum(row.trained for row in rows) / expected
        measured = [row.overhead / row.cells for row in rows if row.state is State.DONE and row.overhead is not None]
        overhead = sum(measured) / len(measured) if measured else OVERHEAD
        waiting = [row for row in rows if row.state not in ENDED]
        work = sum(row.expected * (1 - share[id(row)]) * pace + overhead * row.cells for row in waiting)
        return work / max(1, min(self.places, len(waiting))) + REPORT

    def table(self) -> Table:
        """Every unit if they fit on the screen, else those at work, then those that failed, wait, and are done."""
        order = {State.RUNNING: 0, State.FAILED: 1, State.MISSING: 2, State.DONE: 3}
        rows, room = list(self.rows.items()), self.console.size.height - 4
        if len(rows) > room:
            rows = sorted(rows, key=lambda item: order.get(item[1].state, 0))[:room]
        table = Table(box=None, show_header=False)
        for name, row in rows:
            state = "waiting" if row.state is State.MISSING else row.stage or row.state
            far = f"{row.reached:,.1f}/{row.kimg:,.1f} kimg" if row.kimg else "imported"
            pace = f"{row.trained / row.reached:.2f} s/kimg" if row.trained and row.stage == "train" else ""
            table.add_row(name, state, far, pace, row.text)
        return table
