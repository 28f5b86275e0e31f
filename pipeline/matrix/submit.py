"""Hand the cells that are not done to an engine (docs/how-to/cluster.md):

    transgan submit --engine slurm -- --partition=gpu --time=24:00:00    # or: make submit ENGINE=slurm SBATCH="..."
    transgan submit --engine ray --address ray://head:10001              # without an address: a cluster of this machine

SLURM gets array jobs, a task a unit, and a job that gathers after them. With Ray this program stays until the last
unit is done.
"""

import argparse
import ctypes
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.base.errors import ArgumentParser, UserError, amount, command_line
from pipeline.base.files import add_number, write_text
from pipeline.base.git import check_clean
from pipeline.matrix.dvc import check_remote, dvc, push
from pipeline.matrix.gather import cell_states
from pipeline.matrix.units import State, Unit, read_units, references
from pipeline.runs.work_dirs import SHARED, work_root

ARRAY = Path(__file__).parent / "array.sh"
RETRIES = 3  # of Ray, after a lost node or a killed Ray worker


def slurm(folder: Path, units: list[Unit], worker: list[str], options: argparse.Namespace) -> list[str]:
    """An array for each number of processes, and the gathering after them; returns the numbers of the jobs.

    `folder`: for scripts and logs. `worker`: options of every worker. The head's repository is the current folder.
    Errors: `UserError` where there is no sbatch, or it refuses.
    """
    shared = {SHARED: work_root().absolute(), "HEAD": Path.cwd(), "PYTHON": sys.executable}
    exports = "".join(f"export {name}={shlex.quote(str(value))}\n" for name, value in shared.items())
    gather = folder / "gather.sh"
    write_text(gather, f'#!/bin/bash\n{exports}cd "$HEAD" && "$PYTHON" -m pipeline.cli gather --restore\n')
    arrays = []
    for processes in sorted({unit.processes for unit in units}):
        cells = [str(unit) for unit in units if unit.processes == processes]
        script, logs = folder / f"array{processes}.sh", folder / f"logs/cells{processes}"
        named = f"{exports}cells=({shlex.join(cells)})\noptions=({shlex.join(worker)})\n"
        write_text(script, ARRAY.read_text(encoding="utf-8").replace("# SETTINGS\n", named))
        logs.mkdir()
        array = [f"--array=1-{len(cells)}", f"--signal=B:USR1@{options.warn}", f"--output={logs}/%a.log"]
        array += [f"--gres=gpu:{processes * options.gpus}"] if options.gpus else []
        arrays.append([*array, *options.options, str(script)])
    if options.dry_run:
        print("\n".join(["submit: written, not submitted:", *(f"  sbatch {shlex.join(one)}" for one in arrays)]))
        return []
    if shutil.which("sbatch") is None:
        raise UserError(f"sbatch: no such command here; the scripts are in {folder}, submit them where SLURM is")
    numbers = [_sbatch(*array) for array in arrays]
    print(f"submit: array {', '.join(numbers)}; logs: {folder}/logs", flush=True)
    after = [f"--dependency=afterany:{':'.join(numbers)}", f"--output={folder}/logs/gather.log"]
    numbers.append(_sbatch(*options.options, "--job-name=transgan-gather", *after, str(gather)))
    print(f"submit: gathering {numbers[-1]}, when they have ended", flush=True)
    return numbers


def _sbatch(*arguments: str) -> str:
    done = subprocess.run(["sbatch", "--parsable", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"sbatch refused: {' '.join(done.stderr.split())}")
    return done.stdout.strip().partition(";")[0]


def ray(folder: Path, units: list[Unit], worker: list[str], options: argparse.Namespace) -> None:
    """One task a unit, with its GPUs; a task whose node is lost is started again on another one. Arguments: as `slurm`.

    Errors: `UserError` where Ray is not installed or no node has the GPUs of a unit; and at the end, for what failed.
    """
    try:
        import ray as engine
    except ImportError:
        raise UserError("Ray is not installed: pip install '.[ray]'") from None
    local, failed = options.address is None, []
    engine.init(address=options.address, log_to_driver=False, include_dashboard=False if local else None)
    try:
        check_resources(units, options.gpus, [node["Resources"] for node in engine.nodes() if node["Alive"]])
        tasks = {}
        for unit in units:
            resources = {"num_gpus": unit.processes * options.gpus, "num_cpus": 1}
            task = engine.remote(run_worker).options(**resources, max_retries=RETRIES)
            command = [sys.executable, "-m", "pipeline.cli", "worker", "--cell", str(unit), *worker]
            log = folder / "logs" / f"{str(unit).replace('/', '-')}.log"
            tasks[task.remote(command, str(Path.cwd()), str(work_root().absolute()), str(log))] = unit, log
        while tasks:
            (reference,), _ = engine.wait(list(tasks), num_returns=1)
            unit, log = tasks.pop(reference)
            try:
                problem = f"failed with status {status}" if (status := engine.get(reference)) else ""
            except engine.exceptions.RayError as error:
                problem = f"lost ({str(error).splitlines()[0]})"
            failed += [str(unit)] if problem else []
            print(f"submit: {unit}: {problem or 'done'}, log {log}", flush=True)
    finally:
        engine.shutdown()
    if failed:
        what = f"{len(failed)} of {amount(len(units), 'training')} failed: {', '.join(failed)}"
        raise UserError(f"{what}; `transgan gather` says why")


def check_resources(units: list[Unit], gpus: int, nodes: list[dict[str, float]]) -> None:
    """Errors: `UserError` where a unit would wait for ever, as no node has the GPUs that it needs."""
    most = max(units, key=lambda unit: unit.processes)
    largest = max((node.get("GPU", 0) for node in nodes), default=0)
    if (needed := most.processes * gpus) > largest:
        has = f"the cluster's largest node has {largest:.0f}"
        raise UserError(f"{most} needs {needed} GPUs, {has}; --gpus 0 trains on processors")


def run_worker(command: list[str], root: str, work: str, log: str) -> int:
    """On a node of Ray: the worker of one unit, with its output in `log`; returns its exit status."""
    # A raylet that is gone takes its workers along, and they theirs (Linux: PR_SET_PDEATHSIG is 1).
    end_with_parent = partial(ctypes.CDLL(None).prctl, 1, signal.SIGTERM)
    with open(log, "a", encoding="utf-8") as file:
        options: dict[str, Any] = {"cwd": root, "env": os.environ | {SHARED: work}, "stdout": file, "stderr": file}
        return subprocess.run(command, **options, preexec_fn=end_with_parent).returncode


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = ArgumentParser(prog="transgan submit", description="Hand the cells not done to an engine.")
    parser.add_argument("--engine", required=True, choices=("slurm", "ray"))
    add_number(parser, "--gpus", 0, default=1, help="GPUs per process of a training; 0: none (1)")
    parser.add_argument("--clones", help="folder for the workers' clones, on a disk of the node for example")
    parser.add_argument("--address", help="Ray: the cluster's address")
    add_number(parser, "--warn", 1, default=180, help="SLURM: seconds before the time limit (180)")
    parser.add_argument("--dry-run", action="store_true", help="SLURM: write the scripts, submit nothing")
    parser.add_argument("--other-libraries", action="store_true", help="allow versions that are not those pinned")
    parser.add_argument("options", nargs="*", help="SLURM: options of sbatch, after --")
    options = parser.parse_args(arguments)
    if options.address and options.engine != "ray":
        raise UserError(f"--address: given with --engine {options.engine}; allowed: with --engine ray")
    return options


@command_line
def main() -> None:
    """Check the head, make and push what every cell needs, and hand what is not done to the engine.

    Prepared images are never pushed: several data sets must not be passed on, so each machine prepares its own.
    Errors: `UserError` where the head has changes, other libraries, or no remote that carries a run cache.
    """
    options = parse()
    revision = check_clean(any_libraries=options.other_libraries)
    print(f"submit: revision {revision[:12]}, remote {check_remote()}; making and pushing references", flush=True)
    dvc("repro", "plan")
    units = read_units()
    dvc("repro", "--pull", *references(units))
    push(dvc, references(units))
    states = cell_states(units, revision)
    left = [unit for unit in units if any(states[cell][0] is not State.DONE for cell in unit.cells)]
    print(f"submit: {amount(len(units), 'training')}, {len(units) - len(left)} are done, {len(left)} to do", flush=True)
    if not left:
        print("submit: nothing to do; `transgan gather --restore` brings the cells home", flush=True)
        return
    folder = work_root().absolute() / "jobs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    (folder / "logs").mkdir(parents=True)
    worker = ["--revision", revision, "--source", str(Path.cwd())]
    worker += ["--clones", options.clones] if options.clones else []
    worker += ["--other-libraries"] if options.other_libraries else []
    (slurm if options.engine == "slurm" else ray)(folder, left, worker, options)
