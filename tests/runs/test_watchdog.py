"""A training ends with the worker that started it, and with nobody else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runs.work_dirs import WORKER, lock

ROOT = Path(__file__).parent.parent.parent
CODE = """\
import signal, sys, time
from pipeline.runs.processes import end_with_worker
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("stored"))
end_with_worker()
print("up", flush=True)
time.sleep({seconds})
"""
HOLD = """\
import sys, time
from pathlib import Path
from pipeline.runs.work_dirs import lock
with lock(Path(sys.argv[1]), "worker", print):
    print("up", flush=True)
    time.sleep(600)
"""


def started(code: str, *arguments: str, worker: Path | None = None) -> subprocess.Popen:
    environment = {key: value for key, value in os.environ.items() if key != WORKER}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=environment | ({WORKER: str(worker)} if worker else {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "up\n"
    return process


def test_it_is_told_to_end_when_its_worker_is_killed(tmp_path):
    worker = started(HOLD, str(tmp_path / "worker.lock"))
    process = started(CODE.format(seconds=600), worker=tmp_path / "worker.lock")
    assert process.poll() is None
    worker.kill()
    worker.communicate()
    assert process.communicate(timeout=60)[1] == "stored\n" and process.returncode == 1


@pytest.mark.parametrize("worker", [False, True], ids=["without", "its worker"])
def test_it_goes_on_while_its_worker_lives_or_without_one(worker, tmp_path):
    with lock(tmp_path / "worker.lock", "worker", print):
        process = started(CODE.format(seconds=1.5), worker=tmp_path / "worker.lock" if worker else None)
        assert process.communicate(timeout=60)[1] == "" and process.returncode == 0
