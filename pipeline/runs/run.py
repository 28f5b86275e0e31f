"""A training run on disk: train a cell, write its folder; never train the same thing twice, never lose what was
trained.
"""

import gc
import os
import shutil
from pathlib import Path
from typing import Any, TextIO

import torch

from pipeline.base.files import read_json, write_json
from pipeline.base.machine import bytes_asked, has_bf16, out_of_memory, peak_memory
from pipeline.data.array import read_array, read_manifest
from pipeline.networks.distributed import rank
from pipeline.runs.checkpoint_schedule import CheckpointSchedule, explain_disk_error
from pipeline.runs.job import Job, check_code, check_device, find_twin, own_device, run_key, say_other_machines
from pipeline.runs.processes import end_with_worker, train_together
from pipeline.runs.progress import Progress
from pipeline.runs.record import read_record, write_run
from pipeline.runs.work_dirs import WORKER, only_trainer, remove_folder, stored, work_folder
from pipeline.training.config import TrainConfig, TrainPlan
from pipeline.training.loop import train


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
    check_code(plan, name)
    data, out, parent, device, progress = Path(data), Path(out), os.getppid(), own_device(1), Progress(name)
    check_device(plan, device, name)
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
        record = read_json(out / "run.json")
        if os.getppid() != parent:
            progress.note(
                "the process that started this training is gone and cannot record it: its state is kept, "
                "the same command only writes it again"
            )
        elif twin is not None:
            # A state here is that of the training copied from, which a worker has yet to push.
            if not (os.environ.get(WORKER) and record.get("key") == key):
                remove_folder(work)
        elif not (os.environ.get(WORKER) or (record["status"] == "oom" and stored(work))):
            remove_folder(work)  # after a shortage of memory another try may have more
    copied = {"copied_from": None if twin is None else "/".join(twin.parts[-3:])}
    return record | (read_record(record["key"]) or {}) | copied


def _train(job: Job, device: torch.device, progress: Progress) -> None:
    """Train by one process or several.

    `accumulate: auto` doubles the parts of a batch as long as the first iteration does not fit into memory.
    """
    if job.plan.train.precision == "bf16" and device.type == "cpu" and not has_bf16():
        progress.note("this processor has no bf16 and emulates it, a hundred times slower: set train.precision=fp32")
    if job.plan.train.precision == "bf16" and device.type == "cuda" and torch.cuda.get_device_capability() < (8, 0):
        progress.note("this GPU has no bf16 and emulates it: set train.precision=tf32")
    several = job.plan.train.processes > 1
    if several:
        progress.note(f"{job.plan.train.processes} processes")
    while shortage := train_together(job, attempt) if several else attempt(job):
        more = job.in_more_parts() if shortage.pop("first") else None
        if more is None:
            with explain_disk_error(f"{job.out}: could not be written"):
                write_run(job, progress.seconds(), device, shortage=shortage)
            return
        progress.note(f"the memory is too small for {job.parts} part(s) of a batch: computed in {more.parts} parts")
        job = more
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()


def attempt(job: Job, stream: TextIO | None = None) -> dict[str, Any] | None:
    """Train, or go on training; process 0 writes the run. Returns None, or what is to say of a shortage of memory.

    `stream`: where lines of progress go, in place of standard output.
    `first` in it: whether not even one iteration was done.
    Errors: `UserError` after a signal, and where the disk does not take a checkpoint or the run.
    """
    device = own_device(job.plan.train.processes, rank())
    with explain_disk_error(f"{job.data}: cannot be read"):
        images = read_array(job.data)
    schedule = CheckpointSchedule(job.work, job.plan, device, job.name, stream)
    plan = job.plan_in_parts()
    try:
        with schedule.stoppable():
            outcome = train(plan, images, device, schedule)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        memory = {"first": schedule.iterations == 0, "peak_memory_mib": peak_memory(device)}
        return memory | {"facts": shortage_facts(error, plan.train)}
    if schedule.writes:
        schedule.save(outcome)  # should the files below not be written, the training is not lost
        with explain_disk_error(
            f"{job.out}: could not be written; the training is complete and kept, "
            "once that is mended the same command writes it"
        ):
            write_run(job, schedule.seconds(), device, outcome=outcome)
    return None


def shortage_facts(error: BaseException, config: TrainConfig) -> dict[str, Any]:
    """What a person needs to know who wants that cell to fit: the facts of a run that ended as `oom`.

    `would_help`: settings that need less memory than these; the first two leave the gradients what they are.
    """
    would_help = [
        *([] if config.recompute else ["train.recompute: true"]),
        f"train.accumulate: {2 * config.parts}",
        *([] if config.precision == "bf16" else ["train.precision: bf16"]),
        "smaller train.batch_discriminator and train.batch_generator",
    ]
    return {
        "detail": (str(error).splitlines() or [type(error).__name__])[0],
        "bytes_asked": bytes_asked(str(error)),
        "batch_discriminator": config.batch_discriminator,
        "batch_generator": config.batch_generator,
        "would_help": ", ".join(would_help),
    }
