"""A real Ray cluster of two nodes on loopback, one raylet killed: the cell goes on elsewhere, nothing is trained twice.

Skipped where Ray is not installed (pip install '.[ray]').
"""

import importlib.util
import os
import re
import signal
import subprocess
import sys

import pytest

from cluster.conftest import wait_for

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray"),
]
RAY = [sys.executable, "-m", "ray.scripts.scripts"]
PORT = 26379


@pytest.fixture
def ray_nodes(tmp_path):
    """() -> start two nodes of one pretend GPU each; stopped at the end."""
    started = []

    def start(environment):
        os.makedirs("/tmp/rt", exist_ok=True)
        common = ["--num-cpus", "2", "--num-gpus", "1", "--block", "--disable-usage-stats"]
        for arguments in (
            ["start", "--head", "--port", str(PORT), "--include-dashboard=false", "--temp-dir", "/tmp/rt", *common],
            ["start", "--address", f"127.0.0.1:{PORT}", *common],
        ):
            with open(tmp_path / f"ray{len(started)}.log", "w") as log:
                started.append(
                    subprocess.Popen(
                        [*RAY, *arguments], env=environment, stdout=log, stderr=log, start_new_session=True
                    )
                )
            wait_for(lambda: "Ray runtime started" in (tmp_path / f"ray{len(started) - 1}.log").read_text(), 240)
        return started

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)


def raylet_of(process: int) -> int:
    """The raylet above a worker."""
    while process > 1:
        with open(f"/proc/{process}/stat") as file:
            name, rest = file.read().rsplit(")", 1)
        if "(raylet" in name:
            return int(name.split()[0])
        process = int(rest.split()[1])
    pytest.fail("no raylet above the worker")


def test_a_killed_raylet_loses_nothing(stub, ray_nodes, tmp_path):
    project = stub(variants=("grid", "full", "again"), seeds=(0, 1), steps=60, seconds=0.25)
    environment = project.environment() | {"RAY_worker_niceness": "0"}  # 15 by default: too little on a busy machine
    ray_nodes(environment)
    with open(tmp_path / "submit.log", "w") as log:
        head = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "pipeline.cli",
                "submit",
                "--engine",
                "ray",
                "--address",
                f"127.0.0.1:{PORT}",
            ]
            + ["--other-libraries"],
            cwd=project.folder,
            env=environment,
            stdout=log,
            stderr=log,
        )
    # Not the head's raylet: the driver is connected to the cluster through that one.
    first = wait_for(lambda: _worker_elsewhere(project), 1500)
    os.kill(raylet_of(first), signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{first}"), 60)  # the trainer has ended with its raylet
    assert head.wait(timeout=1800) == 0, (tmp_path / "submit.log").read_text()
    steps = [line for line in project.logged() if re.search(r" \d+$", line)]
    assert len(steps) == len(set(steps)) == 4 * 60  # four trainings (two are twins), no step twice
    code, output = project.run("pipeline.cli", "gather", "--restore")
    assert code == 0 and "6 of 6 cells restored" in output and "0 trained" in output, output


def _worker_elsewhere(project) -> int | None:
    """A trainer below the second node's raylet, once it has stored a step."""
    raylets = subprocess.run(["pgrep", "-x", "raylet"], capture_output=True, text=True).stdout.split()
    second = max(map(int, raylets), default=0)
    for path in project.work.glob("clones/*/.work/cells/*.lock"):
        found = re.match(r"process (\d+)", path.read_text())
        if found and os.path.exists(f"/proc/{found[1]}") and raylet_of(int(found[1])) == second:
            return int(found[1])
    return None
