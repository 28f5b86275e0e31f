"""What DVC and the plan cost by the number of cells, without training anything:

    python -m benchmarks.dvc_scale 42 200 1000

In a copy of the repository with as many seeds: `plan`, then `dvc status` and a `dvc repro` that finds nothing to do.
The outputs are small files and dvc.lock is written in one go, as if every cell had been trained: getting there through
`dvc repro` would write the lock once a stage.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from dvc.repo import Repo
from dvc.stage.serialize import to_lockfile
from dvc.utils.serialize import dump_yaml
from omegaconf import OmegaConf

ROOT = Path(__file__).parent.parent


def copy(folder: Path, cells: int) -> int:
    """A repository of this one's files, the default rows and seeds for `cells` cells at least; returns how many."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if not name.startswith(("plan/", "results/", "reports/", "docs/", "dvc.lock", "published/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / "published").mkdir(exist_ok=True)
    (folder / "published/README.md").write_text("none\n")
    params = OmegaConf.load(folder / "params.yaml")
    rows = len(params.matrix.variants)
    params.matrix.seeds = list(range(-(-cells // rows)))
    OmegaConf.save(params, folder / "params.yaml")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return rows * len(params.matrix.seeds)


def pretend(folder: Path) -> int:
    """Outputs and a dvc.lock as if everything had run; returns the number of stages."""
    locked = {}
    with contextlib.chdir(folder), Repo() as repo, repo.lock:
        stages = list(repo.index.stages)
        for stage in stages:
            for out in stage.outs:
                path = Path(out.fs_path)
                if not path.exists():
                    target = path if path.suffix == ".json" else path / "out.txt"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(f"{out.def_path}\n")
        for stage in stages:
            stage.save(allow_missing=False)
            stage.commit()
            locked.update(to_lockfile(stage))
    dump_yaml(str(folder / "dvc.lock"), {"schema": "2.0", "stages": locked})
    return len(stages)


def timed(folder: Path, *command: str) -> tuple[float, float]:
    """Seconds on the clock and of processor time; the command must succeed, and run no stage."""
    before, began = os.times(), time.monotonic()
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True)
    if done.returncode or "Running stage" in done.stdout:
        raise SystemExit(done.stdout + done.stderr)
    after = os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - began, processor


def measure(cells: int) -> dict[str, float | int]:
    """One row of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        row: dict[str, float | int] = {"cells": copy(folder, cells)}
        for label, command in (
            ("plan", ("stages.plan",)),
            ("status", ("dvc", "status")),
            ("no-op repro", ("dvc", "repro")),
        ):
            row[f"{label} s"], row[f"{label} cpu s"] = timed(folder, *command)
            if label == "plan":
                began = time.process_time()
                row["stages"] = pretend(folder)
                row["lock cpu s"] = time.process_time() - began
                row["lock MiB"] = (folder / "dvc.lock").stat().st_size / 2**20
        return row


def main() -> None:
    for cells in map(int, sys.argv[1:] or ["42", "200", "1000"]):
        print(yaml.safe_dump([measure(cells)], sort_keys=False), end="", flush=True)


if __name__ == "__main__":
    main()
