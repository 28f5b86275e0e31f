"""A training ends with the worker that started it, and with nobody else."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.runs import processes as watchdog

ROOT = Path(__file__).parent.parent.parent
CODE = """\
import signal, sys, time
from pipeline.runs.processes import end_with_worker
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit("stored"))
end_with_worker()
print("up", flush=True)
time.sleep({seconds})
"""


def trainer(worker: str | None, seconds: float) -> subprocess.Popen:
    environment = {key: value for key, value in os.environ.items() if key != watchdog.WORKER}
    process = subprocess.Popen(
        [sys.executable, "-c", CODE.format(seconds=seconds)],
        cwd=ROOT,
        env=environment | ({watchdog.WORKER: worker} if worker else {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "up\n"
    return process


def test_it_is_told_to_end_when_its_worker_is_killed():
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    process = trainer(str(worker.pid), 600)
    assert process.poll() is None
    worker.kill()
    worker.wait()
    assert process.communicate(timeout=60)[1] == "stored\n" and process.returncode == 1


@pytest.mark.parametrize("worker", [None, str(os.getpid())], ids=["without", "its worker"])
def test_it_goes_on_while_its_worker_lives_or_without_one(worker):
    process = trainer(worker, 1.5)
    assert process.communicate(timeout=60)[1] == "" and process.returncode == 0


def test_a_number_that_another_process_has_now_is_not_the_worker(monkeypatch):
    told, times = [], iter(["10", "10", "11"])
    monkeypatch.setattr(watchdog, "_start_time", lambda process: next(times))
    monkeypatch.setattr(watchdog, "POLL", 0.0)
    monkeypatch.setattr(os, "kill", lambda process, number: told.append((process, number)))
    watchdog._watch(1)
    assert told == [(os.getpid(), signal.SIGTERM)]


def test_a_process_that_is_gone_has_no_start():
    gone = subprocess.Popen(["true"])
    gone.wait()
    time.sleep(0.05)
    assert watchdog._start_time(gone.pid) is None and watchdog._start_time(os.getpid())
