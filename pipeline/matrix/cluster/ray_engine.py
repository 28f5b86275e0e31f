"""Ray: one task a unit, with its GPUs; a task whose node is lost is started again on another one.

Needs the extra `ray` (pip install '.[ray]') and, on every node, this project installed and the head's repository in
sight. Without an address a cluster of this machine is started, and ended afterwards.
"""

import ctypes
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError
from pipeline.matrix.cluster.job import Job
from pipeline.matrix.cluster.units import Unit

RETRIES = 3  # after a lost node or a killed Ray worker
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


def run_unit(command: list[str], root: str, work: str, log: str) -> int:
    """On a node: the worker of one unit, with its output in `log`; returns its exit status."""

    def end_with_ray() -> None:
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGTERM)

    with open(log, "a", encoding="utf-8") as file:
        process = subprocess.Popen(
            command,
            cwd=root,
            env=os.environ | {"TRANSGAN_WORK": work},
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=end_with_ray,  # a raylet that is gone takes its workers along, and they theirs
        )
        return process.wait()


def submit(job: Job, address: str | None) -> list[str]:
    """Run the job to its end; returns the cells that failed.

    Errors: `UserError` where Ray is not installed or has fewer GPUs than a unit needs; and at the end, for what failed.
    """
    try:
        import ray
    except ImportError:
        raise UserError("Ray is not installed: pip install '.[ray]'") from None
    ray.init(address=address, log_to_driver=False, include_dashboard=False if address is None else None)
    try:
        check_resources(job.units, job.gpus, [node["Resources"] for node in ray.nodes() if node["Alive"]])
        task = ray.remote(run_unit)
        waiting = {}
        for unit in job.units:
            log = job.folder / "logs" / f"{unit.name.replace('/', '-')}.log"
            needs = {"num_gpus": unit.processes * job.gpus, "num_cpus": 1, "max_retries": RETRIES}
            waiting[_start(task, needs, job, unit, log)] = (unit, log)
        return _wait(ray, waiting)
    finally:
        ray.shutdown()


def check_resources(units: list[Unit], gpus: int, nodes: list[dict[str, float]]) -> None:
    """Errors: `UserError` where a unit would wait for ever, as no node has the GPUs that it needs on one."""
    most = max(units, key=lambda unit: unit.processes)
    largest = max((node.get("GPU", 0) for node in nodes), default=0)
    if most.processes * gpus > largest:
        raise UserError(
            f"{most.name} needs {most.processes * gpus} GPUs, the cluster's largest node has {largest:.0f}; "
            "--gpus 0 trains on processors"
        )


def _start(task: Any, needs: dict[str, int], job: Job, unit: Unit, log: Path) -> Any:
    return task.options(**needs).remote(job.command(unit.name), str(job.root), str(job.work), str(log))


def _wait(ray: Any, waiting: dict[Any, tuple[Unit, Path]]) -> list[str]:
    failed = []
    total = len(waiting)
    while waiting:
        (reference,), _ = ray.wait(list(waiting), num_returns=1)
        unit, log = waiting.pop(reference)
        try:
            status = ray.get(reference)
            problem = f"failed with status {status}" if status else ""
        except ray.exceptions.RayError as error:
            problem = f"lost ({str(error).splitlines()[0]})"
        if problem:
            failed.append(unit.name)
        print(f"submit: {unit.name}: {problem or 'done'} ({total - len(waiting)} of {total}), log {log}", flush=True)
    if failed:
        raise UserError(f"{len(failed)} of {total} trainings failed: {', '.join(failed)}; `transgan gather` says why")
    return failed
