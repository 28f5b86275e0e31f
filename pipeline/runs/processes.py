"""The processes of one training: those that train a cell together, and the worker that may have started it.

Every process computes its rows of every batch; process 0 says, stores and writes.
"""

import math
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from multiprocessing.process import BaseProcess
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any, TextIO

import torch
import torch.distributed as dist

from pipeline.base.errors import UserError
from pipeline.runs.checkpoint_schedule import SIGNALS, STOP, handled_signals
from pipeline.runs.job import Job, own_device
from pipeline.runs.work_dirs import WORKER, held, lock, stored

# A dead process is noticed by its closed connections. This is for one that hangs, and longer than any checkpoint.
PATIENCE = timedelta(hours=1)
LOST = 75  # exit status of a process that ends because another one did
LOST_SIGNS = ("gloo", "NCCL", "Connection closed by peer")  # in errors of communication
GRACE = 20  # seconds between the end of one process and that of others which still wait for it
POLL = 0.2  # seconds

Shortage = dict[str, Any]  # what is to say of a shortage of memory
Attempt = Callable[[Job, TextIO | None], Shortage | None]  # `run.attempt`


def train_together(job: Job, attempt: Attempt) -> Shortage | None:
    """Train by `train.processes` processes of this host; process 0 writes the run.

    Returns None where it did, or what a process said that was short of memory, as `attempt`.
    Errors: `UserError` after a signal, and where a process ended for another reason; checkpoints stay.
    """
    own_device(job.plan.train.processes)
    (job.work / STOP).unlink(missing_ok=True)
    # Processes of one host meet over its loopback device, whatever the host's name resolves to.
    if loopback := {name for _, name in socket.if_nameindex()} & {"lo", "lo0"}:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback.pop())
    spawn = multiprocessing.get_context("spawn")
    failed, codes = math.inf, dict[int, int]()  # exit statuses of processes that failed by themselves, in that order
    # Process 0 finds the number of a signal in a file, and has all stop together.
    told = handled_signals(lambda number: (job.work / STOP).write_text(str(number)))
    with tempfile.TemporaryDirectory() as meeting, told:
        ranks, store, said = range(job.plan.train.processes), f"file://{meeting}/store", spawn.SimpleQueue()
        members = [spawn.Process(target=_train_as_one, args=(attempt, job, rank, store, said)) for rank in ranks]
        try:
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # in them for good: signals are ours
            for member in members:
                member.start()
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            while any(member.is_alive() for member in members) and time.monotonic() < failed + GRACE:
                time.sleep(POLL)
                codes |= {rank: code for rank in ranks if (code := members[rank].exitcode)}
                failed = min(failed, time.monotonic()) if codes else failed
        finally:
            for member in filter(BaseProcess.is_alive, members):  # not one that was never started
                member.kill()
                member.join()
    return _verdict(codes, list(iter(lambda: None if said.empty() else said.get(), None)), job)


def _verdict(codes: dict[int, int], notes: list[dict[str, Any]], job: Job) -> Shortage | None:
    """How it ended, by what processes said and the exit statuses of those that failed, in the order they did."""
    found = {kind: content for note in reversed(notes) for kind, content in note.items()}
    if any(note.get("done") for note in notes):
        return None
    if "shortage" in found:
        return dict(found["shortage"])
    if "error" in found:
        raise UserError(found["error"])
    rank, code = min(codes.items(), key=lambda item: item[1] == LOST)
    # Where all have lost one another, communication itself is at fault, and its own words are all there is.
    why = found.get("lost", "") if code == LOST else ""
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"failed ({why or f'exit status {code}'})"
    next_time = "no checkpoint was stored yet, the same command begins anew"
    if stored(job.work):
        next_time = "its last checkpoint is kept, the same command goes on from there"
    one = f"{job.name}: process {rank} of {job.plan.train.processes}"
    raise UserError(f"{one} {how} and the others were ended; {next_time}")


def _train_as_one(attempt: Attempt, job: Job, rank: int, store: str, said: SimpleQueue[dict[str, Any]]) -> None:
    """One of the processes: train as number `rank`, say how it ended, and exit.

    Its lock is held as long as it lives: if its starter is killed, the next one waits (`work_folder`).
    """
    count = job.plan.train.processes
    with lock(job.work / f"process-{rank}.lock", job.name, lambda who: None):
        note: dict[str, Any] = {}
        try:
            device, backend, gpu = own_device(count, rank), "gloo", None  # gloo also for what is agreed on the host
            if device.type == "cuda":
                torch.cuda.set_device(device)
                backend, gpu = "cpu:gloo,cuda:nccl", device  # told of its GPU, NCCL connects before any work
            dist.init_process_group(
                backend, init_method=store, rank=rank, world_size=count, timeout=PATIENCE, device_id=gpu
            )
            with open(os.devnull, "w", encoding="utf-8") as nowhere:
                shortage = attempt(job, nowhere if rank else None)
            # A shortage comes before the next question: NCCL reports its own ones as lost connections.
            note = {"shortage": shortage} if shortage else {"done": rank == 0}
        except UserError as error:
            note = {"error": str(error)}
        except Exception as error:
            if isinstance(error, dist.DistError) or any(sign in str(error) for sign in LOST_SIGNS):
                note = {"lost": " ".join(str(error).split())}
            else:
                traceback.print_exc()
        said.put(note)
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        status = 0 if "done" in note else LOST if "lost" in note else 1
        os._exit(status)  # the usual clean-up of a group waits for members that may be gone


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
