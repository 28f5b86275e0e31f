"""The processes of one training: those that train a cell together, and the worker that may have started it.

Started by torchrun's library inside the train stage, or by torchrun itself. What ended each is told by notes.
"""

import logging
import os
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from pipeline.base.errors import UserError
from pipeline.base.files import read_json, write_json, write_text
from pipeline.base.machine import bytes_asked
from pipeline.base.schema import dump
from pipeline.runs.checkpoint_schedule import handled_signals
from pipeline.runs.work_dirs import WORKER, held, stored
from pipeline.training.config import TrainConfig, TrainPlan

# A dead process is noticed by its closed connections. This is for a host that vanished, and longer than any checkpoint.
PATIENCE = timedelta(hours=1)
LOST = 75  # exit status of a process that ends because another one did
PLAN = "plan.yaml"  # in the work directory: what the processes train
STOP = "stop"  # there: the name of the signal that the stage got, for process 0 to find
GRACE = 20  # seconds between the end of one process and that of others which still wait for it
POLL = 0.5  # seconds


def under_torchrun() -> bool:
    """Whether this process is one of several that torchrun has started."""
    return dist.is_torchelastic_launched() and int(os.environ.get("WORLD_SIZE", "1")) > 1


def own_device() -> torch.device:
    """This process's GPU, or the CPU. Errors: `UserError` where there are fewer GPUs than processes on this host."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    check_devices(int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def check_devices(processes: int) -> None:
    """Errors: `UserError` where this host has GPUs, but fewer than `processes`."""
    count = torch.cuda.device_count()
    if 0 < count < processes:
        raise UserError(f"train.processes: given {processes}; allowed: {count} at most, the GPUs visible on this host")


def join(device: torch.device, config: TrainConfig) -> None:
    """Meet the other processes: NCCL between GPUs, gloo between CPUs and for what is agreed on the host.

    Errors: `UserError` where batches cannot be divided by as many processes as torchrun has started.
    """
    processes = int(os.environ["WORLD_SIZE"])
    for size in (config.batch_generator // config.parts, config.batch_discriminator // config.parts):
        if size % processes:
            raise UserError(
                f"torchrun: given {processes} processes; allowed: a divisor of {size}, the images of a batch"
            )
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)


def another_one_ended(error: BaseException) -> bool:
    """Whether an error of communication: the process at the other end is no more."""
    signs = ("gloo", "Connection closed by peer")
    return isinstance(error, dist.DistError) or any(sign in str(error) for sign in signs)


def write_note(work: Path, rank: int, content: dict[str, Any]) -> None:
    """How process `rank` ended: `done`, `oom` with what is said of a shortage, or `error` with a line for people."""
    write_json(work / f"ended-{rank}.json", content)


def shortage(error: BaseException, config: TrainConfig) -> dict[str, Any]:
    """What a person needs to know who wants that cell to fit: the facts of a run that ended as `oom`.

    `would_help`: settings that need less memory than these; the first two leave the gradients what they are.
    """
    would_help = [
        *([] if config.recompute else ["train.recompute: true"]),
        f"train.accumulate: {2 * config.parts}",
        *([] if config.precision == "bf16" else ["train.precision: bf16"]),
        "smaller train.batch_discriminator and train.batch_generator",
    ]
    return {
        "detail": (str(error).splitlines() or [type(error).__name__])[0],
        "bytes_asked": bytes_asked(str(error)),
        "batch_discriminator": config.batch_discriminator,
        "batch_generator": config.batch_generator,
        "would_help": ", ".join(would_help),
    }


def train_together(
    plan: TrainPlan, *, data: Path, out: Path, work: Path, key: str, name: str, parts: int
) -> dict[str, Any] | None:
    """Train by `plan.train.processes` processes of this host, batches in `parts`; process 0 writes `out`.

    Returns None where it did, or the note of a process that was short of memory, for which nothing was written.
    Errors: `UserError` after a signal, and where a process ended for another reason; checkpoints stay.
    """
    processes = plan.train.processes
    check_devices(processes)
    for path in [*work.glob("ended-*.json"), work / STOP]:
        path.unlink(missing_ok=True)
    write_text(work / PLAN, dump(plan))
    # Processes of one host meet over its loopback device, whatever the host's name resolves to.
    loopback = {name for _, name in socket.if_nameindex()} & {"lo", "lo0"}
    if loopback:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback.pop())
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
    arguments = ["-m", "pipeline.runs.rank", str(data), str(out), str(work), key, name, str(parts)]
    codes: dict[int, int] = {}

    def pass_on(number: int) -> None:
        if not (work / STOP).exists():
            (work / STOP).write_text(signal.Signals(number).name)  # process 0 finds it and has all stop together

    with handled_signals(pass_on), _quiet():
        try:
            elastic_launch(config, sys.executable)(*arguments)
        except ChildFailedError as error:
            codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
    return _verdict(codes, work, processes, name)


def _verdict(codes: dict[int, int], work: Path, processes: int, name: str) -> dict[str, Any] | None:
    """How it ended, from the notes that processes left and the exit statuses of those that failed."""
    notes = [read_json(path) for path in sorted(work.glob("ended-*.json"))]
    if any("done" in note for note in notes):
        return None
    for note in notes:
        if "oom" in note:
            return note
    for note in notes:
        if "error" in note:
            raise UserError(note["error"])
    rank, code = min(codes.items(), key=lambda item: (item[1] == LOST, item[1]))
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"failed (exit status {code})"
    kept = "its last checkpoint is kept, the same command goes on from there"
    lost = "no checkpoint was stored yet, the same command begins anew"
    raise UserError(
        f"{name}: process {rank} of {processes} {how} and the others were ended; {kept if stored(work) else lost}"
    )


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


def end_with_worker() -> None:
    """End this training, its state stored, with the worker that holds the lock which TRANSGAN_WORKER names, if any.

    Where a worker is killed with SIGKILL, or its raylet takes it along, the trainer two processes further down would go
    on, unrecorded, while the cell is begun again elsewhere. The kernel frees a lock however its process ends.
    """

    def watch(worker: Path) -> None:
        while held(worker):
            time.sleep(POLL)
        os.kill(os.getpid(), signal.SIGTERM)

    if given := os.environ.get(WORKER):
        threading.Thread(target=watch, args=(Path(given),), daemon=True).start()
