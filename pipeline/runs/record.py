"""What a run leaves: its folder, the record beside it, and a command of the user's that is told of its end.

runs/<cell>/ holds functions of settings, data and kernels alone, so that one kind of processor gives the same bytes.
When, where and how fast it was trained is in the record: <work root>/records/<key>/, with the key that run.json names.
"""

import csv
import io
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pipeline.base.arrays import tile
from pipeline.base.files import atomic_write, read_json, write_json, write_text
from pipeline.base.machine import provenance
from pipeline.base.schema import dump
from pipeline.runs.checkpoint import save_weights
from pipeline.runs.checkpoint_schedule import Stopped
from pipeline.runs.progress import Progress
from pipeline.runs.work_dirs import work_root
from pipeline.training.config import TrainPlan
from pipeline.training.loop import Outcome

RECORDS = "records"  # folder of the work root
NOTIFY = "TRANSGAN_NOTIFY"  # environment variable: a command of the user's, run when a training ends
NOTIFY_SECONDS = 30.0  # that it may take


def write_facts(
    out: Path, plan: TrainPlan, outcome: Outcome | None, facts: dict[str, Any], key: str, device: torch.device
) -> dict[str, Any]:
    """The run's folder; returns the content of run.json: `facts` and what depends on settings and libraries alone."""
    libraries = provenance(device)["libraries"]
    record = {**facts, "kimg_planned": plan.train.kimg, "key": key, "libraries": libraries}
    write_run(out, plan, outcome, record)
    return record


def write_run(out: Path, plan: TrainPlan, outcome: Outcome | None, record: dict[str, Any]) -> None:
    """The run's folder; run.json last, so that a folder that has one is complete. No outcome: settings and record."""
    write_text(out / "config.yaml", dump(plan))
    write_text(out / "network.yaml", dump(plan.network))
    if outcome is not None:
        write_outcome(out, plan, outcome)
    write_json(out / "run.json", record)


def write_outcome(out: Path, plan: TrainPlan, outcome: Outcome) -> None:
    """Weights, history and fixed-latent grids."""
    for name, module in zip(("generator", "generator_ema", "discriminator"), outcome.networks.modules, strict=True):
        save_weights(out / f"{name}.safetensors", module)
    write_text(out / "history.csv", _table(outcome.history))
    with atomic_write(out / "grids.npy") as temporary, open(temporary, "wb") as file:
        np.save(file, np.stack(outcome.grids))
    write_json(out / "grids.json", {"kimg": outcome.grids_kimg})
    picture = tile(outcome.grids[-1], columns=8, scale=max(1, 32 // plan.network.resolution)).squeeze()
    with atomic_write(out / "grid.png") as temporary:
        Image.fromarray(picture).save(temporary)


def _table(rows: list[dict[str, float]]) -> str:
    columns = list(dict.fromkeys(name for row in rows or [{"kimg": 0}] for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: f"{value:.7g}" if isinstance(value, float) else value for name, value in row.items()} for row in rows
    )
    return text.getvalue()


def record_folder(key: str) -> Path:
    """Where the record of the training `key` is: record.json, and machine.csv, a row a tick."""
    return work_root() / RECORDS / key


def write_record(
    key: str, progress: Progress, device: torch.device, record: dict[str, Any], outcome: Outcome | None
) -> None:
    """When, where, by whom and how fast a training was done. Errors: `OSError` of the file system."""
    if outcome is not None:
        write_text(record_folder(key) / "machine.csv", _table(outcome.machine))
    when = {"cell": progress.name, "finished": time.strftime("%Y-%m-%d %H:%M:%S")}
    seconds = {"seconds": round(progress.seconds(), 1)}
    write_json(record_folder(key) / "record.json", when | seconds | record | provenance(device))


def read_record(key: str) -> dict[str, Any] | None:
    """The content of record.json; None where this machine has none of that training."""
    file = record_folder(key) / "record.json"
    return read_json(file) if file.is_file() else None


def notified(progress: Progress, training: Callable[[], dict[str, Any]]) -> None:
    """`training`, then the user's command for its record or for its failure.

    The command finds TRANSGAN_CELL, TRANSGAN_STATUS, TRANSGAN_KIMG and TRANSGAN_DETAIL in its environment. The status
    is the record's (ok, diverged, oom), `stopped` after a signal, or `failed`. What ends the process at once, SIGKILL
    for one, cannot be told. The kimg of one that failed are those of its last tick.
    Errors: those of `training`; none of the command's.
    """
    try:
        record = training()
    except BaseException as error:
        status = "stopped" if isinstance(error, Stopped | KeyboardInterrupt) else "failed"
        _notify(progress, status, progress.ticked_at, " ".join(str(error).split()) or type(error).__name__)
        raise
    _notify(progress, record["status"], record["kimg"], record.get("detail", ""))


def _notify(progress: Progress, status: str, kimg: float, detail: str) -> None:
    command = os.environ.get(NOTIFY)
    if not command:
        return
    facts = {"CELL": progress.name, "STATUS": status, "KIMG": f"{kimg:g}", "DETAIL": detail}
    environment = os.environ | {f"TRANSGAN_{name}": value for name, value in facts.items()}
    try:
        ended = subprocess.run(command, shell=True, env=environment, stdin=subprocess.DEVNULL, timeout=NOTIFY_SECONDS)
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        progress.note(f"{NOTIFY}: {error}")
        return
    if ended.returncode:
        progress.note(f"{NOTIFY}: the command ended with status {ended.returncode}")
