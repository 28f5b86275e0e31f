"""What a run leaves: its folder, and the record beside it.

runs/<cell>/ holds functions of settings, data and kernels alone, so that one kind of processor gives the same bytes.
When, where and how fast it was trained is in the record: <work root>/records/<key>/, with the key that run.json names.
"""

import shutil
import time
from typing import Any

import numpy as np
import torch
from PIL import Image

from pipeline.base.files import atomic_write, write_json, write_table, write_text
from pipeline.base.images import tile
from pipeline.base.machine import peak_memory, provenance
from pipeline.base.schema import dump
from pipeline.runs.checkpoint import save_weights
from pipeline.runs.checkpoint_schedule import WEIGHTS
from pipeline.runs.job import Job
from pipeline.runs.work_dirs import record_folder
from pipeline.training.loop import Outcome


def write_run(job: Job, seconds: float, device: torch.device, outcome: Outcome) -> None:
    """The run's folder and its record. `seconds`: of training. Errors: `OSError` of the file system."""
    out, networks = job.out, outcome.networks
    for name, module in zip(("generator", "generator_ema", "discriminator"), networks.modules, strict=True):
        save_weights(out / f"{name}.safetensors", module)
    for path in (job.work / WEIGHTS).glob("*.safetensors"):
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
    write_table(record_folder(job.key) / "machine.csv", outcome.machine)
    facts = {
        "status": outcome.status,
        **({"detail": outcome.detail} if outcome.detail else {}),
        "kimg": outcome.kimg,
        "parameters_g": sum(parameter.numel() for parameter in networks.generator.parameters()),
        "parameters_d": sum(parameter.numel() for parameter in networks.discriminator.parameters()),
    }
    memory = max([peak_memory(device), *(int(row["memory_mib"]) for row in outcome.machine)])
    resumed = {"resumed_at_kimg": outcome.resumed, "processes": outcome.processes}
    write_facts(job, device, facts, {"seconds": seconds, "peak_memory_mib": memory, **resumed})


def write_facts(job: Job, device: torch.device, facts: dict[str, Any], record: dict[str, Any]) -> None:
    """The record, the settings, and run.json with `facts`, last: a folder that has one is complete.

    Nothing else is there of a run that ended for want of memory.
    """
    origin, out = provenance(device), job.out
    about = {"cell": job.name, "finished": time.strftime("%Y-%m-%d %H:%M:%S"), "accumulate": job.parts}
    record |= {"seconds": round(record["seconds"], 1)}
    write_json(record_folder(job.key) / "record.json", about | record | origin)
    write_text(out / "config.yaml", dump(job.plan))
    write_text(out / "network.yaml", dump(job.plan.network))
    planned = {"kimg_planned": job.plan.train.kimg, "key": job.key, "libraries": origin["libraries"]}
    write_json(out / "run.json", facts | planned)
