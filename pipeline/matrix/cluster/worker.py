"""Train, measure and draw one cell in a clone of its own, and push the results:

    python -m pipeline.matrix.cluster.worker --cell digits/full/seed0            # or: make cell CELL=digits/full/seed0

Engines add --revision (the head's: another one is refused), --source and --clones (where to make the clone). Cells that
are the same training are one piece of work: whichever of them is named, one is trained and the others copy it.

Signals: SIGTERM and SIGINT store the training's state and end the worker with status 1, SIGUSR1 with status 75: the
time is over, try again. The same command goes on from there, on another machine too if TRANSGAN_WORK names a folder
that both see.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.errors import UserError, command_line
from pipeline.base.files import read_json
from pipeline.base.git import check_clean, check_libraries
from pipeline.matrix.cluster import states
from pipeline.matrix.cluster.clone import inherit, inherited, take
from pipeline.matrix.cluster.dvc_run import DvcRun, Ended, stage_environment
from pipeline.matrix.cluster.remote import RemoteCells, check_remote, opened
from pipeline.matrix.cluster.units import Unit, address, find_unit, read_units
from pipeline.runs.watchdog import WORKER
from pipeline.runs.work_dirs import SHARED, discard, work_root

TRY_AGAIN = 75  # exit status EX_TEMPFAIL: stopped with its state stored


class Stopped(Exception):
    """A signal ended the work; everything is stored. `again`: the engine should start it again."""

    def __init__(self, name: str):
        super().__init__(name)
        self.again = name == "SIGUSR1"


@dataclass
class Worker:
    """Work on one unit in the clone `root`."""

    root: Path
    revision: str
    run: DvcRun | None = None
    signal: str | None = None

    def handle_signals(self) -> None:
        """From now on SIGTERM, SIGINT and SIGUSR1 stop what is at work."""

        def stop(number: int, _frame: object) -> None:
            # The first one counts: a scheduler and its script may both send one.
            self.signal = self.signal or signal.Signals(number).name
            if self.run is not None:
                self.run.stop()

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, stop)

    def dvc(self, *arguments: str, show: Callable[[str], None] = print) -> Ended:
        """One dvc command. Errors: `Stopped` after a signal."""
        if self.signal:
            raise Stopped(self.signal)
        environment = stage_environment() | {WORKER: str(os.getpid())}
        run = DvcRun(*arguments, root=self.root, environment=environment, pass_fds=inherited())
        self.run = run
        if self.signal:  # it came while dvc was being started
            run.stop()
        ended = run.wait(show)
        self.run = None
        if self.signal:
            raise Stopped(self.signal)
        return ended

    def work(self, cell: str) -> Unit:
        """Do the unit of `cell`, whole. Errors: `UserError` for what failed; `Stopped`."""
        with opened(self.root) as repo:
            check_remote(repo)
        # Whatever plan is there, of the commit or of the clone's last revision: it follows from params.yaml.
        with self._telling((cell,)):
            self._checked(self.dvc("repro", "plan"), "plan")
        unit = find_unit(read_units(self.root), cell)
        if unit.name != cell:
            _say(f"{cell} is the same training as {unit.name}, which is trained and copied")

        def busy(who: str) -> None:
            _say(f"{unit.name} is at work by {who}, which is waited for")

        with states.claim(unit.name, busy):
            self._tell(unit.cells, "running", "")
            with self._telling(unit.cells):
                self._reproduce(unit)
                self._push(unit)
            self._tell(unit.cells, "pushed", "")
            self._clean(unit)
        return unit

    def _reproduce(self, unit: Unit) -> None:
        if len(unit.cells) > 1:  # dvc takes targets in an order of its own, and the twins are to find the first one
            self._checked(self.dvc("repro", "--pull", address("train", unit.name)), unit.name)
        self._checked(self.dvc("repro", "--pull", *unit.stages()), unit.name)

    def _push(self, unit: Unit) -> None:
        """Outputs first, then the run cache: an entry that is in the remote then names outputs that are."""
        again = "; nothing is lost: mend that and start the same command again, it pushes without training"
        for options in ((), ("--run-cache",)):
            ended = self.dvc("push", *options, *unit.stages())
            if ended.code:
                raise UserError(
                    f"{unit.name}: is trained, and could not be pushed ({ended.error or 'see above'}){again}"
                )
        with opened(self.root) as repo:
            remote = RemoteCells(repo)
            missing = [cell for cell in unit.cells if not remote.holds(cell)]
        if missing:
            raise UserError(f"{missing[0]}: is trained, and the remote lacks a part of what was pushed{again}")

    def _clean(self, unit: Unit) -> None:
        """The state of a training is kept until its results are pushed. After a shortage of memory it stays."""
        record = read_json(self.root / "runs" / unit.name / "run.json")
        if record["status"] != "oom" and "key" in record:  # an imported run has none
            try:
                discard(record["key"])
            except OSError as error:  # a network's file system may hold on to a file: the results are pushed
                _say(f"the state of {unit.name} could not be removed ({error}); transgan unfinished --remove does it")

    @contextmanager
    def _telling(self, cells: tuple[str, ...]) -> Iterator[None]:
        """Say of `cells` how the work ended, where it did not come to its end."""
        try:
            yield
        except Stopped as stopped:
            self._tell(cells, "stopped", f"by {stopped}, its state is stored")
            raise
        except UserError as error:
            self._tell(cells, "failed", str(error))
            raise

    def _tell(self, cells: tuple[str, ...], status: str, detail: str) -> None:
        for cell in cells:
            states.say(cell, status, detail, self.revision)

    def _checked(self, ended: Ended, name: str) -> None:
        if ended.code:
            raise UserError(
                f"{name}: dvc repro failed ({ended.error or 'see above'}); what was finished is kept, "
                "the same command goes on from there"
            )


def in_clone(options: argparse.Namespace) -> None:
    """Replace this program by a worker in a clone at the head's revision: its code is that revision's too."""
    clone, lock = take(options.source, Path(options.clones or work_root() / "clones").absolute(), options.revision)
    environment = os.environ | inherit(lock) | {SHARED: str(work_root().absolute()), "PYTHONPATH": str(clone)}
    environment.pop("DVC_ROOT", None)
    arguments = ["--cell", options.cell, "--revision", options.revision]
    arguments += ["--other-libraries"] if options.other_libraries else []
    os.chdir(clone)
    os.execve(sys.executable, [sys.executable, "-m", "pipeline.matrix.cluster.worker", *arguments], environment)


def check(root: Path, revision: str | None, *, other_libraries: bool) -> str:
    """The revision of the clone. Errors: `UserError` where results from here would not be the head's."""
    at = check_clean(root)
    if revision is not None and at != revision:
        raise UserError(
            f"this clone is at {at[:12]}, the head at {revision[:12]}: results would be another revision's; "
            f"git fetch && git checkout {revision[:12]}"
        )
    if not other_libraries:
        check_libraries(root)
    return at


def _say(text: str) -> None:
    print(f"worker: {text}", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="transgan worker", description="Train, measure, draw and push one cell.")
    parser.add_argument("--cell", required=True, help="<dataset>/<variant>/seed<k>")
    parser.add_argument("--revision", help="the head's commit; a clone at another one is refused")
    parser.add_argument("--source", help="repository to clone, for a worker that has no clone of its own yet")
    parser.add_argument("--clones", help="folder for clones and their cache (clones/ in the work folder)")
    parser.add_argument("--other-libraries", action="store_true", help="allow versions that are not those pinned")
    options = parser.parse_args()
    if options.source and not options.revision:
        raise UserError("--source: given without --revision; allowed: both, or neither")
    return options


@command_line
def main() -> None:
    options = parse()
    if options.source:
        in_clone(options)
    root = Path.cwd()
    worker = Worker(root, check(root, options.revision, other_libraries=options.other_libraries))
    worker.handle_signals()
    try:
        unit = worker.work(options.cell)
    except Stopped as stopped:
        print(f"worker: stopped by {stopped}; the same command goes on from there", file=sys.stderr, flush=True)
        sys.exit(TRY_AGAIN if stopped.again else 1)
    _say(f"{', '.join(unit.cells)}: trained, measured, drawn and pushed")


if __name__ == "__main__":
    main()
