"""A disk that is really full: a small tmpfs. The stage fails in one line, nothing is lost, with room it goes on."""

import subprocess

import pytest

from pipeline.base.errors import UserError
from pipeline.runs.checkpoint_schedule import CheckpointSchedule
from pipeline.runs.run import run_cell
from pipeline.runs.unfinished import unfinished
from pipeline.runs.work_dirs import stored
from runs import content


class Disk:
    def __init__(self, folder):
        self.folder = folder

    def size(self, megabytes: int, *, remount: bool = True) -> bool:
        options = f"{'remount,' if remount else ''}size={megabytes}m"
        return (
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)], capture_output=True
            ).returncode
            == 0
        )


@pytest.fixture
def disk(tmp_path):
    disk = Disk(tmp_path / "disk")
    disk.folder.mkdir()
    try:
        mounted = disk.size(20, remount=False)
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no tmpfs can be mounted here: that takes root and a kernel that lets it")
    yield disk
    subprocess.run(["umount", str(disk.folder)], check=True)


@pytest.fixture(scope="module")
def whole(plan, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "digits/full/seed0"
    run_cell(plan(), data=data, out=out, name="whole")
    return content(out)


def test_no_room_for_a_checkpoint(plan, data, disk, tmp_path, whole, monkeypatch):
    """20 MB hold two generations of 7.6 MB and half of the third."""
    monkeypatch.setenv("DVC_ROOT", str(disk.folder))
    original, out = CheckpointSchedule.after_iteration, tmp_path / "runs/digits/full/seed0"

    def after_iteration(self, outcome):
        self.due = 0.0
        original(self, outcome)

    monkeypatch.setattr(CheckpointSchedule, "after_iteration", after_iteration)
    with pytest.raises(
        UserError,
        match=r"the checkpoint at 0\.0 kimg could not be written; .* goes on from the one before "
        r"\(.*No space left on device",
    ) as error:
        run_cell(plan(), data=data, out=out, name="cell")
    assert "\n" not in str(error.value) and not out.exists()
    (work,) = (one.folder for one in unfinished(disk.folder / ".work"))
    assert [path.name for path in stored(work)] == ["step-000000002.json", "step-000000001.json"]
    assert sorted(path.name for path in work.iterdir()) == [
        "lock",
        "progress.json",
        *sorted(f"step-00000000{step}.{kind}" for step in (1, 2) for kind in ("json", "pt")),
    ]
    assert disk.size(64)
    assert run_cell(plan(), data=data, out=out, name="cell")["resumed_at_kimg"] == [0.016]
    assert content(out) == whole


def test_no_room_for_the_run(plan, data, disk, tmp_path, whole, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    out = disk.folder / "runs/digits/full/seed0"
    assert disk.size(1)
    with pytest.raises(
        UserError, match=r"could not be written; the training is complete and kept, .*No space left on device"
    ) as error:
        run_cell(plan(), data=data, out=out, name="cell")
    assert "\n" not in str(error.value) and not (out / "run.json").exists()
    assert disk.size(64)
    monkeypatch.setattr("pipeline.training.step.discriminator_step", lambda *_, **__: pytest.fail("trained again"))
    run_cell(plan(), data=data, out=out, name="cell")
    assert content(out) == whole
