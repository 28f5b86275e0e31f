"""Start the processes of one cell by torchrun, inside the train stage, and say in one line how they ended."""

import logging
import os
import signal
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from pipeline.base.errors import UserError
from pipeline.base.files import write_text
from pipeline.base.schema import dump
from pipeline.runs.checkpoint_schedule import SIGNALS
from pipeline.runs.group import LOST, check_devices, read_notes, stay_on_this_host
from pipeline.runs.work_dirs import stored
from pipeline.training.config import TrainPlan

PLAN = "plan.yaml"  # in the work directory: what the processes train
STOP = "stop"  # there: the name of the signal that the stage got, for process 0 to find
GRACE = 20  # seconds between the end of one process and that of others which still wait for it


def train_together(
    plan: TrainPlan, *, data: Path, out: Path, work: Path, key: str, name: str
) -> dict[str, object] | None:
    """Train by `plan.train.processes` processes of this host; process 0 writes `out`.

    Returns None where it did, or what is known of a shortage of memory (`shortage`), for which nothing was written.
    Errors: `UserError` after a signal, and where a process ended for another reason; checkpoints stay.
    """
    processes = plan.train.processes
    check_devices(processes)
    for path in [*work.glob("ended-*.json"), work / STOP]:
        path.unlink(missing_ok=True)
    write_text(work / PLAN, dump(plan))
    stay_on_this_host()
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        # Signals are ours: processes finish their iteration and store their state, however long that takes.
        signals_to_handle="SIGUSR2",
        shutdown_timeout=GRACE,
    )
    arguments = ["-m", "pipeline.runs.rank", str(data), str(out), str(work), key, name]
    codes: dict[int, int] = {}
    with _signals_passed_on(work / STOP), _quiet():
        try:
            elastic_launch(config, sys.executable)(*arguments)
        except ChildFailedError as error:
            codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
    return _verdict(codes, work, processes, name)


def _verdict(codes: dict[int, int], work: Path, processes: int, name: str) -> dict[str, object] | None:
    """What became of it, from the notes that processes left and the exit statuses of those that failed."""
    notes = read_notes(work, processes)
    if "done" in notes.get(0, {}):
        return None
    shortages = [note["oom"] for note in notes.values() if "oom" in note]
    if shortages:
        return shortages[0]
    errors = [note["error"] for note in notes.values() if "error" in note]
    if errors:
        raise UserError(errors[0])
    rank, code = min(codes.items(), key=lambda item: (item[1] == LOST, item[1]))
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"failed (exit status {code})"
    kept = "its last checkpoint is kept, the same command goes on from there"
    lost = "no checkpoint was stored yet, the same command begins anew"
    raise UserError(
        f"{name}: process {rank} of {processes} {how} and the others were ended; {kept if stored(work) else lost}"
    )


@contextmanager
def _signals_passed_on(file: Path) -> Iterator[None]:
    """The first signal is left for process 0 to find, which has all stop together; the same one again ends them now.

    Two different ones may be one event (`CheckpointSchedule.stoppable`).
    """
    seen = set()

    def pass_on(number: int, _frame: object) -> None:
        if number in seen:
            raise KeyboardInterrupt
        seen.add(number)
        if not file.exists():
            file.write_text(signal.Signals(number).name)

    main = threading.current_thread() is threading.main_thread()
    handled = [one for one in SIGNALS if signal.getsignal(one) != signal.SIG_IGN] if main else []
    before = {one: signal.signal(one, pass_on) for one in handled}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def _quiet() -> Iterator[None]:
    """torchrun's own pages about a failed process are left out: the stage says it in one line."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        yield
    finally:
        logging.disable(before)
