"""Work directories of unfinished trainings, and the locks that keep processes apart.

A training's state lies in .work/<key>/ of the main repository, outside everything that DVC knows. The key is the hash
of all that the training depends on (`job.run_key`), so a changed setting, image or line of code finds no state and
begins anew. The environment variable TRANSGAN_WORK names another folder. It may be shared by several machines: a
training that lost its machine then goes on elsewhere (docs/how-to/cluster.md says which file systems keep locks).
Nothing but the success of a training and `transgan unfinished --remove` removes one.
"""

import hashlib
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.base.errors import UserError
from pipeline.base.files import read_json

SHARED = "TRANSGAN_WORK"  # environment variable: an absolute folder, shared by machines or not
WORKER = "TRANSGAN_WORKER"  # environment variable: the lock that the worker holds which started a training
EVENTS = "events"  # folder beside the work directories: curves for TensorBoard


def local_root() -> Path:
    """`.work` of the repository. DVC names it, the main one even where an experiment runs in a temporary copy."""
    return Path(os.environ.get("DVC_ROOT", ".")) / ".work"


def work_root() -> Path:
    """Where unfinished trainings lie: the folder that TRANSGAN_WORK names, else `.work` of the repository.

    Errors: `UserError` for a relative path, which would name a different folder in each clone.
    """
    given = os.environ.get(SHARED)
    if given and not os.path.isabs(given):
        raise UserError(f"{SHARED}: given {given!r}; allowed: an absolute path")
    return Path(given) if given else local_root()


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
            busy(holder(path))
            timeout = -1.0  # `busy` did not raise, so we wait
        except FileNotFoundError:  # whoever held it before has just removed the directory
            continue
    try:
        host = f" on {socket.gethostname()}" if os.environ.get(SHARED) else ""
        path.write_text(f"process {os.getpid()}{host} ({name})", encoding="utf-8")
        yield
    finally:
        own.release()


def holder(path: Path) -> str:
    """`process 123 (digits/full/seed0)`: who holds the lock, or held it last."""
    with suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8") or "another process"
    return "another process"


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
        goes_on = "the same command then goes on from where it was"
        raise UserError(f"{out}: is being trained by {who}; wait until it has ended, or end it: {goes_on}")

    # The run's folder is this clone's, and so is its lock, wherever the state lies.
    path = local_root() / "cells" / f"{hashlib.sha256(str(out.absolute()).encode()).hexdigest()}.lock"
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


def stored(folder: Path) -> list[Path]:
    """The JSON files of the checkpoints in `folder`, newest first."""
    return sorted(folder.glob("step-*.json"), reverse=True)


def remove_folder(folder: Path) -> None:
    """Remove a training's directory, whose lock the caller holds. Errors: `OSError` where that cannot be done."""
    for _ in range(100):  # a process that waits for the lock may put its file there again meanwhile
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


def record_folder(key: str) -> Path:
    """Where the record of the training `key` is: record.json, and machine.csv, a row a tick."""
    return work_root() / "records" / key


def read_record(key: str) -> dict[str, Any]:
    """When, where and how fast `key` was trained (record.json); empty where this machine has none of that training."""
    return dict(read_json(record_folder(key) / "record.json", {}))
