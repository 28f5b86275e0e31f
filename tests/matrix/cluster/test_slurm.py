"""A real SLURM of two nodes on this machine: requeued, drained, killed; a head that trains nothing; the same bytes.

Needs root and Debian's packages slurm-wlm and munge. Run by hand: make cluster-test.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.conftest import CELLS, wait_for
from pipeline.base.schema import bind, read_yaml
from pipeline.runs.run import run_cell
from pipeline.training.config import TrainPlan
from runs import content

SCRIPT = Path(__file__).parent / "slurm.sh"
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(shutil.which("slurmctld") is None or os.geteuid() != 0, reason="needs root and slurm-wlm"),
]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """The cluster's folder; SLURM_CONF names its settings."""
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run(["sh", str(SCRIPT), "start", str(folder)], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        wait_for(lambda: out("sinfo", "-h", "-o", "%T").split() == ["idle"], 60)
        yield folder
    subprocess.run(["sh", str(SCRIPT), "stop", str(folder)])


def out(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


def family(process: int) -> list[int]:
    """A process and all below it."""
    children = out("ps", "-o", "pid=", "--ppid", str(process)).split()
    return [process, *(one for child in children for one in family(int(child)))]


def lose_node(slurm: Path, node: str, task_id: str) -> None:
    """Kill a node as a power failure would: its daemon and every process of the task that runs there."""
    (slurm / f"{node}.pid").exists() and os.kill(int((slurm / f"{node}.pid").read_text()), signal.SIGKILL)
    (step,) = out("pgrep", "-f", rf"slurmstepd: \[{task_id}\.batch\]").split()
    for process in family(int(step)):
        os.kill(process, signal.SIGKILL)


def test_six_cells_on_two_nodes_with_a_requeue_a_drain_and_a_lost_node(slurm, head, tmp_path):
    one = head(**{"conf/profile/smoke.yaml:train.kimg": 3.0})
    code, output = one.run("pipeline.cli", "submit", "--engine", "slurm", "--warn", "60")
    assert code == 0 and "4 trainings, 0 are done, 4 to do" in output, output
    (array,) = re.findall(r"submit: array (\d+);", output)
    logs = next(one.work.glob("jobs/*/logs"))

    def training(task: int) -> bool:
        log = logs / f"cells1/{task}.log"
        return log.is_file() and " kimg\n" in log.read_text()

    wait_for(lambda: training(1), 900)
    out("scontrol", "requeue", f"{array}_1")
    wait_for(lambda: training(2), 900)
    out("scontrol", "update", "nodename=n2", "state=drain", "reason=test")
    wait_for(lambda: training(3), 900)
    node = out("squeue", "-h", "-j", f"{array}_3", "-o", "%N").strip()
    lose_node(slurm, node, out("squeue", "-h", "-j", f"{array}_3", "-o", "%A").strip())
    out("scontrol", "update", "nodename=n2", "state=resume")
    wait_for(lambda: "down" in out("sinfo", "-h", "-n", node, "-o", "%T"), 120)
    subprocess.run(["sh", str(SCRIPT), "node", node, str(slurm)], check=True)
    wait_for(lambda: not out("squeue", "-h").strip(), 1800)

    texts = {task: (logs / f"cells1/{task}.log").read_text() for task in (1, 2, 3, 4)}
    assert "start 1" in texts[1] and "start 1" in texts[3] and all("and pushed" in text for text in texts.values())
    gathered = (logs / "gather.log").read_text()
    assert "6 cells: 6 done" in gathered and "6 of 6 cells restored" in gathered and "0 trained" in gathered
    other = one.clone("other-head")
    one.run("dvc", "remote", "add", "--local", "--default", "store", str(one.store), at=other)
    one.trains_nothing(other)
    for cell in CELLS:
        assert content(other / "runs" / cell) == serial(one.folder, cell, tmp_path / "serial"), cell


def serial(project: Path, cell: str, folder: Path) -> dict[str, bytes]:
    """What a training of the cell leaves that nothing disturbs."""
    plan = project / "plan/train" / f"{cell}.yaml"
    where = folder / cell
    run_cell(bind(TrainPlan, read_yaml(plan), file=str(plan)), data=project / "data/digits", out=where, name="serial")
    return content(where)


def test_the_time_limit_stores_the_state_and_the_task_goes_on(slurm, stub):
    project = stub(seeds=(0,), steps=400, seconds=0.25)
    module = [
        sys.executable,
        "-m",
        "pipeline.cli",
        "submit",
        "--engine",
        "slurm",
        "--other-libraries",
        "--warn",
        "30",
    ]
    done = subprocess.run([*module, "--", "--time=2"], cwd=project.folder, env=project.environment(), text=True)
    assert done.returncode == 0
    wait_for(lambda: not out("squeue", "-h").strip(), 1800)
    steps = [line for line in project.logged() if line.startswith("digits/full/seed0 ")]
    assert len(steps) == len(set(steps)) == 400  # none twice
    text = next(project.work.glob("jobs/*/logs/cells1/1.log")).read_text()
    assert "stopped by SIGUSR1" in text and "start 1" in text
