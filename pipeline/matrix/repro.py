"""`dvc repro` with cells side by side: transgan repro [--jobs 2], or make repro

Cells do not depend on each other, and a small training keeps no more than one core or GPU busy. So each cell is
trained, measured and drawn by its own `dvc repro --single-item`, several at a time, one on each GPU, and a plain
`dvc repro` does whatever is left. The result is that of `dvc repro` alone.

Each cell's processes write to .work/logs/<cell>.log themselves and hold a lock on it. Ctrl-C ends them with their state
stored. A killed `make repro` leaves them at work; the next one waits for them.
"""

import argparse
import fcntl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.base.errors import UserError, command_line
from pipeline.base.files import add_number, read_json
from pipeline.base.git import ask, no_revision
from pipeline.base.machine import slots, visible_gpus
from pipeline.base.run_cache import forget_absent
from pipeline.matrix.board import Board
from pipeline.matrix.collect import SUMMARY
from pipeline.matrix.dvc import DVC, RESUMABLE, dvc, environment, first_error, show_stages, stages_begun
from pipeline.matrix.units import State, Unit, read_units, references
from pipeline.plan.config import load
from pipeline.runs.work_dirs import local_root, lock

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
            dvc("repro", *references(units), show=show_stages)
            run_units(units, slots(visible_gpus(), max(unit.processes for unit in units), jobs))
        dvc("repro", show=show_stages)
        minutes, changed = (time.monotonic() - began) / 60, ask("status", "--porcelain", "-uno", "--", *GENERATED)
        files = "no git" if changed is None else f"{len(changed.splitlines())} tracked files changed"
        metric = read_json(SUMMARY).get("metric", "") if Path(SUMMARY).is_file() else ""
        print(f"repro: {len(units)} trainings in {minutes:,.1f} min, {files}; {metric} by row: dvc metrics show")
    print(f"report: {Path('reports/README.md').absolute()} and index.html beside it", flush=True)


def up_to_date() -> bool:
    """Whether dvc has nothing to do. Errors: `UserError` for what dvc refuses: a broken dvc.lock, no repository."""
    return dvc("status", "--json").splitlines()[-1:] == ["{}"]


def run_units(units: list[Unit], slots: list[dict[str, str]]) -> None:
    """All units, one in each of `slots` (environment variables) at a time; all are tried, also after a failure.

    Errors: `UserError` of the first that failed, after the last has ended.
    """
    logs = local_root() / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    print(f"repro: {len(units)} trainings, {len(slots)} at a time; each cell's log is in {logs}", flush=True)
    board, free = Board(units, len(slots)), list(slots)

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
        except BlockingIOError:
            board.event(unit, State.RUNNING, stage="train", text="by an earlier make repro, which is waited for")
            fcntl.flock(log, fcntl.LOCK_EX)
        log.truncate(0)
        # `*@digits-full-1`: all stages of a cell, for which dvc reads its lock once and not once a stage.
        command = [*DVC, "--wait-for-lock", "repro", "--single-item", "--glob", *unit.addresses(("*",))]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment() | slot)
        ended = False
        while not ended:
            ended = process.poll() is not None  # looked at before the log: nothing is written after it
            output = path.read_text(encoding="utf-8", errors="replace")
            if begun := stages_begun(output):
                board.event(unit, State.RUNNING, stage=begun[-1].partition("@")[0])
            time.sleep(0.0 if ended else EVERY)
    if process.returncode:
        error = f"{first_error(output)} (log: {path})"
        board.event(unit, State.FAILED, text=error)
        raise UserError(f"{unit}: {error}; {RESUMABLE}")
    measured = Path("measured") / str(unit) / "metrics.json"
    values = read_json(measured) if measured.is_file() else {}
    numbers = [f"{name} {value:.4g}" for name, value in values.items() if name != "kimg" and isinstance(value, float)]
    board.event(unit, State.DONE, text="".join(numbers[:1]))


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(prog="transgan repro", description="dvc repro, with trainings side by side.")
    add_number(parser, "--jobs", 1, help="trainings at a time (one a GPU, or one a core, 8 at most)")
    jobs = parser.parse_args().jobs

    def refuse(_: str) -> None:
        raise UserError("another make repro is at work in this clone; wait until it has ended, or end it")

    with lock(local_root() / "repro.lock", "make repro", refuse):
        reproduce(jobs)


if __name__ == "__main__":
    main()
