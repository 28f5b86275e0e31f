"""Train, measure and draw one cell, and push the results: transgan worker --cell digits/full/seed0

docs/how-to/cluster.md says what it does, and what it does on signals. Cells that are the same training are one unit:
whichever of them is named, one is trained and the others copy it. DVC runs one command at a time in a clone, so engines
(--source) give each unit a clone of its own. All clones share one DVC cache: a result that was trained and not yet
pushed is found by the next worker.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.cell import Cell
from pipeline.base.errors import ArgumentParser, UserError, command_line
from pipeline.base.files import read_json, say
from pipeline.base.git import check_clean, clone_at
from pipeline.matrix.dvc import DvcError, check_remote, dvc, push, share_cache
from pipeline.matrix.units import State, Unit, find_unit, read_units, state_file, write_report
from pipeline.runs.work_dirs import SHARED, WORKER, discard, lock, work_root

TRY_AGAIN = 75  # exit status EX_TEMPFAIL: stopped with its state stored
LOSSLESS = "nothing is lost: mend that and start the same command again, it pushes without training"


class Stopped(UserError):
    """The signal of this name ended the work; everything is stored."""


@dataclass
class Worker:
    """Work on one unit in the clone `root`."""

    root: Path
    revision: str
    signal: str | None = None  # the first that came
    process: subprocess.Popen[str] | None = None  # of dvc, at work

    def handle_signals(self) -> None:
        """From now on SIGTERM, SIGINT and SIGUSR1 stop what is at work."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, lambda number, frame: self.stop(signal.Signals(number).name))

    def stop(self, name: str) -> None:
        """SIGINT to dvc and its stage, which stores its state; only once, as a second one would end it before that.

        A scheduler and its script may both send a signal: the first one counts.
        """
        if self.signal is None:
            self.signal = name
            self._started(self.process)

    def _started(self, process: subprocess.Popen[str] | None) -> None:
        """Interrupt the process group of dvc where a signal has come, perhaps while dvc was being started."""
        self.process = process
        if process is not None and self.signal:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)

    def dvc(self, *arguments: str) -> str:
        """One dvc command; returns what it printed. Errors: `Stopped` after a signal, `UserError` where it fails."""
        if self.signal:
            raise Stopped(self.signal)
        alive = self.root.absolute() / f".work/worker-{os.getpid()}.lock"
        variables = {WORKER: str(alive), SHARED: str(work_root().absolute()), "PYTHONPATH": str(self.root)}
        try:
            with lock(alive, "worker", lambda who: None):  # a training ends when nobody holds it any more
                return dvc(*arguments, root=self.root, show=say, variables=variables, started=self._started)
        finally:
            self.process = None
            if self.signal:
                raise Stopped(self.signal)

    def work(self, cell: Cell) -> Unit:
        """Do the unit of `cell`, whole. Errors: `UserError` for what failed; `Stopped`."""
        cells: tuple[Cell, ...] = (cell,)
        try:
            check_remote(self.root)
            self.dvc("repro", "plan")  # whatever plan is there: it follows from params.yaml
            unit = find_unit(read_units(self.root), cell)
            if unit.cells[0] != cell:
                say(f"worker: {cell} is the same training as {unit}, which is trained and copied")
            path = state_file(unit.cells[0], "lock")
            with lock(path, str(unit), lambda who: say(f"worker: {unit} is at work by {who}, which is waited for")):
                cells = unit.cells
                write_report(cells, State.RUNNING, "", self.revision)
                # dvc takes targets in an order of its own, and the twins are to find the first one
                for targets in ([cells[0].address("train")], unit.addresses()):
                    self.dvc("repro", "--pull", *targets)
                try:
                    push(self.dvc, unit.addresses())
                except DvcError as error:
                    raise UserError(f"{unit}: is trained, and could not be pushed ({error}); {LOSSLESS}") from None
                write_report(cells, State.DONE, "", self.revision)
        except Stopped as stopped:
            write_report(cells, State.STOPPED, f"by {stopped}, its state is stored", self.revision)
            raise
        except UserError as error:
            write_report(cells, State.FAILED, str(error), self.revision)
            raise
        record = read_json(self.root / "runs" / str(unit) / "run.json")
        if record["status"] != "oom" and "key" in record:  # another try may have more memory; an imported run has none
            try:
                discard(record["key"])
            except OSError as error:  # a network's file system may hold on to a file: the results are pushed
                say(f"worker: the state of {unit} could not be removed ({error}); transgan unfinished --remove does it")
        return unit


def start(root: Path, options: argparse.Namespace) -> Worker:
    """A worker in `root` that listens to signals. Errors: `UserError` where results would not be the head's."""
    at = check_clean(root, any_libraries=options.other_libraries)
    if options.revision is not None and at != options.revision:
        given, head = f"this clone is at {at[:12]}", options.revision[:12]
        mend = f"git fetch && git checkout {head}"
        raise UserError(f"{given}, the head at {head}: results would be another revision's; {mend}")
    worker = Worker(root, at)
    worker.handle_signals()
    return worker


def work_in_clone(cell: Cell, options: argparse.Namespace) -> Unit:
    """The unit of `cell`, in a clone at the head's revision: its stages are that revision's, too."""
    clones = Path(options.clones or work_root() / "clones").absolute()
    clone = clones / str(cell).replace("/", "-")
    with lock(clones / f"{clone.name}.lock", str(cell), lambda who: say(f"worker: the clone of {who} is waited for")):
        clone_at(options.source, clone, options.revision)
        share_cache(clone, clones / "cache", Path(options.source) if Path(options.source).is_dir() else None)
        unit = start(clone, options).work(cell)
        shutil.rmtree(clone, ignore_errors=True)
    return unit


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = ArgumentParser(prog="transgan worker", description="Train, measure, draw and push one cell.")
    parser.add_argument("--cell", required=True, help="<dataset>/<variant>/seed<k>")
    parser.add_argument("--revision", help="the head's commit; a clone at another one is refused")
    parser.add_argument("--source", help="repository to clone, for a worker that has no clone of its own yet")
    parser.add_argument("--clones", help="folder for clones and their cache (clones/ in the work folder)")
    parser.add_argument("--other-libraries", action="store_true", help="allow versions that are not those pinned")
    options = parser.parse_args(arguments)
    if options.source and not options.revision:
        raise UserError("--source: given without --revision; allowed: both, or neither")
    return options


@command_line
def main() -> None:
    options = parse()
    cell = Cell.parse(options.cell)
    try:
        unit = work_in_clone(cell, options) if options.source else start(Path.cwd(), options).work(cell)
    except Stopped as stopped:
        print(f"worker: stopped by {stopped}; the same command goes on from there", file=sys.stderr, flush=True)
        sys.exit(TRY_AGAIN if str(stopped) == "SIGUSR1" else 1)
    say(f"worker: {', '.join(map(str, unit.cells))}: trained, measured, drawn and pushed")
