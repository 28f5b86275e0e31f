"""What each worker last said of its cell: small files in the work folder, which heads read.

states/<cell>.json says what was last heard. A lock beside it is held as long as the worker lives, so a worker that was
killed is told from one at work.
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.base.cell import Cell
from pipeline.base.errors import UserError
from pipeline.base.files import read_json, write_json
from pipeline.matrix.units import State
from pipeline.runs.work_dirs import held, lock, work_root


@dataclass(frozen=True)
class Word:
    """What a worker last said of a cell."""

    state: State
    detail: str  # one line
    host: str
    revision: str
    updated: float  # seconds since 1970


def folder() -> Path:
    return work_root() / "states"


def say(cell: Cell, state: State, detail: str, revision: str) -> None:
    """Write the state of `cell`. Errors: `OSError` of the work folder."""
    write_json(folder() / f"{cell}.json", asdict(Word(state, detail, socket.gethostname(), revision, time.time())))


@contextmanager
def claim(cell: Cell, busy: Callable[[str], None]) -> Iterator[None]:
    """Be the one worker of `cell`. Where another one is at it, `busy` is told who, and that one is waited for."""
    with lock(folder() / f"{cell}.lock", str(cell), busy):
        yield


def read(cell: Cell) -> Word | None:
    """The last word on `cell`; None where no worker has begun it. One that runs and holds no lock has stopped."""
    try:
        content = read_json(folder() / f"{cell}.json")
    except UserError:
        return None
    return Word(**{**content, "state": State(content["state"])})


def at_work(cell: Cell) -> bool:
    """Whether a living worker holds the cell."""
    return held(folder() / f"{cell}.lock")


def progress() -> dict[str, dict[str, Any]]:
    """progress.json of every unfinished training in the work folder, the newest for each cell."""
    found: dict[str, dict[str, Any]] = {}
    for file in work_root().glob("*/progress.json"):
        with suppress(UserError, KeyError, TypeError):
            content = read_json(file)
            if content["updated"] > found.get(content["cell"], {"updated": 0})["updated"]:
                found[content["cell"]] = content
    return found
