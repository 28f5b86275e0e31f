"""What becomes of each cell, as its worker says it: small files in the work folder, which heads read.

states/<cell>.json says what was last heard. A lock beside it is held as long as the worker lives, so a worker that was
killed is told from one at work.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError
from pipeline.base.files import read_json, write_json
from pipeline.runs.work_dirs import held, lock, work_root


@dataclass(frozen=True)
class State:
    """What a worker last said of a cell."""

    status: str  # running | stopped | failed | pushed
    detail: str  # one line
    host: str
    process: int
    revision: str
    updated: float  # seconds since 1970
    alive: bool = False


def folder() -> Path:
    return work_root() / "states"


def say(cell: str, status: str, detail: str, revision: str) -> None:
    """Write the state of `cell`. Errors: `OSError` of the work folder."""
    state = State(status, detail, socket.gethostname(), os.getpid(), revision, time.time())
    write_json(folder() / f"{cell}.json", asdict(state))


@contextmanager
def claim(cell: str, busy: Callable[[str], None]) -> Iterator[None]:
    """Be the one worker of `cell`. Where another one is at it, `busy` is told who, and that one is waited for."""
    with lock(folder() / f"{cell}.lock", cell, busy):
        yield


def read(cell: str) -> State | None:
    """The last word on `cell`; None where no worker has begun it."""
    try:
        content = read_json(folder() / f"{cell}.json")
    except UserError:
        return None
    return State(**{**content, "alive": held(folder() / f"{cell}.lock")})


def progress() -> dict[str, dict[str, Any]]:
    """progress.json of every unfinished training in the work folder, the newest for each cell."""
    found: dict[str, dict[str, Any]] = {}
    for file in work_root().glob("*/progress.json"):
        with suppress(UserError):
            content = read_json(file)
            if content["updated"] > found.get(content["cell"], {"updated": 0})["updated"]:
                found[content["cell"]] = content
    return found
