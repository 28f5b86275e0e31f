"""How many cells this machine trains at a time, and on which GPUs."""

import os
import shutil
import subprocess

MOST_CORES = 8  # cells at a time on a machine without a GPU, at most


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
    """The environment of each place for a cell; a cell takes `processes` GPUs.

    `jobs`: how many places, instead of one for each `processes` GPUs, or one a core without GPUs. More places than GPUs
    share them in turn; where there are fewer GPUs than processes, a cell gets all of them.
    """
    if not gpus:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return [{} for _ in range(jobs or max(1, min(cores // processes, MOST_CORES)))]
    groups = [gpus[at : at + processes] for at in range(0, len(gpus) - processes + 1, processes)] or [gpus]
    count = jobs or len(groups)
    return [{"CUDA_VISIBLE_DEVICES": ",".join(groups[number % len(groups)])} for number in range(count)]
