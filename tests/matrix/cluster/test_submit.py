"""What SLURM and Ray are asked for, and what is refused; no engine is needed."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.cell import Cell
from pipeline.base.errors import UserError
from pipeline.matrix import submit
from pipeline.matrix.units import Unit


def unit(name: str, processes: int = 1) -> Unit:
    return Unit((Cell("d", name, 0), Cell("d", f"{name}_twin", 0)), processes=processes)


def options(**given) -> argparse.Namespace:
    return argparse.Namespace(**{"gpus": 1, "warn": 180, "dry_run": False, "options": []} | given)


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Three trainings: one in one process, two in four."""
    (tmp_path / "a head").mkdir()
    (tmp_path / "logs").mkdir()
    monkeypatch.chdir(tmp_path / "a head")
    monkeypatch.setenv("TRANSGAN_WORK", str(tmp_path / "shared"))
    units = [unit("a"), unit("b", 4), unit("c", 4)]
    return tmp_path, units, ["--revision", "abc", "--source", "/a head"]


@pytest.fixture
def sbatch(monkeypatch):
    """What sbatch was asked for."""
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(submit.shutil, "which", lambda name: name)
    monkeypatch.setattr(submit, "_sbatch", lambda *arguments: asked.append(arguments) or str(len(asked)))
    return asked


def test_an_array_for_each_number_of_processes_and_the_gathering_after_them(job, sbatch):
    given = options(options=["--partition=gpu", "--mem=64G"])
    assert submit.slurm(*job, given) == ["1", "2", "3"]
    one, four, gather = sbatch
    assert one[0] == "--array=1-1" and one[3] == "--gres=gpu:1" and one[-1] == str(job[0] / "array1.sh")
    assert four[:4] == (
        "--array=1-2",
        "--signal=B:USR1@180",
        f"--output={job[0]}/logs/cells4/%a.log",
        "--gres=gpu:4",
    )
    assert four[4:6] == ("--partition=gpu", "--mem=64G")
    assert gather[:2] == ("--partition=gpu", "--mem=64G") and "--dependency=afterany:1:2" in gather
    assert (job[0] / "logs/cells4").is_dir()  # sbatch makes no folder for its output
    for script in job[0].glob("*.sh"):
        subprocess.run(["bash", "-n", str(script)], check=True)
    text = (job[0] / "array4.sh").read_text()
    assert "cells=(d/b/seed0 d/c/seed0)\n" in text  # their twins come with them
    assert f"export HEAD='{Path.cwd()}'\n" in text and "options=(--revision abc --source '/a head')\n" in text
    assert "pipeline.cli gather --restore" in (job[0] / "gather.sh").read_text()


def test_without_gpus_none_are_asked_for(job, sbatch):
    submit.slurm(*job, options(gpus=0))
    assert not any("--gres" in argument for call in sbatch for argument in call)


def test_a_dry_run_writes_the_scripts_and_submits_nothing(job, sbatch, capsys):
    assert submit.slurm(*job, options(dry_run=True)) == [] and not sbatch
    assert "sbatch --array=1-2 --signal=B:USR1@180 --output=" in capsys.readouterr().out


def test_no_sbatch_is_one_line_that_says_where_the_scripts_are(job, monkeypatch):
    monkeypatch.setattr(submit.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="sbatch: no such command here; the scripts are in"):
        submit.slurm(*job, options())


def test_the_task_script_hands_a_signal_on_and_asks_to_be_requeued(job, sbatch, tmp_path, monkeypatch):
    """The real script under bash, with a worker that takes its time after USR1 and ends with status 75."""
    fake = tmp_path / "python"
    fake.write_text(
        "#!/bin/bash\ntrap 'sleep 0.3; echo stored; exit 75' USR1\necho up\nfor i in $(seq 200); do sleep 0.05; done\n"
    )
    (tmp_path / "scontrol").write_text("#!/bin/sh\necho scontrol $@\n")
    for file in (fake, tmp_path / "scontrol"):
        file.chmod(0o755)
    monkeypatch.setattr(submit.sys, "executable", str(fake))
    submit.slurm(*job, options())
    process = subprocess.Popen(
        ["bash", str(tmp_path / "array1.sh")],
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
        submit.check_resources(job[1], 1, [{"CPU": 8.0, "GPU": 2.0}] * 3)
    submit.check_resources(job[1], 0, [{"CPU": 8.0}])


def test_a_missing_ray_is_one_line(job, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"Ray is not installed: pip install '\.\[ray\]'"):
        submit.ray(*job, options(address=None))


def test_a_unit_on_a_node_runs_its_worker_and_ends_with_rays_process(tmp_path):
    log = tmp_path / "log"
    code = "import os; print(os.environ['TRANSGAN_WORK'], os.getcwd()); raise SystemExit(3)"
    assert submit.run_worker([sys.executable, "-c", code], str(tmp_path), "/shared", str(log)) == 3
    assert log.read_text() == f"/shared {tmp_path}\n"


# ---- options ----
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--engine", "slurm", "--gpus", "-1"], "--gpus: given -1; allowed: a whole number, 0 or more"),
        (["--engine", "slurm", "--warn", "0"], "--warn: given 0; allowed: a whole number, 1 or more"),
        (["--engine", "slurm", "--address", "x"], "--address: given with --engine slurm; allowed: with --engine ray"),
    ],
)
def test_options_that_cannot_be_are_refused(given, expected):
    with pytest.raises(UserError) as error:
        submit.parse(given)
    assert str(error.value) == expected


def test_options_of_sbatch_are_handed_on():
    assert submit.parse(["--engine", "slurm", "--", "--time=1", "-p", "x"]).options == ["--time=1", "-p", "x"]
