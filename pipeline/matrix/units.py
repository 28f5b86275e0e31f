"""Units of work, and what their workers say of them.

A unit is the cells of one training. Workers write states/<cell>.json into the work folder, which heads read. A lock
beside it is held as long as the worker lives, so a worker that was killed is told from one at work.
"""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipeline.base.cell import CACHED, Cell
from pipeline.base.errors import UserError, choices
from pipeline.base.files import read_json, write_json
from pipeline.base.schema import read_yaml
from pipeline.runs.unfinished import Unfinished, unfinished
from pipeline.runs.work_dirs import work_root


class State(StrEnum):
    """How far a cell is, for the board of `make repro`, for workers and for `transgan gather`."""

    DONE = "done"  # trained, measured and drawn; by a worker: and pushed
    RUNNING = "running"
    STOPPED = "stopped"  # its state is stored
    FAILED = "failed"
    MISSING = "missing"  # nobody has begun it


@dataclass(frozen=True)
class Unit:
    """Cells of one training: `cells[0]` is trained, the others are its twins and copy it."""

    cells: tuple[Cell, ...]
    kimg: float = 0.0  # to train; 0 where a checkpoint is imported
    processes: int = 1  # of the training: one GPU each

    def __str__(self) -> str:
        return str(self.cells[0])

    def addresses(self, stages: tuple[str, ...] = CACHED) -> list[str]:
        """DVC's names of the unit's stages, cell by cell."""
        return [cell.address(stage) for cell in self.cells for stage in stages]


def read_units(root: str | Path = ".") -> list[Unit]:
    """The units of the plan, in its order. Errors: `UserError` where there is no plan."""
    groups: dict[Cell, list[dict[str, Any]]] = {}
    for record in read_json(Path(root) / "plan/index.json")["cells"]:
        leader = Cell(record["dataset"], record["twin_of"] or record["variant"], record["seed"])
        groups.setdefault(leader, []).append(record)
    units = []
    for leader, records in groups.items():
        file = leader.plan("train", Path(root) / "plan")
        train = read_yaml(file).get("train", {}) if file.is_file() else {}  # none where a checkpoint is imported
        units.append(Unit(tuple(map(Cell.of, records)), records[0]["kimg"], int(train.get("processes", 1) or 1)))
    return units


def references(units: list[Unit]) -> list[str]:
    """DVC's names of what the units are measured against, a stage a data set."""
    return sorted({f"reference@{cell.dataset}" for unit in units for cell in unit.cells})


def find_unit(units: list[Unit], cell: Cell) -> Unit:
    """The unit that `cell` belongs to. Errors: `UserError` where the plan has no such cell."""
    by_cell = {str(one): unit for unit in units for one in unit.cells}
    if str(cell) not in by_cell:
        raise UserError(f"--cell: given {str(cell)!r}; allowed: {choices(by_cell, str(cell))}")
    return by_cell[str(cell)]


def state_file(cell: Cell, kind: str) -> Path:
    """`json`: the last report on `cell`; `lock`: held by its one worker, as long as that lives."""
    return work_root() / "states" / f"{cell}.{kind}"


def write_report(cells: Iterable[Cell], state: State, detail: str, revision: str) -> None:
    """Write the state of `cells`, and one line about it. Errors: `OSError` of the work folder."""
    report = {"state": state, "detail": detail, "host": socket.gethostname(), "revision": revision}
    for cell in cells:
        write_json(state_file(cell, "json"), report)


def last_report(cell: Cell) -> dict[str, str]:
    """The last report on `cell`, as `write_report` wrote it; empty where no worker has begun it."""
    return dict(read_json(state_file(cell, "json"), {}))


def trainings() -> dict[str, Unfinished]:
    """The unfinished trainings in the work folder by cell, the one that was at work last for each."""
    return {one.cell: one for one in sorted(unfinished(work_root()), key=lambda one: one.updated)}
