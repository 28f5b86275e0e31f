"""What a run leaves: its folder, and the record beside it.

runs/<cell>/ holds functions of settings, data and kernels alone, so that one kind of processor gives the same bytes.
When, where and how fast it was trained is in the record: <work root>/records/<key>/, with the key that run.json names.
"""

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pipeline.base.files import atomic_write, read_json, write_json, write_table, write_text
from pipeline.base.images import tile
from pipeline.base.machine import peak_memory, provenance
from pipeline.base.schema import dump
from pipeline.runs.checkpoint import save_weights
from pipeline.runs.checkpoint_schedule import WEIGHTS
from pipeline.runs.job import Job
from pipeline.runs.work_dirs import work_root
from pipeline.training.loop import Outcome

RECORDS = "records"  # folder of the work root


def write_run(
    job: Job,
    seconds: float,
    device: torch.device,
    *,
    outcome: Outcome | None = None,
    shortage: dict[str, Any] | None = None,
) -> None:
    """The run's folder and its record; run.json last: a folder that has one is complete.

    Of a `shortage` of memory (`attempt`) there are settings and run.json alone. `seconds`: of training.
    Errors: `OSError` of the file system.
    """
    origin, out = provenance(device), job.out
    record: dict[str, Any] = {
        "cell": job.name,
        "finished": time.strftime("%Y-%m-%d %H:%M:%S"),
        "seconds": round(seconds, 1),
        "peak_memory_mib": shortage["peak_memory_mib"] if shortage else peak_memory(device),
        "accumulate": job.parts,
        "resumed_at_kimg": [],
        "processes": [[0.0, job.plan.train.processes]],
    }
    facts = {"status": "oom", "kimg": 0.0, **shortage["facts"]} if shortage else {}
    if outcome is not None:
        memory = max([record["peak_memory_mib"], *(int(row["memory_mib"]) for row in outcome.machine)])
        record |= {"peak_memory_mib": memory, "resumed_at_kimg": outcome.resumed, "processes": outcome.processes}
        facts = _write_outcome(job, outcome)
        write_table(record_folder(job.key) / "machine.csv", outcome.machine)
    write_json(record_folder(job.key) / "record.json", record | origin)
    write_text(out / "config.yaml", dump(job.plan))
    write_text(out / "network.yaml", dump(job.plan.network))
    planned = {"kimg_planned": job.plan.train.kimg, "key": job.key, "libraries": origin["libraries"]}
    write_json(out / "run.json", facts | planned)


def _write_outcome(job: Job, outcome: Outcome) -> dict[str, Any]:
    """Weights, also those kept on the way, history and fixed-latent grids; returns the facts of run.json."""
    out, networks = job.out, outcome.networks
    for name, module in zip(("generator", "generator_ema", "discriminator"), networks.modules, strict=True):
        save_weights(out / f"{name}.safetensors", module)
    for path in sorted((job.work / WEIGHTS).glob("*.safetensors")):
        if float(path.stem) <= outcome.kimg:
            (out / WEIGHTS).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, out / WEIGHTS / path.name)
    write_table(out / "history.csv", outcome.history)
    with atomic_write(out / "grids.npy") as temporary, open(temporary, "wb") as file:
        np.save(file, np.stack(outcome.grids))
    write_json(out / "grids.json", {"kimg": outcome.grids_kimg})
    picture = tile(outcome.grids[-1], columns=8, scale=max(1, 32 // job.plan.network.resolution)).squeeze()
    with atomic_write(out / "grid.png") as temporary:
        Image.fromarray(picture).save(temporary)
    return {
        "status": outcome.status,
        **({"detail": outcome.detail} if outcome.detail else {}),
        "kimg": outcome.kimg,
        "parameters_g": sum(parameter.numel() for parameter in networks.generator.parameters()),
        "parameters_d": sum(parameter.numel() for parameter in networks.discriminator.parameters()),
    }


def record_folder(key: str) -> Path:
    """Where the record of the training `key` is: record.json, and machine.csv, a row a tick."""
    return work_root() / RECORDS / key


def read_record(key: str) -> dict[str, Any] | None:
    """The content of record.json; None where this machine has none of that training."""
    file = record_folder(key) / "record.json"
    return read_json(file) if file.is_file() else None
