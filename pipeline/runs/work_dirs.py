"""Work directories of unfinished trainings: python -m pipeline.runs.work_dirs [--remove KEY|all]

A training's state lies in .work/<key>/ of the main repository, outside everything that DVC knows. The key is the hash
of all that the training depends on (`run.run_key`), so a changed setting, image or line of code finds no state and
begins anew. The environment variable TRANSGAN_WORK names another folder. It may be shared by several machines: a
training that lost its machine then goes on elsewhere (docs/how-to/cluster.md says which file systems keep locks).
Without an argument the directories are listed; nothing but --remove and the success of a training removes one.
"""

import argparse
import hashlib
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.base.errors import UserError, command_line
from pipeline.base.files import read_json

SHARED = "TRANSGAN_WORK"  # environment variable: an absolute folder, shared by machines or not
WORKER = "TRANSGAN_WORKER"  # environment variable: the process id of the worker that started a training
CELLS, EVENTS = "cells", "events"  # folders beside the work directories: locks of cells, and curves for TensorBoard
NO_TRAININGS = (
    CELLS,
    EVENTS,
    "clones",
    "jobs",
    "logs",
    "published",
    "records",
    "states",
)  # all that hold something else


def local_root() -> Path:
    """`.work` of the repository. DVC names it, the main one even where an experiment runs in a temporary copy."""
    return Path(os.environ.get("DVC_ROOT", ".")) / ".work"


def work_root() -> Path:
    """Where unfinished trainings lie: the folder that TRANSGAN_WORK names, else `.work` of the repository.

    Errors: `UserError` for a relative path, which would name a different folder in each clone.
    """
    given = os.environ.get(SHARED)
    if not given:
        return local_root()
    if not os.path.isabs(given):
        raise UserError(f"{SHARED}: given {given!r}; allowed: an absolute path")
    return Path(given)


@contextmanager
def lock(path: Path, name: str, busy: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock file `path` as `name`. Where a living process holds it, `busy` is told who: it raises, or we wait.

    The kernel gives a lock back when its process ends, however it ends: a file that was left behind is no obstacle.
    """
    own, timeout = FileLock(path), 0.0
    while not own.is_locked:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            own.acquire(timeout=timeout)
        except Timeout:
            busy(holder(path) or "another process")
            timeout = -1.0  # `busy` did not raise, so we wait
        except FileNotFoundError:  # whoever held it before has just removed the directory
            continue
    try:
        host = f" on {socket.gethostname()}" if os.environ.get(SHARED) else ""
        path.write_text(f"process {os.getpid()}{host} ({name})", encoding="utf-8")
        yield
    finally:
        own.release()


def holder(path: Path) -> str | None:
    """`process 123 (digits/full/seed0)`: who holds the lock, or held it last."""
    try:
        return path.read_text(encoding="utf-8") or None
    except FileNotFoundError:
        return None


def held(path: Path) -> bool:
    """Whether a living process holds the lock file."""
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


@contextmanager
def only_trainer(out: Path, name: str) -> Iterator[None]:
    """One trainer per run folder, whatever its settings. Errors: `UserError` where another one is at work."""

    def refuse(who: str) -> None:
        raise UserError(
            f"{out}: is being trained by {who}; wait until it has ended, or end it: "
            "the same command then goes on from where it was"
        )

    # The run's folder is this clone's, and so is its lock, wherever the state lies.
    path = local_root() / CELLS / f"{hashlib.sha256(str(out.absolute()).encode()).hexdigest()}.lock"
    with lock(path, name, refuse):
        try:
            yield
        finally:
            path.unlink()


@contextmanager
def work_folder(key: str, name: str, say: Callable[[str], None]) -> Iterator[Path]:
    """The directory of the training `key`, held. Where another cell is at the same training, that is waited for."""
    folder = work_root() / key
    with lock(folder / "lock", name, lambda who: say(f"the same training as that of {who}, which is waited for")):
        # Several processes whose starter was killed end after their iteration, and store their state before.
        for path in folder.glob("process-*.lock"):
            with lock(path, name, lambda who: say(f"the end of {who} is waited for")):
                pass
        for unfinished in folder.glob(".*"):  # of a write that was cut off
            unfinished.unlink()
        yield folder


@dataclass(frozen=True)
class Entry:
    """A work directory as it is listed."""

    folder: Path
    who: str  # `process 123 (cell)`, of the last one that held it
    running: bool
    kimg: float | None  # of the newest checkpoint; None where there is none, or none that can be read
    saved: float  # seconds since 1970
    size: int  # bytes


def entries(root: Path) -> list[Entry]:
    """The work directories in `root`."""
    return [_entry(folder) for folder in sorted(root.glob("*")) if folder.is_dir() and folder.name not in NO_TRAININGS]


def stored(folder: Path) -> list[Path]:
    """The JSON files of the checkpoints in `folder`, newest first."""
    return sorted(folder.glob("step-*.json"), reverse=True)


def _entry(folder: Path) -> Entry:
    facts: dict[str, Any] = {}
    for path in stored(folder)[:1]:
        with suppress(UserError):
            facts = read_json(path)
    files = [path.stat() for path in folder.iterdir() if path.is_file()]
    newest = max((file.st_mtime for file in files), default=folder.stat().st_mtime)
    return Entry(
        folder,
        holder(folder / "lock") or "unknown",
        held(folder / "lock"),
        facts.get("kimg"),
        facts.get("saved", newest),
        sum(file.st_size for file in files),
    )


def describe(entry: Entry) -> str:
    """`3f2a..: digits/full/seed0, 12.3 kimg, 8.1 MiB, 2.0 h ago, not running`"""
    cell = entry.who.partition("(")[2].rstrip(")") or entry.who
    kimg = "no checkpoint" if entry.kimg is None else f"{entry.kimg:,.1f} kimg"
    state = f"running, {entry.who.partition(' (')[0]}" if entry.running else "not running"
    hours = (time.time() - entry.saved) / 3600
    return f"{entry.folder.name[:12]}: {cell}, {kimg}, {entry.size / 2**20:,.1f} MiB, {hours:.1f} h ago, {state}"


def remove(root: Path, key: str) -> list[Entry]:
    """Remove the directory whose key begins with `key`, or `all`; returns what was removed.

    Errors: `UserError` where none or more than one fits, or a training that runs is named; `all` leaves those alone.
    """

    def refuse(who: str) -> None:
        raise UserError(f"--remove: {entry.folder.name[:12]} is in use by {who}; end it first")

    found = [
        entry for entry in entries(root) if (not entry.running if key == "all" else entry.folder.name.startswith(key))
    ]
    if key != "all" and len(found) != 1:
        raise UserError(
            f"--remove: given {key!r}; allowed: all, or the beginning of one key that is listed ({len(found)} begin so)"
        )
    for entry in found:
        with lock(entry.folder / "lock", "being removed", refuse):
            remove_folder(entry.folder)
    return found


def remove_folder(folder: Path) -> None:
    """Remove a training's directory, whose lock the caller holds.

    A process that waits for that lock may put its file there again meanwhile; then it is removed once more.
    Errors: `OSError` where the directory cannot be removed.
    """
    for _ in range(100):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.01)
    shutil.rmtree(folder)


def discard(key: str) -> None:
    """Remove the directory of the training `key`, once nobody holds it; there may be none."""
    folder = work_root() / key
    if folder.is_dir():
        with lock(folder / "lock", "being removed", lambda who: None):
            remove_folder(folder)


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="transgan unfinished",
        description="Work directories of unfinished trainings: listed, or removed.",
    )
    parser.add_argument(
        "--remove", metavar="KEY|all", help="remove one by (the beginning of) its key, or all that no training uses"
    )
    arguments = parser.parse_args()
    root = work_root()
    shown = entries(root) if arguments.remove is None else remove(root, arguments.remove)
    for entry in shown:
        print(describe(entry) + (" -> removed" if arguments.remove else ""))
    if not shown:
        print(f"{root}: no unfinished trainings" if arguments.remove is None else f"{root}: nothing to remove")


if __name__ == "__main__":
    main()
