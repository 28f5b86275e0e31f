"""`dvc repro` with cells side by side: transgan repro [--jobs 2], or make repro

Cells do not depend on each other, and a small training keeps no more than one core or GPU busy. So each cell is
trained, measured and drawn by its own `dvc repro --single-item`, several at a time, one on each GPU, and a plain
`dvc repro` does whatever is left. The result is that of `dvc repro` alone.

Each cell's processes write to .work/logs/<cell>.log themselves and hold a lock on it. Ctrl-C ends them with their state
stored. A killed `make repro` leaves them at work; the next one waits for them.
"""

import fcntl
import subprocess
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pipeline.base.errors import ArgumentParser, UserError, amount, command_line
from pipeline.base.files import add_number, read_json
from pipeline.base.git import ask, no_revision
from pipeline.base.machine import slots, visible_gpus
from pipeline.matrix.collect import SUMMARY
from pipeline.matrix.dvc import DVC, RESUMABLE, dvc, environment, first_error, show_stages, status
from pipeline.matrix.units import State, Unit, read_units, references, trainings
from pipeline.plan.config import load
from pipeline.runs.work_dirs import local_root, lock

GENERATED = ("plan", "results", "reports", "dvc.lock")
OVERHEAD = 15.0  # seconds of a cell outside its training
REPORT = 45.0  # seconds of what follows the last cell
ENDED = (State.DONE, State.FAILED)


@dataclass
class Row:
    """How far a unit is. `expected`: seconds of its training on the machine of the record in git, or a guess."""

    unit: Unit
    expected: float
    state: State = State.MISSING
    share: float = 0.0  # of its training, 0..1
    seconds: float = 0.0  # of training so far


class Board:
    """All units of a matrix. `event` may be called by any thread."""

    def __init__(self, units: list[Unit], slots: int, trained: Collection[Unit] = (), console: Console | None = None):
        """`slots`: units at a time; `trained`: those that need no training."""
        recorded = {unit: read_json(f"results/{unit}/run.json", {}).get("seconds") for unit in units}
        paces = [seconds / unit.kimg for unit, seconds in recorded.items() if seconds and unit.kimg]
        pace = sum(paces) / len(paces) if paces else 1.0  # seconds a kimg
        self.recorded = bool(paces)
        self.rows = {
            str(unit): Row(unit, recorded[unit] or pace * unit.kimg, share=float(unit in trained)) for unit in units
        }
        self.slots, self.console = slots, console or Console(highlight=False, soft_wrap=True)
        self.live = Live(console=self.console, get_renderable=self.total, refresh_per_second=1, transient=True)

    def event(self, unit: Unit, state: State, text: str = "") -> None:
        """A unit begins or has ended, and a line says so. `text`: result or error."""
        self.rows[str(unit)].state = state
        self.look()
        total = f" ({self})" if state in ENDED else ""
        self.console.print(f"repro: {unit}: {state if total else 'begins'}{f', {text}' if text else ''}{total}")

    def look(self) -> None:
        """Take over what the trainings at work write of themselves."""
        seen = trainings()
        for name, row in self.rows.items():
            training = seen.get(name)
            if row.state is State.RUNNING and training and training.seconds_per_kimg and row.unit.kimg:
                row.share = min(1.0, training.kimg / row.unit.kimg)
                row.seconds = training.kimg * training.seconds_per_kimg
            elif row.state in ENDED or (row.share and not training):  # then its state is removed
                row.seconds, row.share = row.seconds / (row.share or 1.0), 1.0

    def total(self) -> Text:
        """The line for the whole, as things are now."""
        self.look()
        return Text(f"total: {self}; each training: make watch TEXT=1")

    def __str__(self) -> str:
        """`3 of 24 trainings, 12 % trained, about 20 min left`"""
        rows = self.rows.values()
        ended = sum(row.state in ENDED for row in rows)
        planned, reached = sum(row.unit.kimg for row in rows), sum(row.share * row.unit.kimg for row in rows)
        text = f"{ended} of {amount(len(rows), 'training')}, {100 * reached / max(planned, 1e-9):.0f} % trained"
        left = self.seconds_left()
        return text if left is None else f"{text}, about {left / 60:,.0f} min left"

    def seconds_left(self) -> float | None:
        """Of the whole matrix, all stages: what the records in git let expect, at this machine's pace so far.

        None where nothing was timed and git has no record.
        """
        timed = [row for row in self.rows.values() if row.seconds]
        if not timed and not self.recorded:
            return None
        pace = sum(row.seconds for row in timed) / sum(row.expected * row.share for row in timed) if timed else 1.0
        waiting = [row for row in self.rows.values() if row.state not in ENDED]
        work = sum(row.expected * (1 - row.share) * pace + OVERHEAD * len(row.unit.cells) for row in waiting)
        return work / max(1, min(self.slots, len(waiting))) + REPORT


def reproduce(jobs: int | None) -> None:
    """Bring everything up to date, up to `jobs` units at a time (None: one a GPU, or one a core).

    Errors: `UserError` for a refused setting before any work; for what dvc refuses; for units that failed, at the end.
    """
    began = time.monotonic()
    load()
    if (why := no_revision()) is not None:
        print(f"repro: note: results will name no revision: {why}", flush=True)
    if not status():
        print("Data and pipelines are up to date.")
    else:
        dvc("repro", "plan", show=show_stages)
        units = read_units()
        if jobs != 1 and len(units) > 1:
            dvc("repro", *references(units), show=show_stages)
            behind = {*status()}
            current = [unit for unit in units if not behind & {*unit.addresses(("train",))}]
            run_units(units, slots(visible_gpus(), max(unit.processes for unit in units), jobs), current)
        dvc("repro", show=show_stages)
        minutes, changed = (time.monotonic() - began) / 60, ask("status", "--porcelain", "-uno", "--", *GENERATED)
        files = "no git" if changed is None else f"{len(changed.splitlines())} tracked files changed"
        metric, count = read_json(SUMMARY, {}).get("metric", ""), amount(len(units), "training")
        print(f"repro: {count} in {minutes:,.1f} min, {files}; {metric} by row: dvc metrics show")
    print(f"report: {Path('reports/README.md').absolute()} and index.html beside it", flush=True)


def run_units(units: list[Unit], slots: list[dict[str, str]], trained: Collection[Unit] = ()) -> None:
    """All units, one in each of `slots` (environment variables) at a time; all are tried, also after a failure.

    `trained`: those whose training is up to date, which need no time for it.
    Errors: `UserError` of the first that failed, after the last has ended.
    """
    logs = local_root() / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    board, free = Board(units, len(slots), trained), list(slots)
    print(f"repro: {board}, {len(slots)} at a time; each cell's log is in {logs}", flush=True)

    def run(unit: Unit) -> None:
        slot = free.pop()  # there are as many threads as slots
        try:
            run_unit(unit, slot, board, logs / f"{str(unit).replace('/', '-')}.log")
        finally:
            free.append(slot)

    with board.live, ThreadPoolExecutor(len(slots)) as pool:
        try:
            failures = [work.exception() for work in [pool.submit(run, unit) for unit in units]]
        except KeyboardInterrupt:
            # The terminal tells those at work, too: they store their state and end. No other one begins.
            pool.shutdown(cancel_futures=True)
            raise
    for failure in filter(None, failures):
        raise failure


def run_unit(unit: Unit, slot: dict[str, str], board: Board, path: Path) -> None:
    """One unit: its processes write to its log. Errors: `UserError` where a stage fails; the other units go on."""
    with open(path, "a", encoding="utf-8") as log:
        try:  # a lock for this process and those that inherit the log
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            board.event(unit, State.RUNNING)
        except BlockingIOError:
            board.event(unit, State.RUNNING, "by an earlier make repro, which is waited for")
            fcntl.flock(log, fcntl.LOCK_EX)
        log.truncate(0)
        # `*@digits-full-1`: all stages of a cell, for which dvc reads its lock once and not once a stage.
        command = [*DVC, "--wait-for-lock", "repro", "--single-item", "--glob", *unit.addresses(("*",))]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment() | slot)
    if done.returncode:
        error = f"{first_error(path.read_text(encoding='utf-8', errors='replace'))} (log: {path})"
        board.event(unit, State.FAILED, error)
        raise UserError(f"{unit}: {error}; {RESUMABLE}")
    values = read_json(f"measured/{unit}/metrics.json", {})
    numbers = [f"{name} {value:.4g}" for name, value in values.items() if name != "kimg" and isinstance(value, float)]
    board.event(unit, State.DONE, "".join(numbers[:1]))


@command_line
def main() -> None:
    parser = ArgumentParser(prog="transgan repro", description="dvc repro, with trainings side by side.")
    add_number(parser, "--jobs", 1, help="trainings at a time (one a GPU, or one a core, 8 at most)")
    jobs = parser.parse_args().jobs

    def refuse(_: str) -> None:
        raise UserError("another make repro is at work in this clone; wait until it has ended, or end it")

    with lock(local_root() / "repro.lock", "make repro", refuse):
        reproduce(jobs)
