"""A short training as a user starts it, stopped by SIGTERM on its way and started again.

    python -m benchmarks.gpu_training --kimg 8 --json training.json

The digits and the full model of params.yaml, in a folder that is removed afterwards. On a GPU if there is one.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch

from benchmarks.machine import facts
from pipeline.base.errors import UserError, command_line
from pipeline.base.files import read_json, write_json, write_text
from pipeline.base.schema import dump
from pipeline.data.config import DataConfig
from pipeline.data.prepare import prepare
from pipeline.plan.config import load, resolve_cell
from pipeline.plan.fingerprint import fingerprint
from pipeline.training.config import TrainPlan, effective_settings

ROOT = Path(__file__).parent.parent
CELL = ["--dataset", "digits", "--variant", "full", "--seed", "0"]
NAME = "digits/full/seed0"


def set_up(folder: Path, kimg: float) -> None:
    """The plan file and the images of one cell."""
    cell = resolve_cell(load(), "digits", "full")
    train = effective_settings(cell.train.model_copy(update={"kimg": kimg, "generator_steps": None, "ticks": 20}))
    plan = TrainPlan(network=cell.network, train=train, seed=0, code=fingerprint(cell.network, train))
    write_text(folder / f"plan/train/{NAME}.yaml", dump(plan))
    data: DataConfig = cell.data
    prepare(data, "digits", folder / "data/digits")


def start(folder: Path) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DVC_ROOT": str(folder), "CHECKPOINT_SECONDS": "1"}
    command = [sys.executable, "-m", "stages.train", *CELL]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


def stop_halfway(process: subprocess.Popen) -> None:
    """SIGTERM at the tenth tick. Errors: `UserError` where the training ends before."""
    assert process.stdout is not None
    ticks = 0
    for line in process.stdout:
        ticks += "s/kimg" in line
        if ticks == 10:
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
            process.wait()
            return
    raise UserError(f"the training ended with status {process.wait()} after {ticks} ticks")


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu_training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kimg", type=float, default=8.0, help="thousands of real images (8)")
    parser.add_argument("--json", type=Path, required=True, help="where the numbers are written")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, began = Path(name), time.monotonic()
        set_up(folder, given.kimg)
        stop_halfway(start(folder))
        process = start(folder)
        output = process.communicate()[0]
        run = folder / "runs" / NAME
        if process.returncode or not (run / "run.json").is_file():
            raise UserError(f"the training did not go on: {output.splitlines()[-1:]}")
        record, history = read_json(run / "run.json"), pd.read_csv(run / "history.csv")
        kept = folder / ".work" / "records" / record["key"]
        record, machine = record | read_json(kept / "record.json"), pd.read_csv(kept / "machine.csv")
    found = {
        "status": record["status"],
        "kimg": record["kimg"],
        "resumed_at_kimg": record["resumed_at_kimg"],
        "seconds": round(time.monotonic() - began, 1),
        "seconds_per_kimg": float(machine.sec_per_kimg.median()),
        "peak_memory_mib": record["peak_memory_mib"],
        "sample_spread": float(history.sample_spread.iloc[-1]),
        "ticks": len(history),
        "ticks_twice": int(history.kimg.duplicated().sum()),
    }
    print(found)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    write_json(given.json, {**facts(device), **found})


if __name__ == "__main__":
    main()
