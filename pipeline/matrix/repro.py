"""`dvc repro` with cells side by side: transgan repro [--jobs 2], or make repro

DVC runs stages one after the other. Cells do not depend on each other, and a small training keeps no more than one core
or GPU busy; so cells are started several at a time, one on each GPU, each trained, measured and drawn by its own
`dvc repro --single-item`, and a plain `dvc repro` does whatever is left. The result is that of `dvc repro` alone.

Each cell's processes write to .work/logs/<cell>.log themselves and hold a lock on it. Ctrl-C ends them with their state
stored. A killed `make repro` leaves them at work; the next one waits for them.
"""

import argparse
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.base.cell import STAGES, Cell
from pipeline.base.errors import UserError, command_line
from pipeline.base.files import read_json
from pipeline.base.git import ask, no_revision
from pipeline.base.machine import slots, visible_gpus
from pipeline.base.run_cache import forget_absent
from pipeline.matrix.board import Board
from pipeline.matrix.collect import SUMMARY
from pipeline.matrix.dvc import DVC, ON, Output, dvc, environment, show_stages
from pipeline.matrix.units import State, Unit, read_units
from pipeline.plan.config import load
from pipeline.runs.work_dirs import local_root

EVERY = 1.0  # seconds between two looks at the logs
GENERATED = ("plan", "results", "reports", "dvc.lock")


def reproduce(jobs: int | None) -> None:
    """Bring everything up to date, up to `jobs` units at a time (None: one a GPU, or one a core).

    Errors: `UserError` for a refused setting before any work; for what dvc refuses; for units that failed, at the end.
    """
    began = time.monotonic()
    load()
    forget_absent()
    if (why := no_revision()) is not None:
        print(f"repro: note: results will name no revision: {why}", flush=True)
    if up_to_date():
        print("Data and pipelines are up to date.")
    else:
        dvc("repro", "plan", show=show_stages)
        units = read_units()
        if jobs != 1 and len(units) > 1:
            datasets = sorted({cell.dataset for unit in units for cell in unit.cells})
            dvc("repro", *(f"reference@{dataset}" for dataset in datasets), show=show_stages)
            places = slots(visible_gpus(), max(unit.processes for unit in units), jobs)
            run_units(units, places, Board(units, len(places), recorded(units)))
        dvc("repro", show=show_stages)
        print(f"repro: {ending(units, time.monotonic() - began)}")
    print(f"report: {Path('reports/README.md').absolute()} and index.html beside it", flush=True)


def up_to_date() -> bool:
    """Whether dvc has nothing to do. Errors: `UserError` for what dvc refuses: a broken dvc.lock, no repository."""
    lines: list[str] = []
    dvc("status", "--json", show=lines.append)
    return lines[-1:] == ["{}"]


def ending(units: list[Unit], seconds: float) -> str:
    """The three numbers at the end: trainings, minutes, and files that git sees changed."""
    changed = ask("status", "--porcelain", "--untracked-files=no", "--", *GENERATED)
    files = "no git" if changed is None else f"{len(changed.splitlines())} tracked files changed"
    metric = read_json(SUMMARY).get("metric", "") if Path(SUMMARY).is_file() else ""
    return f"{len(units)} trainings in {seconds / 60:,.1f} min, {files}; {metric} by row: dvc metrics show"


def recorded(units: list[Unit]) -> dict[Cell, float]:
    """Seconds of each cell's training by the record that git holds, of whatever machine."""
    found = {}
    for cell in (cell for unit in units for cell in unit.cells):
        file = cell.results() / "run.json"
        seconds = read_json(file).get("seconds") if file.is_file() else None
        if seconds:
            found[cell] = float(seconds)
    return found


def run_units(units: list[Unit], places: list[dict[str, str]], board: Board) -> None:
    """All units, one in each of `places` (environment variables) at a time; all are tried, also after a failure.

    Errors: `UserError` of the first that failed, after the last has ended.
    """
    print(f"repro: {len(units)} trainings, {len(places)} at a time; each cell's log is in {logs()}", flush=True)
    free = deque(places)  # there are as many threads as places, so that one is free

    def in_a_place(unit: Unit) -> None:
        place = free.popleft()
        try:
            run_unit(unit, place, board)
        finally:
            free.append(place)

    with board.shown(EVERY), ThreadPoolExecutor(len(places)) as pool:
        try:
            failures = [work.exception() for work in [pool.submit(in_a_place, unit) for unit in units]]
        except KeyboardInterrupt:
            # The terminal tells those at work, too: they store their state and end. No other one begins.
            pool.shutdown(cancel_futures=True)
            raise
    for failure in filter(None, failures):
        raise failure


def run_unit(unit: Unit, place: dict[str, str], board: Board) -> None:
    """One unit: its processes write to its log. Errors: `UserError` where a stage fails; the other units go on."""
    path = logs() / f"{str(unit).replace('/', '-')}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    began, trained = time.monotonic(), 0.0
    with open(path, "a+", encoding="utf-8", errors="replace") as log:
        try:  # a lock for this process and those that inherit the log
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            board.event(unit, State.RUNNING, stage="train", text="by an earlier make repro, which is waited for")
            fcntl.flock(log, fcntl.LOCK_EX)
        log.truncate(0)
        command = [*DVC, "--wait-for-lock", "repro", "--single-item", *unit.addresses(STAGES)]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment() | place)
        output = Output()
        with open(path, encoding="utf-8", errors="replace") as reader:
            while True:
                ended = process.poll() is not None  # looked at before the log: nothing is written after it
                for line in reader:
                    output.read(line)
                stage = output.ran[-1].partition("@")[0] if output.ran else ""
                if stage:
                    board.event(unit, State.RUNNING, stage=stage)
                trained += EVERY if stage == "train" else 0.0
                if ended:
                    break
                time.sleep(EVERY)
    if process.returncode:
        error = output.error or "dvc failed"
        board.event(unit, State.FAILED, text=f"{error} (log: {path})")
        raise UserError(f"{unit}: {error} (log: {path}); {ON}")
    board.event(unit, State.DONE, text=result(unit.cells[0]), overhead=time.monotonic() - began - trained)


def result(cell: Cell) -> str:
    """The first number that was measured of a cell, `fd_digits 49.2`; empty where there is none."""
    file = cell.measured() / "metrics.json"
    values = read_json(file) if file.is_file() else {}
    numbers = (f"{name} {value:.4g}" for name, value in values.items() if name != "kimg" and isinstance(value, float))
    return next(numbers, "")


def logs() -> Path:
    return local_root() / "logs"


def _leave(number: int, frame: object) -> None:
    """End alone: the trainings at work have logs of their own and go on."""
    print(f"repro: ended by a signal; trainings at work go on, logs are in {logs()}; make repro again waits for them")
    sys.stdout.flush()
    os._exit(128 + number)


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(prog="transgan repro", description="dvc repro, with trainings side by side.")
    parser.add_argument("--jobs", type=int, help="trainings at a time (one a GPU, or one a core, 8 at most)")
    arguments = parser.parse_args()
    if arguments.jobs is not None and arguments.jobs < 1:
        raise UserError(f"--jobs: given {arguments.jobs}; allowed: 1 or more")
    signal.signal(signal.SIGTERM, _leave)
    path = local_root() / "repro.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=0):
            reproduce(arguments.jobs)
    except Timeout:
        raise UserError("another make repro is at work in this clone; wait until it has ended, or end it") from None


if __name__ == "__main__":
    main()
