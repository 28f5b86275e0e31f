"""What the machine is and what it can do: hardware, versions, the rate of its matrix products."""

import statistics
import time
from datetime import date

import torch

from pipeline.base.machine import provenance


def facts(device: torch.device) -> dict[str, object]:
    """Device, versions, threads, date."""
    known = provenance(device)
    return {
        "device": known["device"],
        "torch": torch.__version__,
        "python": known["python"],
        "threads": torch.get_num_threads(),
        "date": date.today().isoformat(),
    }


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matmul_peak(device: torch.device, dtype: torch.dtype, side: int | None = None) -> float:
    """FLOP/s of square matrix products, the best of seven: what a step could reach at most."""
    side = side or (8192 if device.type == "cuda" else 2048)
    a = torch.randn(side, side, device=device).to(dtype)
    best = float("inf")
    for _ in range(7):
        synchronize(device)
        began = time.perf_counter()
        a @ a
        synchronize(device)
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best


def summary(values: list[float]) -> str:
    """median (least .. most)."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} .. {max(values):.2f})"
