"""How much memory a training takes, and what is said where there was too little."""

import re
import resource
import sys

import torch

SIGNS = (
    "DefaultCPUAllocator",
    "CUDA error: out of memory",
    "Cuda failure 2 'out of memory'",  # inside NCCL
    "STATUS_ALLOC_FAILED",
)  # of shortages that are plain RuntimeErrors
UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def out_of_memory(error: BaseException) -> bool:
    """Whether the device had too little memory: a result of its own (the paper's table has "OOM" cells), no failure."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(sign in str(error) for sign in SIGNS)


def bytes_asked(message: str) -> int | None:
    """Bytes of the allocation that failed, from PyTorch's message; None where it does not say."""
    found = re.search(r"[Tt]ried to allocate ([\d.]+) (bytes|KiB|MiB|GiB)", message)
    return round(float(found[1].rstrip(".")) * UNITS[found[2]]) if found else None


def peak_memory(device: torch.device) -> int:
    """Most memory used so far, MiB: allocated by torch on a GPU, resident for the whole process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) // 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (2**10 if sys.platform.startswith("linux") else 2**20)
