"""Where a result comes from: code revision, library versions, machine. Best effort, never a reason to fail."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

CODE = ("pipeline", "stages", "params.yaml", "dvc.yaml", "requirements.txt")
LIBRARIES = ("torch", "numpy", "dvc", "scikit-learn", "torch-fidelity", "clean-fid")


def provenance(device: torch.device) -> dict[str, Any]:
    """Revision, whether code or parameters differed from it, versions, hardware."""
    revision = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--", *CODE)
    return {
        "revision": revision or "no git repository",
        "dirty": None if changes is None else bool(changes),
        "python": platform.python_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def processor() -> str:
    """Model name of the CPU and the number of cores this process may use."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), name)
    except OSError:
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores"


def has_bf16() -> bool:
    """Whether the CPU multiplies bf16 numbers by itself (AVX-512 with bf16, or AMX)."""
    return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _git(*arguments: str) -> str | None:
    try:
        return subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
