"""Pieces of work: the cells of one training, the one enumeration of how far a cell is, and what workers say of that.

Workers write small files into the work folder, which heads read: states/<cell>.json says what was last heard. A lock
beside it is held as long as the worker lives, so a worker that was killed is told from one at work.
"""

import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipeline.base.cell import CACHED, Cell
from pipeline.base.errors import UserError, choices
from pipeline.base.files import read_json, write_json
from pipeline.base.schema import read_yaml
from pipeline.runs.work_dirs import work_root

INDEX = Path("plan/index.json")


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
    root, groups, kimg = Path(root), dict[Cell, list[Cell]](), dict[Cell, float]()
    for record in read_json(root / INDEX)["cells"]:
        cell = Cell.of(record)
        leader = Cell(cell.dataset, record["twin_of"] or cell.variant, cell.seed)
        groups.setdefault(leader, []).append(cell)
        kimg.setdefault(leader, record["kimg"])
    units = []
    for leader, cells in groups.items():
        file = leader.plan("train", root / "plan")
        train = read_yaml(file).get("train", {}) if file.is_file() else {}  # none where a checkpoint is imported
        units.append(Unit(tuple(cells), kimg[leader], int(train.get("processes", 1) or 1)))
    return units


def find_unit(units: list[Unit], cell: Cell) -> Unit:
    """The unit that `cell` belongs to. Errors: `UserError` where the plan has no such cell."""
    for unit in units:
        if cell in unit.cells:
            return unit
    names = [str(known) for unit in units for known in unit.cells]
    raise UserError(f"--cell: given {str(cell)!r}; allowed: {choices(names, str(cell))}")


@dataclass(frozen=True)
class Word:
    """What a worker last said of a cell."""

    state: State
    detail: str  # one line
    host: str
    revision: str
    updated: float  # seconds since 1970


def state_file(cell: Cell, kind: str) -> Path:
    """`json`: the last word on `cell`; `lock`: held by its one worker, as long as that lives."""
    return work_root() / "states" / f"{cell}.{kind}"


def say_state(cell: Cell, state: State, detail: str, revision: str) -> None:
    """Write the state of `cell`. Errors: `OSError` of the work folder."""
    word = Word(state, detail, socket.gethostname(), revision, time.time())
    write_json(state_file(cell, "json"), asdict(word))


def last_word(cell: Cell) -> Word | None:
    """The last word on `cell`; None where no worker has begun it. One that runs and holds no lock has stopped."""
    try:
        content = read_json(state_file(cell, "json"))
    except UserError:
        return None
    return Word(**{**content, "state": State(content["state"])})


def progress() -> dict[str, dict[str, Any]]:
    """progress.json of every unfinished training in the work folder, the newest for each cell."""
    found: dict[str, dict[str, Any]] = {}
    for file in work_root().glob("*/progress.json"):
        with suppress(UserError, KeyError, TypeError):
            content = read_json(file)
            if content["updated"] > found.get(content["cell"], {"updated": 0})["updated"]:
                found[content["cell"]] = content
    return found
