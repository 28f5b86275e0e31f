"""One of the processes that train a cell together: python -m pipeline.runs.rank DATA OUT WORK KEY NAME

Started by torchrun (`pipeline.runs.team`), or entered by a stage that torchrun itself has started. Every process
computes its rows of every batch; process 0 says, stores and writes.
"""

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

from pipeline.base.errors import UserError
from pipeline.base.memory import out_of_memory
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
from pipeline.runs.group import LOST, another_one_ended, join, leave, own_device, write_note
from pipeline.runs.progress import Progress
from pipeline.runs.run import check_code, plan_facts, run_key, train_cell
from pipeline.runs.shortage import shortage
from pipeline.runs.team import PLAN, STOP
from pipeline.runs.work_dirs import lock, work_root
from pipeline.training.config import TrainPlan
from pipeline.training.loop import train


def main() -> None:
    data, out, work = map(Path, sys.argv[1:4])
    key, name = sys.argv[4:]
    number, starter = int(os.environ["RANK"]), os.getppid()
    plan = bind(TrainPlan, read_yaml(work / PLAN), file=str(work / PLAN))

    def asked() -> str | None:
        if os.getppid() != starter:
            return ABANDONED
        return (work / STOP).read_text() if number == 0 and (work / STOP).exists() else None

    # Held as long as it lives: if its starter is killed, the next one waits (`work_folder`).
    with lock(work / f"process-{number}.lock", name, lambda who: None):
        status = _status(lambda: _train(plan, data, out, work, key, name, asked), work, number, plan)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # the usual clean-up of a group waits for members that may be gone


def follow_cell(plan: TrainPlan, *, data: str | Path, out: str | Path, name: str) -> None:
    """`run_cell` for a process that torchrun started beside process 0; that one locks, looks for twins and writes."""
    check_code(plan, name)
    device, data = own_device(), Path(data)
    key = run_key(plan, read_manifest(data)["images_sha256"], device)
    join(device, plan.train)
    if all_reduce_max(0):  # there is something to train
        with suppress(Stopped):  # process 0 says it
            take_part(plan, data=data, out=Path(out), work=work_root() / key, key=key, name=name, device=device)
    leave()


def take_part(
    plan: TrainPlan,
    *,
    data: Path,
    out: Path,
    work: Path,
    key: str,
    name: str,
    device: torch.device,
    asked: Callable[[], str | None] = lambda: None,
) -> None:
    """Train as one of the processes that have joined; process 0 writes `out`.

    `asked`: the reason why training has to stop after the iteration, or None.
    """
    first = rank() == 0
    with explain_disk_error(f"{data}: cannot be read"):
        images = read_array(data)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        progress = Progress(name, None if first else nowhere)
        schedule = CheckpointSchedule(
            work,
            key,
            plan.train,
            device,
            progress,
            least=least_seconds(),
            asked=asked,
            writes=first,
            facts=plan_facts(plan),
        )
        if first:
            train_cell(plan, images, out, schedule)
            return
        with schedule.stoppable():
            train(plan, images, device, schedule)


def _train(
    plan: TrainPlan, data: Path, out: Path, work: Path, key: str, name: str, asked: Callable[[], str | None]
) -> None:
    device = own_device()
    join(device, plan.train)
    take_part(plan, data=data, out=out, work=work, key=key, name=name, device=device, asked=asked)
    if rank() == 0:
        write_note(work, 0, {"done": True})


def _status(train_all: Callable[[], None], work: Path, number: int, plan: TrainPlan) -> int:
    """The exit status after training; 0 for every end that all processes have agreed on. What ended it is noted."""
    try:
        train_all()
    except Stopped as stopped:
        if number == 0:
            write_note(work, number, {"error": str(stopped)})
    except KeyboardInterrupt:
        return 130
    except UserError as error:
        write_note(work, number, {"error": str(error)})
        return 1
    except (RuntimeError, MemoryError) as error:
        if out_of_memory(error):
            write_note(work, number, {"oom": shortage(error, plan.train)})
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
