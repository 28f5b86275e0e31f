"""A training run on disk: train a cell, write its folder; never train the same thing twice, never lose what was
trained.
"""

import gc
import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.base.errors import UserError
from pipeline.base.files import read_json, write_json
from pipeline.base.machine import has_bf16, out_of_memory, peak_memory, processor
from pipeline.base.schema import dump
from pipeline.data.array import read_array, read_manifest
from pipeline.networks.distributed import all_reduce_max, world
from pipeline.plan.fingerprint import fingerprint
from pipeline.runs.checkpoint_schedule import (
    WEIGHTS,
    CheckpointSchedule,
    explain_disk_error,
    least_seconds,
)
from pipeline.runs.processes import (
    end_with_worker,
    join,
    own_device,
    shortage,
    train_together,
    under_torchrun,
)
from pipeline.runs.progress import Progress
from pipeline.runs.record import notified, read_record, write_facts, write_record
from pipeline.runs.work_dirs import WORKER, only_trainer, remove_folder, stored, work_folder
from pipeline.training.config import TrainPlan, same_training
from pipeline.training.loop import train

TRAINING = 32  # hexadecimal digits of a key that name the training; the others name the machine


def run_cell(plan: TrainPlan, *, data: str | Path, out: str | Path, name: str) -> dict[str, Any]:
    """Train the cell called `name` on the dataset in `data`, write `out` and its record; returns both in one.

    Where a finished run of the same dataset (another variant) has the same settings, images and code, it is the same
    training: its files are copied, and `copied_from` says whose. A training that was interrupted goes on from its last
    checkpoint and leaves the same bytes. Its state is removed at the end, by the worker where a worker started it:
    that one first pushes the results (pipeline/matrix/cluster/worker.py).
    Errors: `UserError` where another process trains this cell, after a signal, and where the disk does not take the
    checkpoint or the run; the checkpoints stay.
    """
    end_with_worker()
    check_code(plan, name)
    data, out, parent, device = Path(data), Path(out), os.getppid(), own_device()
    check_device(plan, device, name)
    key, progress = run_key(plan, read_manifest(data)["images_sha256"], device), Progress(name)
    with only_trainer(out, name), work_folder(key, name, progress.note) as work:
        say_other_machines(work, key, progress)
        twin = find_twin(out, key)
        if under_torchrun():
            join(device, plan.train)
            all_reduce_max(int(twin is None))  # tells the others whether there is anything to train
        if twin is not None:
            with explain_disk_error(f"{out}: could not be copied from {twin}"):
                shutil.copytree(
                    twin, out, copy_function=shutil.copyfile, dirs_exist_ok=True, ignore=lambda *_: {"run.json"}
                )
                write_json(out / "run.json", read_json(twin / "run.json"))  # last: with it the folder is complete
        elif plan.train.processes > 1 and not under_torchrun():
            notified(progress, lambda: _train_by_several(plan, data, out, work, key, progress, device))
        else:
            with explain_disk_error(f"{data}: cannot be read"):
                images = read_array(data)
            facts, least = plan_facts(plan), least_seconds()
            schedule = CheckpointSchedule(work, key, plan.train, device, progress, least=least, facts=facts)
            notified(progress, lambda: train_cell(plan, images, out, schedule))
        if under_torchrun():
            torch.distributed.destroy_process_group()
        record = read_json(out / "run.json")
        if os.getppid() != parent:
            progress.note(
                "the process that started this training is gone and cannot record it: its state is kept, "
                "the same command only writes it again"
            )
        elif not _kept(work, key, record, copied=twin is not None):
            remove_folder(work)
    copied = {"copied_from": None if twin is None else "/".join(twin.parts[-3:])}
    return record | (read_record(record["key"]) or {}) | copied


def _kept(work: Path, key: str, record: dict[str, Any], *, copied: bool) -> bool:
    """Whether the training's state in `work` stays, although the run is written.

    A worker removes it when the results are pushed. After a shortage of memory another try may have more. Of a run that
    was copied it stays where it is the state of the training copied from, and a worker has yet to push that.
    """
    if copied:
        return bool(os.environ.get(WORKER)) and record.get("key") == key
    return bool(os.environ.get(WORKER) or (record["status"] == "oom" and stored(work)))


def train_cell(
    plan: TrainPlan, images: np.ndarray, out: Path, schedule: CheckpointSchedule, *, parts: int | None = None
) -> dict[str, Any]:
    """Train, or go on training, write the run's folder and its record; returns the content of run.json.

    `parts` that a batch is computed in, where that is decided already. Otherwise `accumulate: auto` doubles them as
    long as the first iteration does not fit into memory.
    """
    progress, device, outcome = schedule.progress, schedule.device, None
    _warn_of_emulation(plan, device, progress)
    decided, parts, facts = parts is not None, parts or plan.train.parts, dict[str, Any]()
    while outcome is None and not facts:
        try:
            with schedule.stoppable():
                outcome = train(in_parts(plan, parts), images, device, schedule)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            more = None if schedule.iterations or decided else more_parts(plan, parts)
            if more is None:
                facts = {"status": "oom", "kimg": 0.0, **shortage(error, in_parts(plan, parts).train)}
            else:
                progress.note(f"the memory is too small for {parts} part(s) of a batch: computed in {more} parts")
                parts = more
        if outcome is None:
            gc.collect()
            if device.type == "cuda":
                torch.cuda.empty_cache()
    memory = [peak_memory(device)]
    if outcome is not None:
        schedule.save(outcome)  # should the files below not be written, the training is not lost
        networks, memory = outcome.networks, memory + [int(row["memory_mib"]) for row in outcome.machine]
        facts = {
            "status": outcome.status,
            **({"detail": outcome.detail} if outcome.detail else {}),
            "kimg": outcome.kimg,
            "parameters_g": sum(parameter.numel() for parameter in networks.generator.parameters()),
            "parameters_d": sum(parameter.numel() for parameter in networks.discriminator.parameters()),
        }
    with explain_disk_error(
        f"{out}: could not be written; the training is complete and kept, "
        "once that is mended the same command writes it"
    ):
        record = {
            "peak_memory_mib": max(memory),
            "accumulate": parts,
            "resumed_at_kimg": outcome.resumed if outcome else [],
            "processes": outcome.processes if outcome else [[0.0, world()]],
        }
        write_record(schedule.key, progress, device, record, outcome)
        for path in sorted((schedule.folder / WEIGHTS).glob("*.safetensors")):
            if outcome is not None and float(path.stem) <= outcome.kimg:
                (out / WEIGHTS).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, out / WEIGHTS / path.name)
        return write_facts(out, plan, outcome, facts, schedule.key, device)


def _train_by_several(
    plan: TrainPlan, data: Path, out: Path, work: Path, key: str, progress: Progress, device: torch.device
) -> dict[str, Any]:
    """A training by several processes of this host; one that ran out of memory is written here."""
    progress.note(f"{plan.train.processes} processes")
    parts = plan.train.parts
    while note := train_together(plan, data=data, out=out, work=work, key=key, name=progress.name, parts=parts):
        more = more_parts(plan, parts) if note["first"] else None
        if more is None:
            record = {
                "peak_memory_mib": note["peak_memory_mib"],
                "accumulate": parts,
                "resumed_at_kimg": [],
                "processes": [[0.0, plan.train.processes]],
            }
            with explain_disk_error(f"{out}: could not be written"):
                write_record(key, progress, device, record, None)
                return write_facts(out, plan, None, {"status": "oom", "kimg": 0.0, **note["oom"]}, key, device)
        progress.note(f"the memory is too small for {parts} part(s) of a batch: computed in {more} parts")
        parts = more
    return read_json(out / "run.json")


def in_parts(plan: TrainPlan, parts: int) -> TrainPlan:
    """`plan` with batches computed in `parts`."""
    return plan.model_copy(update={"train": plan.train.model_copy(update={"accumulate": parts})})


def more_parts(plan: TrainPlan, parts: int) -> int | None:
    """Twice as many parts, where `accumulate: auto` may take as many; their gradients are those of the whole batch."""
    train = plan.train
    divided = 2 * parts * max(train.processes, world())
    if train.accumulate != "auto" or plan.network.batch_statistics:
        return None
    return None if train.batch_generator % divided or train.batch_discriminator % divided else 2 * parts


def _warn_of_emulation(plan: TrainPlan, device: torch.device, progress: Progress) -> None:
    if plan.train.precision == "bf16" and device.type == "cpu" and not has_bf16():
        progress.note("this processor has no bf16 and emulates it, a hundred times slower: set train.precision=fp32")
    if plan.train.precision == "bf16" and device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0):
        progress.note("this GPU has no bf16 and emulates it: set train.precision=tf32")


# ---- which training it is ----
def run_key(plan: TrainPlan, images_sha256: str, device: torch.device) -> str:
    """Hash of everything a training's bytes depend on: its plan (settings and code), images, torch, kernels.

    Kernels: a GPU's architecture, or a processor's maker and its widest vector instructions. Names would tell cards
    with more memory apart, which compute the same.

    The first half (`TRAINING` digits) is of the plan and the images alone: what is trained, on whatever machine.

    The number of processes is left out, though the order of sums depends on it: an interrupted training may go on
    with another number, and run.json says which there were.
    """
    kernels = (
        "sm_{}{}".format(*torch.cuda.get_device_capability(device))
        if device.type == "cuda"
        else f"{processor().split()[0]} {torch.backends.cpu.get_cpu_capability()}"
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
    execution = plan.train.execution
    if execution == "compiled_graphs" and device.type != "cuda":
        raise UserError(
            f"plan/train/{name}.yaml: train.execution: given 'compiled_graphs', which needs a GPU; "
            "allowed on this machine: eager | compiled"
        )
    if execution != "eager" and not _has_compiler():
        raise UserError(
            f"plan/train/{name}.yaml: train.execution: given {execution!r}, which needs a C++ compiler (g++, or the "
            "one that CXX names); allowed on this machine: eager"
        )


def _has_compiler() -> bool:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        return bool(get_cpp_compiler())
    except InvalidCxxCompiler:
        return False


def say_other_machines(work: Path, key: str, progress: Progress) -> None:
    """Name the state that another kind of machine left of this training: kernels round differently, so it stays there.

    `work`: the work directory of `key`; a state in it is gone on from, and nothing has to be said.
    """
    for other in sorted(work.parent.glob(f"{key[:TRAINING]}*")) if not stored(work) else ():
        with suppress(UserError, IndexError):
            kimg = read_json(stored(other)[0])["kimg"]
            progress.note(
                f"begins at 0: another kind of machine, or another torch, has trained {kimg:,.1f} kimg of it and can "
                f"go on; that state stays in {other}"
            )


def find_twin(out: Path, key: str) -> Path | None:
    """A finished run beside `out` (runs/<dataset>/*/seed*) of the same training as `key`'s, on whatever machine."""
    for record in sorted(out.parent.parent.glob("*/seed*/run.json")):
        facts = read_json(record) if record.parent != out else {}
        if facts.get("key", "")[:TRAINING] == key[:TRAINING] and facts["status"] != "oom":
            return record.parent
    return None
