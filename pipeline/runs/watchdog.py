"""A training that ends with the worker that started it.

Where a worker is killed with SIGKILL, or its raylet takes it along, the trainer two processes further down would go on,
unrecorded, while the cell is begun again elsewhere. So a thread waits for the end of the worker's process and then
sends SIGTERM to this one: the state is stored and the training ends.
"""

import os
import signal
import threading
import time

WORKER = "TRANSGAN_WORKER"  # environment variable: the worker's process id
POLL = 0.5  # seconds


def end_with_worker() -> None:
    """Watch the worker whose process id TRANSGAN_WORKER holds; without that variable nothing is watched."""
    given = os.environ.get(WORKER, "")
    if given.isdigit():
        threading.Thread(target=_watch, args=(int(given),), daemon=True).start()


def _watch(process: int) -> None:
    started = _start_time(process)
    while started is not None and _start_time(process) == started:
        time.sleep(POLL)
    os.kill(os.getpid(), signal.SIGTERM)


def _start_time(process: int) -> str | None:
    """When a process began, so that a number given to another process is told apart; None where it is gone.

    Without /proc (macOS) only the number is looked at.
    """
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return None if fields[0] == "Z" else fields[19]
    except FileNotFoundError:
        if os.path.exists("/proc/self/stat"):
            return None
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    return "alive"
