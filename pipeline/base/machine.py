"""What the machine has, and where a result comes from: cores, GPUs, memory, versions.

Batches are shared out over copies of a network, one on every visible GPU; results come in their order. torch is
imported by the functions that need it: the others serve commands that shall not take the seconds that this takes.
"""

from __future__ import annotations

import copy
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import chain, cycle
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.base.git import LIBRARIES, ask, changes, installed, no_revision

if TYPE_CHECKING:
    import torch
    from torch import nn

Part = TypeVar("Part")
Result = TypeVar("Result")
MOST_CORES = 8  # trainings at a time on a machine without a GPU, at most
AHEAD = 2  # parts per device that are begun before the first one's result is taken
# What torch, CUDA, NCCL and its libraries say of a shortage in a plain RuntimeError.
SHORTAGES = "DefaultCPUAllocator|CUDA error: out of memory|Cuda failure 2 'out of memory'|STATUS_ALLOC_FAILED"
UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


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


def out_of_memory(error: BaseException) -> bool:
    """Whether the device had too little memory: a result of its own (the paper's table has "OOM" cells), no failure."""
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError) or bool(re.search(SHORTAGES, str(error)))


def bytes_asked(message: str) -> int | None:
    """Bytes of the allocation that failed, from PyTorch's message; None where it does not say."""
    found = re.search(r"[Tt]ried to allocate ([\d.]+) (bytes|KiB|MiB|GiB)", message)
    return round(float(found[1].rstrip(".")) * UNITS[found[2]]) if found else None


def peak_memory(device: torch.device) -> int:
    """Most memory used so far, MiB: allocated by torch on a GPU, resident for the whole process on a CPU."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) // 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (2**10 if sys.platform.startswith("linux") else 2**20)


def provenance(device: torch.device) -> dict[str, Any]:
    """Revision, whether code or parameters differed from it, versions, hardware. Best effort: it never fails."""
    import torch

    dirty = changes()
    return {
        "revision": ask("rev-parse", "HEAD") or no_revision(),
        "dirty": None if dirty is None else bool(dirty),
        "python": platform.python_version(),
        "libraries": {name: installed(name) for name in LIBRARIES},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def processor() -> str:
    """Model name of the CPU, the cores this process may use, and the widest vector instructions torch uses on it.

    Machines whose names are alike may differ in the last, and with it their sums differ.
    """
    import torch

    name = platform.processor() or platform.machine()
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        name = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), name)
    return f"{name}, {cores()} core{'s' if cores() > 1 else ''}, {torch.backends.cpu.get_cpu_capability()}"


def has_bf16() -> bool:
    """Whether the CPU multiplies bf16 numbers by itself (AVX-512 with bf16, or AMX)."""
    import torch

    return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def device_of(network: nn.Module) -> torch.device:
    return next(chain(network.parameters(), network.buffers())).device


def devices(first: torch.device) -> list[torch.device]:
    """Where copies of a network on `first` are put: every visible GPU, or that device alone where it is none."""
    import torch

    if first.type != "cuda":
        return [first]
    others = (torch.device("cuda", index) for index in range(torch.cuda.device_count()))
    return [first, *(device for device in others if device.index != (first.index or 0))]


def map_on_devices(
    network: nn.Module, work: Callable[[nn.Module, Part], Result], parts: Iterable[Part]
) -> Iterator[Result]:
    """`work(copy of network, part)` of every part, in order; device k modulo their number takes part k.

    A batch has the same rows, however many devices there are. Each device has a copy and a thread of its own, the first
    one `network` itself. `work` must switch off gradients itself: that is a property of a thread.
    """
    first, *others = devices(device_of(network))
    if not others:
        yield from (work(network, part) for part in parts)
        return
    with ExitStack() as stack:
        copies = [network, *(copy.deepcopy(network).to(device) for device in others)]
        threads = cycle([(stack.enter_context(ThreadPoolExecutor(1)), one) for one in copies])
        futures = (pool.submit(work, one, part) for part, (pool, one) in zip(parts, threads, strict=False))
        yield from _results(futures, AHEAD * len(copies))


def in_parallel(work: Callable[[Part], Result], parts: Iterable[Part], threads: int | None = None) -> Iterator[Result]:
    """Yield `work(part)` in the order of the parts. At most three parts a thread wait; a failure cancels the others.

    `threads`: one a core by default, for work that releases Python's global lock.
    """
    threads = threads or cores()
    pool = ThreadPoolExecutor(threads)
    try:
        yield from _results((pool.submit(work, part) for part in parts), 3 * threads + 1)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _results(futures: Iterator[Future[Result]], ahead: int) -> Iterator[Result]:
    """Results in order; taking a future begins it, and `ahead` of them are taken before the first result is given."""
    waiting: deque[Future[Result]] = deque()
    for future in futures:
        waiting.append(future)
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
