"""The scripts that SLURM gets, what Ray is asked for, and what is refused; no engine is needed."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.matrix.cluster import ray_engine, slurm, submit
from pipeline.matrix.cluster.devices import slots, visible_gpus
from pipeline.matrix.cluster.job import Job
from pipeline.matrix.cluster.units import Unit

GOLDEN = """\
#!/bin/bash
#SBATCH --job-name=transgan
#SBATCH --array=1-2%5
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@180
#SBATCH --output="{folder}/logs/cells4/%a.log"
#SBATCH --gres=gpu:4
# Task k trains line k of the list of cells.
cd '/a head' || exit 1
export TRANSGAN_WORK=/work
cell=$(sed -n "${{SLURM_ARRAY_TASK_ID}}p" {folder}/cells4.txt)
echo "task $SLURM_ARRAY_TASK_ID on $(hostname), start ${{SLURM_RESTART_COUNT:-0}}: $cell"
/env/python -m pipeline.matrix.cluster.worker --cell "$cell" --revision abc --source '/a head' --clones /scratch &
worker=$!
trap 'kill -USR1 $worker' USR1
trap 'kill -TERM $worker' TERM
wait $worker
# A signal ends `wait`, not the worker, which stores its state first.
while kill -0 $worker 2>/dev/null; do wait $worker; done
# Whatever a signal made of the last `wait`, this one has the worker's own status.
wait $worker; status=$?
# 138: SIGUSR1 came before the worker listened to signals, so nothing had begun.
if [ $status -eq 75 ] || [ $status -eq 138 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit $status
"""


@pytest.fixture
def job(tmp_path):
    """Three trainings: one in one process, two in four."""
    units = [Unit(("d/a/seed0", "d/twin/seed0")), Unit(("d/b/seed0",), 4), Unit(("d/c/seed0",), 4)]
    return Job(tmp_path, Path("/a head"), Path("/work"), "abc", units, clones="/scratch", python="/env/python")


def test_the_scripts_of_an_array_for_each_number_of_processes(job):
    arrays, last = slurm.write_scripts(job, warn=180, at_once=5)
    assert [path.name for path in arrays] == ["array1.sh", "array4.sh"]
    assert arrays[1].read_text() == GOLDEN.format(folder=job.folder)
    assert (job.folder / "cells4.txt").read_text() == "d/b/seed0\nd/c/seed0\n"
    assert (job.folder / "cells1.txt").read_text() == "d/a/seed0\n"  # its twin comes with it
    assert (job.folder / "logs/cells4").is_dir()  # sbatch makes no folder for its output
    for script in (*arrays, last):
        subprocess.run(["bash", "-n", str(script)], check=True)
    assert "pipeline.matrix.cluster.gather --restore" in last.read_text()


def test_without_gpus_none_are_asked_for(job):
    job = Job(**{**vars(job), "gpus": 0})
    arrays, _ = slurm.write_scripts(job, warn=60)
    assert "--gres" not in arrays[0].read_text() and "--array=1-1\n" in arrays[0].read_text()


def test_the_gathering_waits_for_every_array_and_takes_what_says_where(job, monkeypatch):
    asked = []
    monkeypatch.setattr(slurm.shutil, "which", lambda name: name)
    monkeypatch.setattr(slurm, "_sbatch", lambda *arguments: asked.append(arguments) or str(len(asked)))
    options = argparse.Namespace(warn=60, at_once=0, dry_run=False, options=["--partition=gpu", "--mem=64G"])
    assert slurm.submit(job, options) == ["1", "2", "3"]
    assert asked[0][:2] == ("--partition=gpu", "--mem=64G") and asked[0][2].endswith("array1.sh")
    assert asked[2][:2] == ("--partition=gpu", "--dependency=afterany:1:2")


@pytest.mark.parametrize(
    "given", [["-p", "gpu", "-Ax"], ["--partition", "gpu", "--account", "x"], ["-pgpu", "--account=x"]]
)
def test_every_spelling_of_what_says_where_is_understood(given):
    found = slurm.whereabouts(["--time=1", *given, "--gres", "gpu:2", "-N", "1"])
    assert found == ["--partition=gpu", "--account=x"]


def test_no_sbatch_is_one_line_that_says_where_the_scripts_are(job, monkeypatch):
    monkeypatch.setattr(slurm.shutil, "which", lambda name: None)
    options = argparse.Namespace(warn=60, at_once=0, dry_run=False, options=[])
    with pytest.raises(UserError, match="sbatch: no such command here; the scripts are in"):
        slurm.submit(job, options)


def test_the_task_script_hands_a_signal_on_and_asks_to_be_requeued(tmp_path):
    """The real script under bash, with a worker that takes its time after USR1 and ends with status 75."""
    fake = tmp_path / "python"
    fake.write_text(
        "#!/bin/bash\ntrap 'sleep 0.3; echo stored; exit 75' USR1\necho up\nfor i in $(seq 200); do sleep 0.05; done\n"
    )
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho scontrol $@\n")
    for file in (fake, tmp_path / "scontrol"):
        file.chmod(0o755)
    job = Job(tmp_path, tmp_path, tmp_path, "abc", [Unit(("d/a/seed0",))], python=str(fake))
    (script,), _ = slurm.write_scripts(job, warn=60)
    process = subprocess.Popen(
        ["bash", str(script)],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": "1", "SLURM_JOB_ID": "7"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert "d/a/seed0" in process.stdout.readline() and process.stdout.readline() == "up\n"
    process.send_signal(10)  # SIGUSR1
    rest, _ = process.communicate(timeout=30)
    assert rest.split("\n")[:2] == ["stored", "scontrol requeue 7"] and process.returncode == 75


# ---- Ray ----
def test_ray_is_refused_where_a_unit_would_wait_for_ever(job):
    with pytest.raises(UserError, match=r"d/b/seed0 needs 4 GPUs, the cluster's largest node has 2; --gpus 0"):
        ray_engine.check_resources(job.units, 1, [{"CPU": 8.0, "GPU": 2.0}] * 3)
    ray_engine.check_resources(job.units, 0, [{"CPU": 8.0}])


def test_a_missing_ray_is_one_line(job, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"Ray is not installed: pip install '\.\[ray\]'"):
        ray_engine.submit(job, None)


def test_a_unit_on_a_node_runs_its_worker_and_ends_with_rays_process(tmp_path):
    log = tmp_path / "log"
    code = "import os; print(os.environ['TRANSGAN_WORK'], os.getcwd()); raise SystemExit(3)"
    assert ray_engine.run_unit([sys.executable, "-c", code], str(tmp_path), "/shared", str(log)) == 3
    assert log.read_text() == f"/shared {tmp_path}\n"


# ---- options, places ----
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--engine", "slurm", "--gpus", "-1"], "--gpus: given -1; allowed: 0 or more"),
        (["--engine", "slurm", "--warn", "0"], "--warn: given 0; allowed: 1 or more"),
        (["--engine", "slurm", "--address", "x"], "--address: given with --engine slurm; allowed: with --engine ray"),
    ],
)
def test_options_that_cannot_be_are_refused(given, expected):
    with pytest.raises(UserError) as error:
        submit.parse(given)
    assert str(error.value) == expected


def test_options_of_sbatch_are_handed_on():
    assert submit.parse(["--engine", "slurm", "--", "--time=1", "-p", "x"]).options == ["--time=1", "-p", "x"]


@pytest.mark.parametrize(
    ("gpus", "processes", "jobs", "expected"),
    [
        (["0", "1", "2", "3"], 1, None, ["0", "1", "2", "3"]),
        (["0", "1", "2", "3"], 2, None, ["0,1", "2,3"]),
        (["0", "1", "2"], 2, None, ["0,1"]),
        (["0"], 4, None, ["0"]),
        (["0", "1"], 1, 3, ["0", "1", "0"]),
    ],
)
def test_a_cell_a_gpu(gpus, processes, jobs, expected):
    assert [place["CUDA_VISIBLE_DEVICES"] for place in slots(gpus, processes, jobs)] == expected


def test_without_gpus_a_cell_a_core(monkeypatch):
    assert slots([], 1, 3) == [{}, {}, {}] and 1 <= len(slots([], 1, None)) <= 8


def test_gpus_that_are_already_chosen_are_kept(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert visible_gpus() == ["2", "5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []
