"""DVC's remote as the transport, with the real dvc and the real workers, and stages that do nothing."""

import subprocess
import time

import pytest

from cluster.stub_project import StubProject
from pipeline.base.errors import UserError
from pipeline.base.git import ask, clone_at
from pipeline.matrix.dvc import check_remote, share_cache
from repository import ran

pytestmark = pytest.mark.pipeline
CELL, OTHER = "digits/full/seed0", "digits/full/seed1"
SUBMIT = ("pipeline.cli", "submit", "--engine", "slurm", "--dry-run", "--other-libraries")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Two cells; a head has pushed their inputs, and a worker has trained and pushed the first."""
    project = StubProject(tmp_path_factory.mktemp("stub"), seeds=(0, 1), steps=2)
    code, output = project.run(*SUBMIT)
    assert code == 0 and "2 trainings, 0 are done, 2 to do" in output and "written, not submitted" in output, output
    assert project.start_worker(CELL).wait(timeout=300) == 0, (
        project.folder.parent / "digits-full-seed0.log"
    ).read_text()
    return project


def test_a_head_brings_home_what_was_pushed_and_trains_nothing(project):
    before = [line for line in project.logged() if line.startswith("digits/")]
    code, output = project.run("pipeline.cli", "gather", "--restore")
    assert code == 0 and "2 cells: 1 done, 1 missing" in output and "1 of 2 cells restored, 0 trained" in output, output
    assert (project.folder / "runs" / CELL / "weights").is_file() and not (project.folder / "runs" / OTHER).exists()
    assert [line for line in project.logged() if line.startswith("digits/")] == before
    assert not list(project.work.glob("clones/*/.git"))  # removed once its results were pushed


def test_a_second_worker_of_the_same_cell_trains_nothing(project):
    before = [line for line in project.logged() if line.startswith(CELL)]
    assert project.start_worker(CELL).wait(timeout=300) == 0
    assert [line for line in project.logged() if line.startswith(CELL)] == before


def test_prepared_images_are_never_pushed(project):
    assert not any(b"prepare digits" in path.read_bytes() for path in project.store.glob("files/md5/*/*"))


@pytest.mark.nightly
def test_a_remote_without_room_is_one_line_and_the_next_try_pushes_without_training(tmp_path):
    """A remote that is a file, as a cut-off mount may look: nothing can be written below it."""
    other = StubProject(tmp_path / "other", steps=2)
    other.run(*SUBMIT)
    worker = other.start_worker(CELL)
    while worker.poll() is None and f"{CELL} 0" not in other.logged():
        time.sleep(0.05)
    other.store.rename(tmp_path / "moved")
    other.store.touch()
    assert worker.wait(timeout=300) == 1
    log = (other.folder.parent / "digits-full-seed0.log").read_text()
    assert "nothing is lost" in [line for line in log.splitlines() if line.startswith("error: ")][-1], log
    other.store.unlink()
    (tmp_path / "moved").rename(other.store)
    before = [line for line in other.logged() if line.startswith(CELL)]
    assert other.start_worker(CELL).wait(timeout=300) == 0
    assert [line for line in other.logged() if line.startswith(CELL)] == before


@pytest.mark.nightly
def test_plain_dvc_in_another_clone_trains_nothing(project):
    code, output = project.run("dvc", "repro", "--pull", "illustrate@digits-full-0", at=project.clone("plain"))
    assert code == 0, output
    assert not {name for name in ran(output) if name.startswith(("train", "measure", "illustrate"))}


# ---- remotes and clones ----
def test_a_remote_without_a_run_cache_and_none_at_all_are_refused_in_one_line(project):
    clone = project.clone("http")
    local = clone / ".dvc/config.local"
    local.write_text("[core]\n    remote = web\n['remote \"web\"']\n    url = https://example.invalid/x\n")
    with pytest.raises(UserError, match="remote web: .*: http carries no run cache.* use a folder"):
        check_remote(clone)
    local.unlink()
    (clone / ".dvc/config").write_text("[core]\n    analytics = false\n")
    with pytest.raises(UserError, match=r"no DVC remote .*dvc remote add --default store /shared"):
        check_remote(clone)


def test_a_clone_knows_the_remotes_of_its_source_wherever_it_lies(project, tmp_path):
    head = project.clone("relative")
    (head / ".dvc/config.local").write_text("[core]\n    remote = near\n['remote \"near\"']\n    url = ../../near\n")
    clone = project.clone("deeper-clone").rename(tmp_path / "elsewhere")
    share_cache(clone, tmp_path / "cache", head)
    assert check_remote(clone) == str((head / "../near").resolve())


def test_a_clone_that_was_cut_off_is_made_again_and_follows_a_head_on_no_branch(project, tmp_path):
    source, clone = project.clone("detached"), tmp_path / "clone"
    cut_off = tmp_path / "clone.unfinished/.git"
    cut_off.mkdir(parents=True)
    clone_at(source, clone, project.revision())
    (clone / ".git/HEAD.lock").touch()
    names = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    for command in (["checkout", "--quiet", "--detach"], [*names, "commit", "--quiet", "--allow-empty", "-m", "later"]):
        subprocess.run(["git", *command], cwd=source, check=True)
    later = ask("rev-parse", "HEAD", root=source)
    clone_at(source, clone, later)
    assert ask("rev-parse", "HEAD", root=clone) == later and not cut_off.exists()
    with pytest.raises(UserError, match="git checkout in ") as error:
        clone_at(source, clone, "0" * 40)
    assert "\n" not in str(error.value)
