"""Where a result comes from: code revision, library versions, machine. Best effort, never a reason to fail."""

import platform
from typing import Any

import torch

from pipeline.base.git import LIBRARIES, changes, installed, no_revision, revision
from pipeline.base.parallel import cores


def provenance(device: torch.device) -> dict[str, Any]:
    """Revision, whether code or parameters differed from it, versions, hardware."""
    dirty = changes()
    return {
        "revision": revision() or no_revision(),
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
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), name)
    except OSError:
        pass
    count = f"{cores()} core" if cores() == 1 else f"{cores()} cores"
    return f"{name}, {count}, {torch.backends.cpu.get_cpu_capability()}"


def has_bf16() -> bool:
    """Whether the CPU multiplies bf16 numbers by itself (AVX-512 with bf16, or AMX)."""
    return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())
