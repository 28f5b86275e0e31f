"""Hand the cells that are not there to an engine:

    transgan submit --engine slurm -- --partition=gpu --time=24:00:00    # or: make submit ENGINE=slurm SBATCH="..."
    transgan submit --engine ray --address ray://head:10001              # without an address: a cluster of this machine

The head's revision, inputs and remote are checked and pushed first. SLURM gets one array job, a task a unit (a cell
with its twins), and a job that gathers after it; this program then ends. With Ray it stays until the last cell is done.
"""

import argparse
import json
import time
from pathlib import Path

from pipeline.base.errors import UserError, command_line
from pipeline.base.git import check_clean, check_libraries
from pipeline.matrix.cluster import slurm
from pipeline.matrix.cluster.inputs import bring_inputs, push_inputs
from pipeline.matrix.cluster.job import Job
from pipeline.matrix.cluster.remote import RemoteCells, check_remote, opened
from pipeline.matrix.cluster.units import read_units
from pipeline.runs.work_dirs import work_root

ENGINES = ("slurm", "ray")


def prepare_job(root: Path, *, clones: str | None, gpus: int, other_libraries: bool) -> Job | None:
    """Check the head, push the inputs, and write the job's folder; None where every cell is there.

    Errors: `UserError` where the head has changes, other libraries, or no remote that carries a run cache.
    """
    revision = check_clean(root)
    if not other_libraries:
        check_libraries(root)
    with opened(root) as repo:
        address = check_remote(repo)
    print(f"submit: revision {revision[:12]}, remote {address}; making and pushing inputs", flush=True)
    held_back = push_inputs(root, bring_inputs(root))
    if held_back:
        print(f"submit: not pushed, workers prepare for themselves: {', '.join(held_back)}", flush=True)
    units = read_units(root)
    with opened(root) as repo:
        remote = RemoteCells(repo)
        left = [unit for unit in units if not all(remote.holds(cell) for cell in unit.cells)]
    print(f"submit: {len(units)} trainings, {len(units) - len(left)} are there, {len(left)} to do", flush=True)
    if not left:
        return None
    work = work_root().absolute()
    return Job(
        folder=new_folder(work / "jobs"),
        root=root.absolute(),
        work=work,
        revision=revision,
        units=left,
        clones=clones,
        gpus=gpus,
        other_libraries=other_libraries,
    )


def new_folder(parent: Path) -> Path:
    """A folder for a job, named by the time."""
    folder = parent / time.strftime("%Y%m%d-%H%M%S")
    number = 0
    while folder.exists():
        number += 1
        folder = folder.with_name(f"{folder.name.partition('.')[0]}.{number}")
    (folder / "logs").mkdir(parents=True)
    return folder


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="transgan submit", description="Hand the cells that are not there to an engine."
    )
    parser.add_argument("--engine", required=True, choices=ENGINES)
    parser.add_argument("--gpus", type=int, default=1, help="GPUs per process of a training; 0: none (1)")
    parser.add_argument("--clones", help="folder for the workers' clones, on a disk of the node for example")
    parser.add_argument("--address", help="Ray: the cluster's address")
    parser.add_argument("--at-once", type=int, default=0, help="SLURM: cells at a time, at most (no limit)")
    parser.add_argument("--warn", type=int, default=180, help="SLURM: seconds before the time limit (180)")
    parser.add_argument("--dry-run", action="store_true", help="SLURM: write the scripts, submit nothing")
    parser.add_argument("--other-libraries", action="store_true", help="allow versions that are not those pinned")
    parser.add_argument("options", nargs="*", help="SLURM: options of sbatch, after --")
    options = parser.parse_args(arguments)
    for name, least in (("gpus", 0), ("at_once", 0), ("warn", 1)):
        if getattr(options, name) < least:
            raise UserError(f"--{name.replace('_', '-')}: given {getattr(options, name)}; allowed: {least} or more")
    if options.address and options.engine != "ray":
        raise UserError(f"--address: given with --engine {options.engine}; allowed: with --engine ray")
    return options


@command_line
def main() -> None:
    options = parse()
    job = prepare_job(Path.cwd(), clones=options.clones, gpus=options.gpus, other_libraries=options.other_libraries)
    if job is None:
        print("submit: nothing to do; `transgan gather --restore` brings the cells home", flush=True)
        return
    (job.folder / "job.json").write_text(json.dumps(job.describe(), indent=2) + "\n", encoding="utf-8")
    if options.engine == "slurm":
        slurm.submit(job, options)
    else:
        from pipeline.matrix.cluster import ray_engine  # Ray is an extra

        ray_engine.submit(job, options.address)


if __name__ == "__main__":
    main()
