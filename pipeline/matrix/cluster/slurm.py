"""SLURM: an array job with a task for each unit, and a job after it that gathers. Scripts alone, no daemon.

A task is requeued where its node fails or is drained away from it. Before the time limit SLURM sends SIGUSR1: the
worker stores the training's state and the task puts itself into the queue again.
"""

import argparse
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.base.files import write_text
from pipeline.matrix.cluster.job import Job
from pipeline.matrix.cluster.units import Unit
from pipeline.matrix.cluster.worker import TRY_AGAIN

ARRAY = """\
#!/bin/bash
#SBATCH --job-name=transgan
#SBATCH --array=1-{count}{at_once}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@{warn}
#SBATCH --output="{logs}/%a.log"
{gpus}# Task k trains line k of the list of cells.
cd {root} || exit 1
export TRANSGAN_WORK={work}
cell=$(sed -n "${{SLURM_ARRAY_TASK_ID}}p" {cells})
echo "task $SLURM_ARRAY_TASK_ID on $(hostname), start ${{SLURM_RESTART_COUNT:-0}}: $cell"
{python} -m pipeline.matrix.cluster.worker --cell "$cell" {options} &
worker=$!
trap 'kill -USR1 $worker' USR1
trap 'kill -TERM $worker' TERM
wait $worker
# A signal ends `wait`, not the worker, which stores its state first.
while kill -0 $worker 2>/dev/null; do wait $worker; done
# Whatever a signal made of the last `wait`, this one has the worker's own status.
wait $worker; status=$?
# {killed}: SIGUSR1 came before the worker listened to signals, so nothing had begun.
if [ $status -eq {again} ] || [ $status -eq {killed} ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit $status
"""

GATHER = """\
#!/bin/bash
#SBATCH --job-name=transgan-gather
#SBATCH --output="{logs}/gather.log"
cd {root} || exit 1
export TRANSGAN_WORK={work}
{python} -m pipeline.matrix.cluster.gather --restore
"""


def array_script(job: Job, units: list[Unit], cells: Path, *, warn: int, at_once: int = 0) -> str:
    """The script of an array over `units`, which all have the same number of processes; `cells` is its list."""
    gpus = units[0].processes * job.gpus
    return ARRAY.format(
        count=len(units),
        at_once=f"%{at_once}" if at_once else "",
        warn=warn,
        logs=job.folder / "logs" / cells.stem,
        gpus=f"#SBATCH --gres=gpu:{gpus}\n" if gpus else "",
        root=shlex.quote(str(job.root)),
        work=shlex.quote(str(job.work)),
        cells=shlex.quote(str(cells)),
        python=shlex.quote(job.python),
        options=shlex.join(job.options()),
        again=TRY_AGAIN,
        killed=128 + signal.SIGUSR1,
    )


def gather_script(job: Job) -> str:
    """The script of the job that gathers when all tasks have ended, however they ended."""
    quoted = {"root": str(job.root), "work": str(job.work), "python": job.python}
    return GATHER.format(logs=job.folder / "logs", **{name: shlex.quote(text) for name, text in quoted.items()})


def write_scripts(job: Job, *, warn: int, at_once: int = 0) -> tuple[list[Path], Path]:
    """The scripts in the job's folder: an array for each number of processes, and the gathering."""
    groups: dict[int, list[Unit]] = {}
    for unit in job.units:
        groups.setdefault(unit.processes, []).append(unit)
    arrays = []
    for processes, units in sorted(groups.items()):
        cells = job.folder / f"cells{processes}.txt"
        write_text(cells, "".join(f"{unit.name}\n" for unit in units))
        (job.folder / "logs" / cells.stem).mkdir(parents=True, exist_ok=True)
        arrays.append(job.folder / f"array{processes}.sh")
        write_text(arrays[-1], array_script(job, units, cells, warn=warn, at_once=at_once))
    write_text(job.folder / "gather.sh", gather_script(job))
    return arrays, job.folder / "gather.sh"


def submit(job: Job, options: argparse.Namespace) -> list[str]:
    """Write the scripts and give them to sbatch; returns the numbers of the jobs, the gathering last.

    Errors: `UserError` where there is no sbatch, or it refuses.
    """
    arrays, last = write_scripts(job, warn=options.warn, at_once=options.at_once)
    if options.dry_run:
        print(f"submit: written, not submitted: {', '.join(map(str, [*arrays, last]))}", flush=True)
        return []
    if shutil.which("sbatch") is None:
        raise UserError(f"sbatch: no such command here; the scripts are in {job.folder}, submit them where SLURM is")
    numbers = [_sbatch(*options.options, str(array)) for array in arrays]
    print(f"submit: array {', '.join(numbers)}; logs: {job.folder}/logs", flush=True)
    where = whereabouts(options.options)
    numbers.append(_sbatch(*where, f"--dependency=afterany:{':'.join(numbers)}", str(last)))
    print(f"submit: gathering {numbers[-1]}, when they have ended", flush=True)
    return numbers


def whereabouts(options: list[str]) -> list[str]:
    """Of the options of sbatch those that say where a job may run: they serve the gathering too.

    The others ask for GPUs, tasks and time, and are the arrays' alone.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for short, name in (("-p", "--partition"), ("-A", "--account"), ("-q", "--qos")):
        parser.add_argument(short, name)
    found = vars(parser.parse_known_args(options)[0])
    return [f"--{name}={value}" for name, value in found.items() if value is not None]


def _sbatch(*arguments: str) -> str:
    done = subprocess.run(["sbatch", "--parsable", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"sbatch refused: {' '.join(done.stderr.split())}")
    return done.stdout.strip().partition(";")[0]
