"""A clone of its own for a worker: DVC runs one command at a time in a clone, so workers that share one would wait.

Clones lie in a folder, one below the host's name for each worker that is at work there at the same time. A clone is
used again by the next worker. All of them share one DVC cache, so nothing is fetched twice, and a result that was
trained and not yet pushed is found by the next worker.
"""

import fcntl
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TextIO

from pipeline.base.errors import UserError
from pipeline.base.git import git
from pipeline.matrix.cluster.remote import copy_remotes

SLOT = "TRANSGAN_SLOT"  # environment variable: the descriptor of the lock on the clone, handed on


def take(source: str, clones: Path, revision: str) -> tuple[Path, TextIO]:
    """The first free clone of this host at `revision`, made where there is none, and the lock that keeps it.

    Errors: `UserError` where `source` cannot be cloned or lacks the revision.
    """
    place = clones / socket.gethostname()
    place.mkdir(parents=True, exist_ok=True)
    number = 0
    while (lock := _try(place / f"{number}.lock")) is None:
        number += 1
    clone = place / str(number)
    if not (clone / ".git").is_dir():
        # Under another name until it is whole: a clone that was killed leaves a .git too.
        unfinished = place / f"{number}.unfinished"
        for folder in (clone, unfinished):
            shutil.rmtree(folder, ignore_errors=True)
        _run("clone", "--quiet", "--no-checkout", source, str(unfinished), at=place)
        unfinished.rename(clone)
    for left in (clone / ".git").glob("*.lock"):  # of a git that was killed: this clone is ours
        left.unlink()
    # The second is for a head that is on no branch.
    for fetched in (["origin"], ["origin", "HEAD"]):
        if git("cat-file", "-e", f"{revision}^{{commit}}", root=clone) is None:
            _run("fetch", "--quiet", *fetched, at=clone)
    _run("checkout", "--quiet", "--force", "--detach", revision, at=clone)
    if Path(source).is_dir():
        copy_remotes(source, clone)
    share_cache(clone, clones / "cache")
    return clone, lock


def share_cache(clone: Path, cache: Path) -> None:
    """Let all clones keep DVC's cache in one place."""
    from dvc.repo import Repo

    with Repo(str(clone)) as repo, repo.config.edit("local") as local:
        local["cache"]["dir"] = str(cache.absolute())


def inherit(lock: TextIO) -> dict[str, str]:
    """The environment variable that hands the lock on to the program that replaces this one."""
    os.set_inheritable(lock.fileno(), True)
    return {SLOT: str(lock.fileno())}


def inherited() -> tuple[int, ...]:
    """The descriptor of the lock on this worker's clone, if it was given one: a child that holds it keeps the clone."""
    given = os.environ.get(SLOT, "")
    return (int(given),) if given.isdigit() else ()


def _try(path: Path) -> TextIO | None:
    file = open(path, "a+")  # noqa: SIM115 (it stays open as long as the clone is used)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _run(*arguments: str, at: Path) -> None:
    done = subprocess.run(["git", *arguments], cwd=at, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"git {arguments[0]} failed in {at}: {' '.join(done.stderr.split())}")
