"""The processes that train one cell together: how one joins the others, and the note that it leaves of its end."""

import json
import os
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from pipeline.base.errors import UserError
from pipeline.base.files import write_text
from pipeline.training.config import TrainConfig

# A dead process is noticed by its closed connections. This is for a host that vanished, and longer than any checkpoint.
PATIENCE = timedelta(hours=1)
LOST = 75  # exit status of a process that ends because another one did
LOOPBACK = ("lo", "lo0")


def under_torchrun() -> bool:
    """Whether this process is one of several that torchrun has started."""
    return dist.is_torchelastic_launched() and int(os.environ.get("WORLD_SIZE", "1")) > 1


def own_device() -> torch.device:
    """This process's GPU, or the CPU. Errors: `UserError` where there are fewer GPUs than processes on this host."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    local, here = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    check_devices(here)
    return torch.device("cuda", local)


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
    for size in (config.batch_generator // config.accumulate, config.batch_discriminator // config.accumulate):
        if size % processes:
            raise UserError(
                f"torchrun: given {processes} processes; allowed: a divisor of {size}, the images of a batch"
            )
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)


def leave() -> None:
    """After the end of a training that all processes have reached."""
    dist.destroy_process_group()


def stay_on_this_host() -> None:
    """Processes of one host meet over its loopback device, whatever the host's name resolves to."""
    names = {name for _, name in socket.if_nameindex()}
    found = next((name for name in LOOPBACK if name in names), None)
    if found:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", found)


def another_one_ended(error: BaseException) -> bool:
    """Whether an error of communication: the process at the other end is no more."""
    return isinstance(error, dist.DistError) or any(
        sign in str(error) for sign in ("gloo", "Connection closed by peer")
    )


def write_note(work: Path, rank: int, content: dict[str, Any]) -> None:
    """How process `rank` ended: `done`, `oom` with what is said of a shortage, or `error` with a line for people."""
    write_text(work / f"ended-{rank}.json", json.dumps(content))


def read_notes(work: Path, processes: int) -> dict[int, dict[str, Any]]:
    """By rank, those that left one."""
    paths = {rank: work / f"ended-{rank}.json" for rank in range(processes)}
    return {rank: json.loads(path.read_text(encoding="utf-8")) for rank, path in paths.items() if path.is_file()}
