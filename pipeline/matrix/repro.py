"""`dvc repro` with cells side by side: python -m pipeline.matrix.repro [--jobs 2]

DVC runs stages one after the other. Cells do not depend on each other, and a small training keeps no more than one core
or GPU busy; so cells are started several at a time, one on each GPU, each trained, measured and drawn by its own
`dvc repro --single-item`, and a plain `dvc repro` does whatever is left. The result is that of `dvc repro` alone.
"""

import argparse
import os
import queue
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dvc.repo import Repo

from pipeline.base.errors import UserError, command_line
from pipeline.base.files import read_json
from pipeline.matrix.board import EVERY, Board
from pipeline.matrix.cluster.devices import slots, visible_gpus
from pipeline.matrix.cluster.dvc_run import DVC, ERROR
from pipeline.matrix.cluster.units import CELL_STAGES, INDEX, Unit, read_units
from pipeline.runs.work_dirs import local_root


def dvc(*arguments: str) -> None:
    """Errors: `UserError` where dvc fails; it has said why."""
    if subprocess.run([*DVC, *arguments]).returncode:
        raise UserError(
            f"dvc {' '.join(arguments)} failed, see above; what was finished is kept, "
            "the same command goes on from there"
        )


def reproduce(jobs: int | None) -> None:
    """Bring everything up to date, up to `jobs` cells at a time (None: one a GPU, or one a core)."""
    with Repo() as repo:
        if not repo.status():
            print("Data and pipelines are up to date.")
            return
        names = {stage.addressing for stage in repo.index.stages}
    if jobs != 1 and sum(name.startswith("train@") for name in names) > 1:
        dvc("repro", "plan")
        dvc("repro", *sorted(name for name in names if name.startswith("reference@")))
        units = read_units()
        places = slots(visible_gpus(), max(unit.processes for unit in units), jobs)
        run_units(units, places, Board(planned(), len(places)))
    dvc("repro")


def planned() -> dict[str, float]:
    """kimg to train of each cell of the plan; 0 for a twin, which is copied."""
    return {
        f"{cell['dataset']}/{cell['variant']}/seed{cell['seed']}": 0.0 if cell["twin_of"] else cell["kimg"]
        for cell in read_json(INDEX)["cells"]
    }


def run_units(units: list[Unit], places: list[dict[str, str]], board: Board) -> None:
    """All units, one in each of `places` (environment variables) at a time; all are tried, whatever becomes of one.

    Errors: `UserError` of the first that failed, after the last has ended.
    """
    print(f"repro: {len(units)} trainings, {len(places)} at a time; each cell's log is in {logs()}", flush=True)
    free: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
    for place in places:
        free.put(place)

    def in_a_place(unit: Unit) -> None:
        place = free.get()
        try:
            run_unit(unit, place, board)
        finally:
            free.put(place)

    ended = threading.Event()
    drawing = threading.Thread(target=_draw, args=(board, ended), daemon=True)
    drawing.start()
    with ThreadPoolExecutor(len(places)) as pool:
        try:
            for done in [pool.submit(in_a_place, unit) for unit in units]:
                done.result()
        except KeyboardInterrupt:
            # The terminal tells those at work, too: they store their state and end. No other one begins.
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            ended.set()
            drawing.join()


def run_unit(unit: Unit, place: dict[str, str], board: Board) -> None:
    """One unit: its output goes to the cell's log. Errors: `UserError` where a stage fails; the others' go on."""
    log, error = logs() / f"{unit.name.replace('/', '-')}.log", ""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [*DVC, "--wait-for-lock", "repro", "--single-item", *unit.stages(CELL_STAGES)]
    cells = {address: cell for cell in unit.cells for address in Unit((cell,)).stages(CELL_STAGES)}
    with (
        open(log, "w", encoding="utf-8") as file,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | place
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            file.write(line)
            file.flush()
            if line.startswith("Running stage '"):
                stage = line.split("'")[1]
                board.event(cells[stage], stage.partition("@")[0])
            elif not error and (found := ERROR.match(line)):
                error = found[1]
    if process.returncode:
        board.event(unit.name, "failed", f"{error or 'see its log'} (log: {log})")
        raise UserError(
            f"{unit.name}: {error or f'dvc failed, see {log}'}; "
            "what was finished is kept, the same command goes on from there"
        )
    for cell in unit.cells:
        board.event(cell, "done", result(cell))


def result(cell: str) -> str:
    """The first number that was measured of a cell, `fd_digits 49.2`; empty where there is none."""
    file = Path("measured") / cell / "metrics.json"
    values = read_json(file) if file.is_file() else {}
    return next((f"{name} {value:.4g}" for name, value in values.items() if name.startswith("f") and value), "")


def logs() -> Path:
    return local_root() / "logs"


def _draw(board: Board, ended: threading.Event) -> None:
    while not ended.wait(EVERY):
        board.refresh()
    board.refresh()


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(prog="transgan repro", description="dvc repro, with trainings side by side.")
    parser.add_argument("--jobs", type=int, help="trainings at a time (one a GPU, or one a core, 8 at most)")
    arguments = parser.parse_args()
    if arguments.jobs is not None and arguments.jobs < 1:
        raise UserError(f"--jobs: given {arguments.jobs}; allowed: 1 or more")
    reproduce(arguments.jobs)


if __name__ == "__main__":
    main()
