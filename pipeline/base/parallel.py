"""Cores, and a network in evaluation mode on every visible GPU: batches are shared out, results come in their order."""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # counting cores shall not take the seconds that importing torch takes
    import torch
    from torch import nn

Part = TypeVar("Part")
Result = TypeVar("Result")
MOST_CORES = 8  # trainings at a time on a machine without a GPU, at most
AHEAD = 2  # parts per device that are begun before the first one's result is taken


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """Names of the GPUs for CUDA_VISIBLE_DEVICES: those it lists already, else all that nvidia-smi finds."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip() not in ("", "-1", "NoDevFiles")]
    if shutil.which("nvidia-smi") is None:
        return []
    done = subprocess.run(["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"], capture_output=True, text=True)
    return done.stdout.split() if done.returncode == 0 else []


def slots(gpus: list[str], processes: int, jobs: int | None) -> list[dict[str, str]]:
    """The environment of each place for a training, which takes `processes` GPUs.

    `jobs`: how many places, instead of one for each `processes` GPUs, or one a core without GPUs. More places than GPUs
    share them in turn; where there are fewer GPUs than processes, a training gets all of them.
    """
    if not gpus:
        return [{} for _ in range(jobs or max(1, min(cores() // processes, MOST_CORES)))]
    groups = [gpus[at : at + processes] for at in range(0, len(gpus) - processes + 1, processes)] or [gpus]
    return [{"CUDA_VISIBLE_DEVICES": ",".join(groups[n % len(groups)])} for n in range(jobs or len(groups))]


def device_of(network: nn.Module) -> torch.device:
    return next(chain(network.parameters(), network.buffers())).device


def devices(first: torch.device) -> list[torch.device]:
    """Where copies of a network on `first` are put: every visible GPU, or that device alone where it is none."""
    import torch

    if first.type != "cuda":
        return [first]
    others = (torch.device("cuda", index) for index in range(torch.cuda.device_count()))
    return [first, *(device for device in others if device.index != (first.index or 0))]


def replicas(network: nn.Module) -> list[nn.Module]:
    """`network` itself, and a copy of it on every other device."""
    first, *others = devices(device_of(network))
    return [network, *(copy.deepcopy(network).to(device) for device in others)]


def shared_out(
    networks: list[nn.Module], work: Callable[[nn.Module, Part], Result], parts: Iterable[Part]
) -> Iterator[Result]:
    """`work(network, part)` of every part, in order; part k is the business of network k modulo their number.

    A batch has the same rows, however many devices there are. Each network has a thread of
    its own. `work` must switch off gradients itself: that is a property of a thread.
    """
    if len(networks) == 1:
        yield from (work(networks[0], part) for part in parts)
        return
    pools = [ThreadPoolExecutor(1) for _ in networks]
    waiting: deque[Future[Result]] = deque()
    try:
        for index, part in enumerate(parts):
            place = index % len(networks)
            waiting.append(pools[place].submit(work, networks[place], part))
            if len(waiting) >= AHEAD * len(networks):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)
