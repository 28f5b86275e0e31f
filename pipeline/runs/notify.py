"""A command of the user's that is run when a training ends: TRANSGAN_NOTIFY, a line for the shell.

It finds what happened in its environment: TRANSGAN_CELL, TRANSGAN_STATUS, TRANSGAN_KIMG, TRANSGAN_DETAIL. It is no
setting of an experiment, and whatever becomes of it, the training is what it is.
"""

import os
import subprocess
from collections.abc import Callable
from typing import Any

from pipeline.runs.checkpoint_schedule import Stopped
from pipeline.runs.progress import Progress

COMMAND = "TRANSGAN_NOTIFY"
PATIENCE = 30.0  # seconds that the command may take


def notified(progress: Progress, training: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The record that `training` returns, after the user's command was run for it, or for its failure.

    The status is the record's (ok, diverged, oom), `stopped` after a signal, or `failed`. What ends the process at
    once, SIGKILL for one, cannot be told. The kimg of one that failed are those of its last tick.
    Errors: those of `training`.
    """
    try:
        record = training()
    except BaseException as error:
        status = "stopped" if isinstance(error, Stopped | KeyboardInterrupt) else "failed"
        _run(progress, status, progress.ticked_at, " ".join(str(error).split()) or type(error).__name__)
        raise
    _run(progress, record["status"], record["kimg"], record.get("detail", ""))
    return record


def _run(progress: Progress, status: str, kimg: float, detail: str) -> None:
    command = os.environ.get(COMMAND)
    if not command:
        return
    facts = {"CELL": progress.name, "STATUS": status, "KIMG": f"{kimg:g}", "DETAIL": detail}
    environment = os.environ | {f"TRANSGAN_{name}": value for name, value in facts.items()}
    try:
        code = subprocess.run(
            command, shell=True, env=environment, stdin=subprocess.DEVNULL, timeout=PATIENCE
        ).returncode
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        progress.note(f"{COMMAND}: {error}")
        return
    if code:
        progress.note(f"{COMMAND}: the command ended with status {code}")
