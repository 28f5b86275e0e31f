"""Event files, read by TensorBoard's own reader: the same numbers as history.csv, each once, whatever happened."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline.base.files import read_json
from pipeline.base.schema import dump
from pipeline.runs import events
from pipeline.runs.checkpoint_schedule import CheckpointSchedule
from pipeline.runs.events import EventLog, grid_picture
from pipeline.runs.run import run_cell
from pipeline.runs.work_dirs import read_record, record_folder

ROOT = Path(__file__).parent.parent.parent
ALL = {"scalars": 0, "images": 0}  # the reader keeps every point, no sample of them
# A training that stores its state after every fourth iteration and is killed, as by `kill -9`, after a given one.
TRAINER = """
import os, signal, sys
from pipeline.runs.checkpoint_schedule import CheckpointSchedule
from pipeline.runs.run import run_cell
from pipeline.base.schema import bind, read_yaml
from pipeline.training.config import TrainPlan

original, last = CheckpointSchedule.after_iteration, int(sys.argv[1])

def after_iteration(self, outcome):
    self.due = 0.0 if outcome.step % 4 == 0 else float("inf")
    original(self, outcome)
    if outcome.step == last:
        os.kill(os.getpid(), signal.SIGKILL)

CheckpointSchedule.after_iteration = after_iteration
plan = bind(TrainPlan, read_yaml("plan.yaml"), file="plan.yaml")
run_cell(plan, data="data/digits", out="runs/digits/full/seed0", name="digits/full/seed0")
"""


def reader(folder):
    return EventAccumulator(str(folder), size_guidance=ALL)


def assert_equals_the_run(accumulator, run):
    """Every curve and picture is that of the run's own files: same steps, same values, none twice."""
    steps = None
    machine = record_folder(read_json(run / "run.json")["key"]) / "machine.csv"
    for file, group in ((run / "history.csv", "training"), (machine, "machine")):
        table = pd.read_csv(file)
        for name in set(table) - {"kimg", "step"}:
            points = accumulator.Scalars(f"{group}/{name}")
            steps = [point.step for point in points]
            assert steps == [round(kimg * 1000) for kimg in table.kimg], name
            np.testing.assert_allclose([point.value for point in points], table[name], rtol=1e-6, err_msg=name)
    assert steps is not None and len(set(steps)) == len(steps)
    pictures = accumulator.Images("fixed latents")
    assert [picture.step for picture in pictures] == [
        round(kimg * 1000) for kimg in read_json(run / "grids.json")["kimg"]
    ]
    for picture, grid in zip(pictures, np.load(run / "grids.npy"), strict=True):
        shown = np.asarray(Image.open(io.BytesIO(picture.encoded_image_string)))
        np.testing.assert_array_equal(shown, np.asarray(grid_picture(grid)))


def test_a_training_killed_three_times_leaves_every_point_once(plan, data, tmp_path, work):
    (tmp_path / "plan.yaml").write_text(dump(plan(kimg=0.16, ticks=20, snapshots=5)))
    shutil.copytree(data, tmp_path / "data/digits")
    environment = os.environ | {"DVC_ROOT": str(tmp_path), "CHECKPOINT_SECONDS": "0", "PYTHONPATH": str(ROOT)}
    watching = None  # a TensorBoard that has been open all the time
    for last in (6, 11, 15, 0):
        process = subprocess.run(
            [sys.executable, "-c", TRAINER, str(last)], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert process.returncode == (-9 if last else 0), process.stdout + process.stderr
        (folder,) = (tmp_path / ".work/events/digits/full/seed0").iterdir()
        watching = watching or reader(folder)
        watching.Reload()
        if last:  # beyond the last stored state, which is what the next one has to take back
            assert watching.Scalars("training/loss_d")[-1].step == last * 8
    run = tmp_path / "runs/digits/full/seed0"
    assert read_record(read_json(run / "run.json")["key"])["resumed_at_kimg"] == [0.032, 0.064, 0.096]
    assert_equals_the_run(watching, run)
    assert_equals_the_run(reader(folder).Reload(), run)
    assert sum(file.stat().st_size > 0 for file in folder.iterdir()) == 1


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path / ".work"


def test_a_torn_file_is_written_anew(plan, data, tmp_path, work, monkeypatch):
    original = CheckpointSchedule.after_iteration

    def after_iteration(self, outcome):
        self.due = 0.0
        original(self, outcome)
        if outcome.step == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointSchedule, "after_iteration", after_iteration)
        with pytest.raises(KeyboardInterrupt):
            run_cell(plan(), data=data, out=tmp_path / "runs/digits/full/seed0", name="cell")
    (torn,) = work.glob("events/cell/*/*")
    torn.write_bytes(torn.read_bytes()[:-7])
    run_cell(plan(), data=data, out=tmp_path / "runs/digits/full/seed0", name="cell")
    assert_equals_the_run(reader(torn.parent).Reload(), tmp_path / "runs/digits/full/seed0")


def test_a_divergence_takes_back_the_pictures_after_the_last_healthy_tick(plan, data, tmp_path, work):
    out = tmp_path / "runs/digits/wild/seed0"
    record = run_cell(plan(lr=1e30, ticks=1, snapshots=8), data=data, out=out, name="wild")
    (folder,) = work.glob("events/wild/*")
    accumulator = reader(folder).Reload()
    assert record["status"] == "diverged" and accumulator.Tags()["scalars"] == []
    assert [picture.step for picture in accumulator.Images("fixed latents")] == [0]


def test_a_disk_that_does_not_take_them_ends_no_training(plan, data, tmp_path, work, monkeypatch, capsys):
    written = []

    def append(self, seconds, **content):
        written.append(content)
        if len(written) == 4:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(EventLog, "_append", append)
    record = run_cell(plan(), data=data, out=tmp_path / "runs/digits/full/seed0", name="cell")
    assert record["status"] == "ok" and len(written) == 4
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "TensorBoard" in line]
    assert "no curves for TensorBoard from here on" in line and "No space left" in line


def test_the_newest_trainings_of_a_cell_are_kept(tmp_path, work):
    for age, name in enumerate("abcdefg"):
        folder = work / "events/cell" / (name * 8)
        folder.mkdir(parents=True)
        os.utime(folder, (1000 - age, 1000 - age))
    outcome = type("Outcome", (), {"seconds": 0.0, "history": [], "machine": [], "grids": [], "grids_kimg": []})()
    EventLog(work / "events/cell" / ("g" * 8), print).copy(outcome)
    assert {path.name[0] for path in (work / "events/cell").iterdir()} == {*"abcd", "g"}
    assert events.KEPT == 5


def test_the_file_of_a_later_sitting_is_the_last_by_name_also_where_the_clock_was_put_back(tmp_path, monkeypatch):
    outcome = type("Outcome", (), {"seconds": 0.0, "history": [], "machine": [], "grids": [], "grids_kimg": []})()
    for now in (2000.5, 1000.0, 1000.0):
        monkeypatch.setattr(events.time, "time", lambda now=now: now)
        log = EventLog(tmp_path / "cell/key", print)
        log.copy(outcome)
        log.close()
    assert [path.name.split(".")[3] for path in sorted((tmp_path / "cell/key").iterdir())] == ["2000", "2001", "2002"]


@pytest.mark.parametrize(("channels", "side", "shown"), [(3, 8, 64), (1, 8, 64), (3, 256, 16), (3, 1024, 4)])
def test_a_grid_of_any_size_is_a_picture_of_bounded_size(channels, side, shown):
    picture = grid_picture(np.zeros((64, channels, side, side), dtype=np.uint8))
    assert picture.mode == "RGB" and max(picture.size) <= 2 * 1024 + 3
    columns = round(shown**0.5)
    scale = max(1, 32 // side)
    assert picture.size == (columns * (side + 1) * scale + scale,) * 2
