"""A training run on disk: train a cell, write its folder; never train the same thing twice, never lose what was
trained.

runs/<cell>/ holds functions of settings, data and kernels alone, so that one kind of processor gives the same bytes.
When, where and how fast it was trained is in the record: <work root>/records/<key>/, with the key that run.json names.
"""

import gc
import os
import shutil
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from PIL import Image

from pipeline.base.files import atomic_write, read_json, write_json, write_table, write_text
from pipeline.base.images import tile
from pipeline.base.machine import bytes_asked, has_bf16, out_of_memory, peak_memory, provenance
from pipeline.base.schema import dump
from pipeline.data.array import read_array, read_manifest
from pipeline.networks.distributed import rank
from pipeline.runs.checkpoint import save_weights
from pipeline.runs.checkpoint_schedule import WEIGHTS, CheckpointSchedule, Progress, explain_disk_error
from pipeline.runs.job import Job, check_plan, find_twin, own_device, run_key, say_other_machines
from pipeline.runs.processes import end_with_worker, train_together
from pipeline.runs.work_dirs import WORKER, only_trainer, read_record, record_folder, remove_folder, stored, work_folder
from pipeline.training.config import TrainPlan
from pipeline.training.loop import Outcome, train


def run_cell(plan: TrainPlan, *, data: str | Path, out: str | Path, name: str) -> dict[str, Any]:
    """Train the cell called `name` on the dataset in `data`, write `out` and its record; returns both in one.

    Where a finished run of the same dataset (another variant) has the same settings, images and code, it is the same
    training: its files are copied, and `copied_from` says whose. A training that was interrupted goes on from its last
    checkpoint and leaves the same bytes. Its state is removed at the end, by the worker where a worker started it:
    that one first pushes the results (pipeline/matrix/worker.py).
    Errors: `UserError` where another process trains this cell, after a signal, and where the disk does not take the
    checkpoint or the run; the checkpoints stay.
    """
    end_with_worker()
    data, out, parent, device, progress = Path(data), Path(out), os.getppid(), own_device(1), Progress(name)
    check_plan(plan, device, name)
    key = run_key(plan, read_manifest(data)["images_sha256"], device)
    with only_trainer(out, name), work_folder(key, name, progress.note) as work:
        say_other_machines(work, progress.note)
        twin = find_twin(out, key)
        if twin is None:
            job = Job(name=name, plan=plan, data=data, out=out, work=work, key=key, parts=plan.train.parts)
            _train(job, device, progress)
        else:
            with explain_disk_error(f"{out}: could not be copied from {twin}"):
                other = shutil.ignore_patterns("run.json")
                shutil.copytree(twin, out, copy_function=shutil.copyfile, dirs_exist_ok=True, ignore=other)
                write_json(out / "run.json", read_json(twin / "run.json"))  # last: with it the folder is complete
        facts = read_json(out / "run.json")
        if os.getppid() != parent:
            gone = "the process that started this training is gone and cannot record it"
            progress.note(f"{gone}: its state is kept, the same command only writes it again")
        elif facts["status"] == "oom" and stored(work):
            pass  # another try may have more memory
        elif facts["key"] != key or not os.environ.get(WORKER):  # a worker pushes first
            remove_folder(work)
    copied = {"copied_from": None if twin is None else "/".join(twin.parts[-3:])}
    return facts | read_record(facts["key"]) | copied


def _train(job: Job, device: torch.device, progress: Progress) -> None:
    """Train by one process or several.

    `accumulate: auto` doubles the parts of a batch as long as the first iteration does not fit into memory.
    """
    train = job.plan.train
    if train.precision == "bf16" and device.type == "cpu" and not has_bf16():
        progress.note("this processor has no bf16 and emulates it, a hundred times slower: set train.precision=fp32")
    if train.precision == "bf16" and device.type == "cuda" and torch.cuda.get_device_capability() < (8, 0):
        progress.note("this GPU has no bf16 and emulates it: set train.precision=tf32")
    if train.processes > 1:
        progress.note(f"{train.processes} processes")
    while shortage := train_together(job, attempt) if train.processes > 1 else attempt(job):
        more = job.in_more_parts() if shortage.pop("first") and train.accumulate == "auto" else None
        if more is None:
            record = {"seconds": progress.seconds(), "peak_memory_mib": shortage.pop("peak_memory_mib")}
            record |= {"resumed_at_kimg": [], "processes": [[0.0, train.processes]]}
            with explain_disk_error(f"{job.out}: could not be written"):
                write_facts(job, device, {"status": "oom", "kimg": 0.0, **shortage}, record)
            return
        progress.note(f"the memory is too small for {job.parts} part(s) of a batch: computed in {more.parts} parts")
        job = more
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()


def attempt(job: Job, stream: TextIO | None = None) -> dict[str, Any] | None:
    """Train, or go on training; process 0 writes the run. Returns None, or the facts of a shortage of memory.

    These are those of run.json, `peak_memory_mib`, and `first`: whether not even one iteration was done.
    `stream`: where lines of progress go, in place of standard output.
    Errors: `UserError` after a signal, and where the disk does not take a checkpoint or the run.
    """
    device = own_device(job.plan.train.processes, rank())
    with explain_disk_error(f"{job.data}: cannot be read"):
        images = read_array(job.data)
    schedule = CheckpointSchedule(job.work, job.plan, device, job.name, stream)
    in_parts = job.plan.train.model_copy(update={"accumulate": job.parts})
    try:
        with schedule.stoppable():
            outcome = train(job.plan.model_copy(update={"train": in_parts}), images, device, schedule)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        facts = shortage_facts(error, job)
        return facts | {"first": schedule.iterations == 0, "peak_memory_mib": peak_memory(device)}
    if schedule.writes:
        schedule.save(outcome)  # should the files below not be written, the training is not lost
        with explain_disk_error(
            f"{job.out}: could not be written; the training is complete and kept, "
            "once that is mended the same command writes it"
        ):
            write_run(job, schedule.seconds(), device, outcome)
    return None


def shortage_facts(error: BaseException, job: Job) -> dict[str, Any]:
    """What a person needs to know who wants that cell to fit.

    `would_help`: settings that need less memory, those that cost least first; the first two change no gradient.
    """
    config, more = job.plan.train, job.in_more_parts()
    would_help = [f"train.accumulate: {more.parts}"] if more else []
    would_help += [] if config.recompute else ["train.recompute: true"]
    would_help += [] if config.precision == "bf16" else ["train.precision: bf16"]
    would_help += ["smaller train.batch_discriminator and train.batch_generator"]
    return {
        "detail": (str(error).splitlines() or [type(error).__name__])[0],
        "bytes_asked": bytes_asked(str(error)),
        **config.model_dump(include={"batch_discriminator", "batch_generator"}),
        "would_help": ", ".join(would_help),
    }


def write_run(job: Job, seconds: float, device: torch.device, outcome: Outcome) -> None:
    """The run's folder and its record. `seconds`: of training. Errors: `OSError` of the file system."""
    out, networks = job.out, outcome.networks
    for name, module in zip(("generator", "generator_ema", "discriminator"), networks.modules, strict=True):
        save_weights(out / f"{name}.safetensors", module.state_dict())
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
    facts: dict[str, Any] = {"status": outcome.status} | ({"detail": outcome.detail} if outcome.detail else {})
    facts["kimg"] = outcome.kimg
    for name, network in (("parameters_g", networks.generator), ("parameters_d", networks.discriminator)):
        facts[name] = sum(parameter.numel() for parameter in network.parameters())
    memory = max([peak_memory(device), *(int(row["memory_mib"]) for row in outcome.machine)])
    resumed = {"resumed_at_kimg": outcome.resumed, "processes": outcome.processes}
    write_facts(job, device, facts, {"seconds": seconds, "peak_memory_mib": memory, **resumed})


def write_facts(job: Job, device: torch.device, facts: dict[str, Any], record: dict[str, Any]) -> None:
    """The record, the settings, and run.json with `facts`, last: a folder that has one is complete.

    Nothing else is there of a run that ended for want of memory.
    """
    origin = provenance(device)
    about = {"cell": job.name, "finished": time.strftime("%Y-%m-%d %H:%M:%S"), "accumulate": job.parts}
    record |= {"seconds": round(record["seconds"], 1)}
    write_json(record_folder(job.key) / "record.json", about | record | origin)
    write_text(job.out / "config.yaml", dump(job.plan))
    write_text(job.out / "network.yaml", dump(job.plan.network))
    planned = {"kimg_planned": job.plan.train.kimg, "key": job.key, "libraries": origin["libraries"]}
    write_json(job.out / "run.json", facts | planned)
