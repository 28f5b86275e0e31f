"""Which training it is, and whether this machine can do it."""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pipeline.base.errors import UserError
from pipeline.base.files import read_json
from pipeline.base.machine import processor
from pipeline.base.schema import dump
from pipeline.plan.fingerprint import fingerprint
from pipeline.runs.work_dirs import stored
from pipeline.training.config import TrainPlan, same_training

TRAINING = 32  # hexadecimal digits of a key that name the training; the others name the machine


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training: what is trained on which images, where it is written to, and where its state is kept."""

    name: str  # of the cell
    plan: TrainPlan
    data: Path
    out: Path
    work: Path
    key: str
    parts: int  # that a batch is computed in; the plan's `accumulate` may say `auto`

    def in_more_parts(self) -> "Job | None":
        """Twice as many parts, where a batch can be divided so that their gradients are those of the batch."""
        train, divided = self.plan.train, 2 * self.parts * self.plan.train.processes
        odd = any(size % divided for size in (train.batch_generator, train.batch_discriminator))
        return None if odd or self.plan.network.batch_statistics else replace(self, parts=2 * self.parts)


def run_key(plan: TrainPlan, images_sha256: str, device: torch.device) -> str:
    """Hash of everything a training's bytes depend on: its plan (settings and code), images, torch, kernels.

    Kernels: a GPU's architecture, or a processor's maker and its widest vector instructions. Names would tell cards
    with more memory apart, which compute the same. The first half (`TRAINING` digits) is of the plan and the images
    alone: what is trained, on whatever machine. The number of processes is left out, though the order of sums depends
    on it: an interrupted training may go on with another number, and its record says which there were.
    """
    kernels = f"{processor().split()[0]} {torch.backends.cpu.get_cpu_capability()}"
    if device.type == "cuda":
        kernels = "sm_{}{}".format(*torch.cuda.get_device_capability(device))
    alike = plan.model_copy(update={"train": same_training(plan.train)})
    training, machine = (dump(alike), images_sha256), (torch.__version__, device.type, kernels)
    return "".join(hashlib.sha256("".join(parts).encode()).hexdigest()[:TRAINING] for parts in (training, machine))


def find_twin(out: Path, key: str) -> Path | None:
    """A finished run beside `out` (runs/<dataset>/*/seed*) of the same training as `key`'s, on whatever machine."""
    for record in sorted(out.parent.parent.glob("*/seed*/run.json")):
        facts = read_json(record) if record.parent != out else {}
        if facts.get("key", "")[:TRAINING] == key[:TRAINING] and facts["status"] != "oom":
            return record.parent
    return None


def say_other_machines(work: Path, say: Callable[[str], None]) -> None:
    """Where `work` has no state, name that which another kind of machine left: its kernels round differently."""
    for other in [] if stored(work) else filter(stored, work.parent.glob(f"{work.name[:TRAINING]}*")):
        with suppress(UserError):
            kimg = read_json(other / "progress.json")["kimg"]
            machine = "another kind of machine, or another torch,"
            say(f"begins at 0: {machine} has trained {kimg:,.1f} kimg of it and can go on; that state stays in {other}")


def check_plan(plan: TrainPlan, device: torch.device, name: str) -> None:
    """Errors: `UserError` where the code is no longer what the plan was made for: it would train something else.

    And for settings that this device cannot have, which the stage `plan` does not know.
    """
    file, execution = f"plan/train/{name}.yaml", plan.train.execution
    if changed := sorted({*plan.code.items()} ^ {*fingerprint(plan.network, plan.train).items()}):
        anew = "`dvc repro plan` makes it anew, `dvc repro` does so by itself"
        raise UserError(f"{file}: {changed[0][0]} has changed since the plan was made; {anew}")
    needs = "a GPU" if execution == "compiled_graphs" and device.type != "cuda" else ""
    if execution != "eager" and not needs and not _has_compiler():
        needs = "a C++ compiler (g++, or the one that CXX names)"
    if needs:
        allowed = f"allowed on this machine: {'eager | compiled' if needs == 'a GPU' else 'eager'}"
        raise UserError(f"{file}: train.execution: given {execution!r}, which needs {needs}; {allowed}")


def _has_compiler() -> bool:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    with suppress(InvalidCxxCompiler):
        return bool(get_cpp_compiler())
    return False


def own_device(processes: int, rank: int = 0) -> torch.device:
    """The GPU of process `rank`, or the CPU. Errors: `UserError` where there are GPUs, but fewer than `processes`."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    if (count := torch.cuda.device_count()) < processes:
        raise UserError(f"train.processes: given {processes}; allowed: {count} at most, the GPUs visible on this host")
    return torch.device("cuda", rank)
