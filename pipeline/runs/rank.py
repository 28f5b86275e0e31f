"""One of the processes that train a cell together: python -m pipeline.runs.rank DATA OUT WORK KEY NAME PARTS

Started by torchrun's library (`pipeline.runs.processes`), or entered by a stage that torchrun itself has started. Every
process computes its rows of every batch; process 0 says, stores and writes.
"""

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.base.errors import UserError
from pipeline.base.machine import out_of_memory, peak_memory
from pipeline.base.schema import bind, read_yaml
from pipeline.data.array import read_array, read_manifest
from pipeline.networks.distributed import all_reduce_max, rank
from pipeline.runs.checkpoint_schedule import (
    ABANDONED,
    CheckpointSchedule,
    Stopped,
    explain_disk_error,
    least_seconds,
)
from pipeline.runs.processes import LOST, PLAN, STOP, another_one_ended, join, own_device, shortage, write_note
from pipeline.runs.progress import Progress
from pipeline.runs.run import check_code, in_parts, plan_facts, run_key, train_cell
from pipeline.runs.work_dirs import lock, work_root
from pipeline.training.config import TrainPlan
from pipeline.training.loop import train


def main() -> None:
    data, out, work = map(Path, sys.argv[1:4])
    key, name, parts = sys.argv[4:]
    number, starter = int(os.environ["RANK"]), os.getppid()
    plan = bind(TrainPlan, read_yaml(work / PLAN), file=str(work / PLAN))

    def asked() -> str | None:
        if os.getppid() != starter:
            return ABANDONED
        return (work / STOP).read_text() if number == 0 and (work / STOP).exists() else None

    member = Member(plan, data, out, work, key, name, own_device(), asked, int(parts))
    # Held as long as it lives: if its starter is killed, the next one waits (`work_folder`).
    with lock(work / f"process-{number}.lock", name, lambda who: None):
        status = _status(member, number)
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)  # the usual clean-up of a group waits for members that may be gone


@dataclass
class Member:
    """One of the processes that train a cell. `asked`: the reason why training has to stop, or None."""

    plan: TrainPlan
    data: Path
    out: Path
    work: Path
    key: str
    name: str
    device: torch.device
    asked: Callable[[], str | None] = lambda: None
    parts: int | None = None
    iterations: int = 0  # done in this sitting

    def train(self) -> None:
        """Train, once all have joined; process 0 writes `out`."""
        first = rank() == 0
        with explain_disk_error(f"{self.data}: cannot be read"):
            images = read_array(self.data)
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            schedule = CheckpointSchedule(
                self.work,
                self.key,
                self.plan.train,
                self.device,
                Progress(self.name, None if first else nowhere),
                least=least_seconds(),
                asked=self.asked,
                writes=first,
                facts=plan_facts(self.plan),
            )
            try:
                if first:
                    train_cell(self.plan, images, self.out, schedule, parts=self.parts or self.plan.train.parts)
                else:
                    with schedule.stoppable():
                        train(in_parts(self.plan, self.parts or self.plan.train.parts), images, self.device, schedule)
            finally:
                self.iterations = schedule.iterations


def follow_cell(plan: TrainPlan, *, data: str | Path, out: str | Path, name: str) -> None:
    """`run_cell` for a process that torchrun started beside process 0; that one locks, looks for twins and writes."""
    check_code(plan, name)
    device, data = own_device(), Path(data)
    key = run_key(plan, read_manifest(data)["images_sha256"], device)
    join(device, plan.train)
    if all_reduce_max(0):  # there is something to train
        with suppress(Stopped):  # process 0 says it
            Member(plan, data, Path(out), work_root() / key, key, name, device).train()
    torch.distributed.destroy_process_group()


def _status(member: Member, number: int) -> int:
    """The exit status after training; 0 for every end that all processes have agreed on. The reason is in the note."""
    try:
        join(member.device, in_parts(member.plan, member.parts or 1).train)
        member.train()
        if number == 0:
            write_note(member.work, 0, {"done": True})
    except Stopped as stopped:
        if number == 0:
            write_note(member.work, number, {"error": str(stopped)})
    except KeyboardInterrupt:
        return 130
    except UserError as error:
        write_note(member.work, number, {"error": str(error)})
        return 1
    except (RuntimeError, MemoryError) as error:
        if out_of_memory(error):  # before the next question: NCCL reports its own shortages as lost connections
            note = {"oom": shortage(error, in_parts(member.plan, member.parts or 1).train)}
            first, peak = member.iterations == 0, peak_memory(member.device)
            write_note(member.work, number, {**note, "first": first, "peak_memory_mib": peak})
            return 1
        if another_one_ended(error):
            return LOST
        traceback.print_exc()
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main()
