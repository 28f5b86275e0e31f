"""A training run on disk: train a cell, write its folder; never train the same thing twice, never lose what was
trained.
"""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.base.errors import UserError
from pipeline.base.files import read_json, write_json
from pipeline.base.memory import out_of_memory, peak_memory
from pipeline.base.provenance import has_bf16, processor, provenance
from pipeline.base.schema import dump
from pipeline.data.array import read_array, read_manifest
from pipeline.networks.distributed import all_reduce_max
from pipeline.plan.fingerprint import fingerprint
from pipeline.runs.checkpoint_schedule import WEIGHTS, CheckpointSchedule, explain_disk_error, least_seconds
from pipeline.runs.group import join, leave, own_device, under_torchrun
from pipeline.runs.notify import notified
from pipeline.runs.progress import Progress
from pipeline.runs.run_files import write_run
from pipeline.runs.shortage import shortage
from pipeline.runs.team import train_together
from pipeline.runs.watchdog import WORKER, end_with_worker
from pipeline.runs.work_dirs import only_trainer, remove_folder, stored, work_folder
from pipeline.training.config import TrainPlan, same_training
from pipeline.training.loop import train

TRAINING = 32  # hexadecimal digits of a key that name the training; the others name the machine


def run_cell(plan: TrainPlan, *, data: str | Path, out: str | Path, name: str) -> dict[str, Any]:
    """Train the cell called `name` on the dataset in `data`, write `out`; returns the record that is out/run.json.

    Where a finished run of the same dataset (another variant) has the same settings, images and code, it is the same
    training: its files are copied and the record says so. A training that was interrupted goes on from its last
    checkpoint and leaves the same bytes. Its state is removed at the end, by the worker where a worker started it:
    that one first pushes the results (pipeline/matrix/cluster/worker.py).
    Errors: `UserError` where another process trains this cell, after a signal, and where the disk does not take the
    checkpoint or the run; the checkpoints stay.
    """
    end_with_worker()
    check_code(plan, name)
    out, parent = Path(out), os.getppid()
    device = own_device()
    check_device(plan, device, name)
    key, progress = run_key(plan, read_manifest(data)["images_sha256"], device), Progress(name)
    with only_trainer(out, name), work_folder(key, name, progress.note) as work:
        twin = find_twin(out, key)
        if under_torchrun():
            join(device, plan.train)
            all_reduce_max(int(twin is None))  # tells the others whether there is anything to train
        if twin is not None:
            record = copy_run(twin, out)
        elif plan.train.processes > 1 and not under_torchrun():
            record = notified(progress, lambda: _by_several(plan, Path(data), out, work, key, progress, device))
        else:
            with explain_disk_error(f"{data}: cannot be read"):
                images = read_array(data)
            schedule = CheckpointSchedule(
                work,
                key,
                plan.train,
                device,
                progress,
                least=least_seconds(),
                facts=plan_facts(plan),
            )
            record = notified(progress, lambda: train_cell(plan, images, out, schedule))
        if under_torchrun():
            leave()
        if os.getppid() != parent:
            progress.note(
                "whoever started this training is gone and cannot record it: its state is kept, "
                "the same command only writes it again"
            )
        elif not _kept(work, key, record, copied=twin is not None):
            remove_folder(work)
    return record


def _kept(work: Path, key: str, record: dict[str, Any], *, copied: bool) -> bool:
    """Whether the training's state in `work` stays, although the run is written.

    A worker removes it when the results are pushed. After a shortage of memory another try may have more. Of a run that
    was copied it stays where it is the state of the training copied from, and a worker has yet to push that.
    """
    if copied:
        return bool(os.environ.get(WORKER)) and record.get("key") == key
    return bool(os.environ.get(WORKER) or (record["status"] == "oom" and stored(work)))


def train_cell(plan: TrainPlan, images: np.ndarray, out: Path, schedule: CheckpointSchedule) -> dict[str, Any]:
    """Train, or go on training, and write the run's folder."""
    outcome, progress, device = None, schedule.progress, schedule.device
    if plan.train.precision == "bf16" and device.type == "cpu" and not has_bf16():
        progress.note("this processor has no bf16 and emulates it, a hundred times slower: set train.precision=fp32")
    try:
        with schedule.stoppable():
            outcome = train(plan, images, device, schedule)
        schedule.save(outcome)  # whatever becomes of the files below, the training is not lost
        facts = {
            "status": outcome.status,
            **({"detail": outcome.detail} if outcome.detail else {}),
            "kimg": outcome.kimg,
            "parameters_g": sum(p.numel() for p in outcome.networks.generator.parameters()),
            "parameters_d": sum(p.numel() for p in outcome.networks.discriminator.parameters()),
            "resumed_at_kimg": outcome.resumed,
            "processes": outcome.processes,
        }
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        facts = {"status": "oom", "kimg": 0.0, **shortage(error, plan.train)}
    record = facts | _circumstances(plan, schedule.key, progress, device)
    with explain_disk_error(
        f"{out}: could not be written; the training is complete and kept, "
        "once that is mended the same command writes it"
    ):
        write_run(out, plan, outcome, record)
        for path in sorted((schedule.folder / WEIGHTS).glob("*.safetensors")):
            if outcome is not None and float(path.stem) <= outcome.kimg:
                (out / WEIGHTS).mkdir(exist_ok=True)
                shutil.copyfile(path, out / WEIGHTS / path.name)
    return record


def _by_several(
    plan: TrainPlan, data: Path, out: Path, work: Path, key: str, progress: Progress, device: torch.device
) -> dict[str, Any]:
    """The record of a training by several processes of this host; of one that ran out of memory it is written here."""
    progress.note(f"{plan.train.processes} processes")
    shortage = train_together(plan, data=data, out=out, work=work, key=key, name=progress.name)
    if shortage is None:
        return read_json(out / "run.json")
    facts = {"status": "oom", "kimg": 0.0, **shortage, "processes": [[0.0, plan.train.processes]]}
    record = facts | _circumstances(plan, key, progress, device)
    with explain_disk_error(f"{out}: could not be written"):
        write_run(out, plan, None, record)
    return record


def _circumstances(plan: TrainPlan, key: str, progress: Progress, device: torch.device) -> dict[str, Any]:
    """What a record says of every training, however it ended."""
    return {
        "kimg_planned": plan.train.kimg,
        "seconds": round(progress.seconds(), 1),
        "peak_memory_mib": peak_memory(device),
        "key": key,
        "copied_from": None,
        **provenance(device),
    }


def copy_run(twin: Path, out: Path) -> dict[str, Any]:
    """The files of a finished run of the same training, under this one's name."""
    with explain_disk_error(f"{out}: could not be copied from {twin}"):
        shutil.copytree(
            twin, out, copy_function=shutil.copyfile, dirs_exist_ok=True, ignore=shutil.ignore_patterns("run.json")
        )
        record = read_json(twin / "run.json") | {"copied_from": "/".join(twin.parts[-3:])}
        write_json(out / "run.json", record)
    return record


def run_key(plan: TrainPlan, images_sha256: str, device: torch.device) -> str:
    """Hash of everything a training's bytes depend on: its plan (settings and code), images, torch, device.

    The first half (`TRAINING` digits) is of the plan and the images alone: what is trained, on whatever machine.

    The number of processes is left out, though the order of sums depends on it: an interrupted training may go on
    with another number, and run.json says which there were.
    """
    kernels = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{processor().rsplit(',')[0]} {torch.backends.cpu.get_cpu_capability()}"
    )
    alike = plan.model_copy(update={"train": same_training(plan.train)})
    training, machine = (dump(alike), images_sha256), (torch.__version__, device.type, kernels)
    return "".join(hashlib.sha256("".join(parts).encode()).hexdigest()[:TRAINING] for parts in (training, machine))


def check_code(plan: TrainPlan, name: str) -> None:
    """Errors: `UserError` where the code is no longer what the plan was made for: it would train something else."""
    now = fingerprint(plan.network, plan.train)
    if plan.code != now:
        changed = sorted({*plan.code.items()} ^ {*now.items()})
        raise UserError(
            f"plan/train/{name}.yaml: {changed[0][0]} has changed since the plan was made; "
            "`dvc repro plan` makes it anew, `dvc repro` does so by itself"
        )


def plan_facts(plan: TrainPlan) -> dict[str, str]:
    """By what a checkpoint is known to be of a plan file: the hash of that file's content."""
    return {"plan_sha256": hashlib.sha256(dump(plan).encode()).hexdigest()}


def check_device(plan: TrainPlan, device: torch.device, name: str) -> None:
    """Errors: `UserError` for settings that this device cannot have; `plan` does not know the device."""
    if plan.train.execution == "compiled_graphs" and device.type != "cuda":
        raise UserError(
            f"plan/train/{name}.yaml: train.execution: given 'compiled_graphs', which needs a GPU; "
            "allowed on this machine: eager | compiled"
        )


def find_twin(out: Path, key: str) -> Path | None:
    """A finished run beside `out` (runs/<dataset>/*/seed*) of the same training as `key`'s, on whatever machine."""
    for record in sorted(out.parent.parent.glob("*/seed*/run.json")):
        facts = read_json(record) if record.parent != out else {}
        if facts.get("key", "")[:TRAINING] == key[:TRAINING] and facts["status"] != "oom":
            return record.parent
    return None
