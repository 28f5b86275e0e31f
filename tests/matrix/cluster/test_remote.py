"""DVC's remote as the transport, with the real dvc and stages that do nothing."""

import socket
import subprocess
import time
from pathlib import Path

import pytest

from cluster.stub_project import StubProject
from pipeline.base.errors import UserError
from pipeline.base.git import revision
from pipeline.matrix.cluster.clone import take
from pipeline.matrix.cluster.inputs import SHAREABLE
from pipeline.matrix.cluster.remote import RemoteCells, check_remote, copy_remotes, opened
from repository import ran, restored

pytestmark = pytest.mark.pipeline
CELL = "digits/full/seed0"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """One cell, whose inputs a head has pushed and a worker has trained and pushed."""
    project = StubProject(tmp_path_factory.mktemp("stub"), steps=2)
    code, output = project.run("pipeline.matrix.cluster.submit", "--engine", "slurm", "--dry-run", "--other-libraries")
    assert code == 0 and "1 trainings, 0 are there, 1 to do" in output and "written, not submitted" in output, output
    assert project.start_worker(CELL).wait(timeout=300) == 0, (
        project.folder.parent / "digits-full-seed0.log"
    ).read_text()
    return project


def holds(root: Path) -> bool:
    with opened(root) as repo:
        return RemoteCells(repo).holds(CELL)


def test_a_head_sees_what_a_worker_pushed_and_trains_nothing(project):
    assert holds(project.folder) and not (project.folder / "runs" / CELL).exists()
    code, output = project.run("pipeline.matrix.cluster.gather", "--restore")
    assert code == 0 and "1 cells: 1 there" in output and "0 trained" in output, output
    assert (project.folder / "runs" / CELL / "weights").is_file()


def test_inputs_are_prepared_once(project):
    assert project.logged().count("prepare digits") == project.logged().count("reference digits") == 1


def test_a_second_worker_of_the_same_cell_trains_nothing(project):
    before = project.logged()
    assert project.start_worker(CELL).wait(timeout=300) == 0
    assert project.logged() == before


def test_a_lost_object_or_run_cache_entry_is_noticed(project, tmp_path):
    (listing,) = [path for path in project.store.glob("files/md5/*/*.dir") if b"weights" in path.read_bytes()]
    kept = listing.rename(tmp_path / "kept")
    assert not holds(project.folder)
    kept.rename(listing)
    assert holds(project.folder)
    entries = [path for path in project.store.glob("runs/*/*/*") if "stub.py measure" in path.read_text()]
    contents = [(path, path.read_text()) for path in entries]
    for path, _ in contents:
        path.unlink()
    assert not holds(project.folder)
    for path, text in contents:
        path.write_text(text)
    assert holds(project.folder)


def test_a_push_by_hand_carries_no_images_and_a_worker_prepares_for_itself(tmp_path):
    project = StubProject(tmp_path, source="celeba")
    assert "celeba" not in SHAREABLE
    code, output = project.run("pipeline.matrix.cluster.submit", "--engine", "slurm", "--dry-run", "--other-libraries")
    assert code == 0 and "not pushed, workers prepare for themselves: digits" in output, output
    project.run("dvc", "push", "--run-cache")
    assert not any(b"prepare digits" in path.read_bytes() for path in project.store.glob("files/md5/*/*"))
    assert project.start_worker(CELL).wait(timeout=300) == 0
    assert project.logged().count("prepare digits") == 2 and holds(project.folder)


def test_a_remote_without_room_is_one_line_and_the_next_try_pushes_without_training(project, tmp_path):
    """A remote that is a file, as a cut-off mount may look: nothing can be written below it."""
    other = StubProject(tmp_path / "other", steps=2)
    other.run("pipeline.matrix.cluster.submit", "--engine", "slurm", "--dry-run", "--other-libraries")
    moved = other.store.rename(tmp_path / "moved")
    worker = other.start_worker(CELL)
    log = other.folder.parent / "digits-full-seed0.log"
    # The inputs come from the remote, so it goes away only once the training has begun.
    moved.rename(other.store)
    while worker.poll() is None and f"{CELL} 0" not in other.logged():
        time.sleep(0.05)
    other.store.rename(tmp_path / "moved")
    other.store.touch()
    assert worker.wait(timeout=300) == 1
    last = [line for line in log.read_text().splitlines() if line.startswith("error: ")][-1]
    assert "nothing is lost" in last, log.read_text()
    other.store.unlink()
    (tmp_path / "moved").rename(other.store)
    before = [line for line in other.logged() if line.startswith(CELL)]
    assert other.start_worker(CELL).wait(timeout=300) == 0
    assert [line for line in other.logged() if line.startswith(CELL)] == before and holds(other.folder)


def test_http_is_refused_as_it_carries_no_run_cache(project, tmp_path):
    clone = project.clone("http")
    project.run("dvc", "remote", "add", "--local", "--default", "web", "https://example.invalid/x", at=clone)
    with (
        opened(clone) as repo,
        pytest.raises(UserError, match="remote web: https? carries no run cache.* use a folder, S3"),
    ):
        check_remote(repo)


def test_no_remote_is_one_line_that_says_how_to_add_one(project):
    clone = project.clone("none")
    subprocess.run(["git", "config", "user.name", "t"], cwd=clone, check=True)
    (clone / ".dvc/config").write_text("[core]\n    analytics = false\n")
    with (
        opened(clone) as repo,
        pytest.raises(UserError, match="no DVC remote .*dvc remote add --default store /shared"),
    ):
        check_remote(repo)


def test_a_clone_knows_the_remotes_of_its_source_wherever_it_lies(project, tmp_path):
    head = project.clone("relative")
    (head / ".dvc/config.local").write_text("[core]\n    remote = near\n['remote \"near\"']\n    url = ../../near\n")
    clone = project.clone("deeper-clone").rename(tmp_path / "elsewhere")
    copy_remotes(head, clone)
    with opened(clone) as repo:
        assert check_remote(repo) == str((head / "../near").resolve())


def test_workers_at_the_same_time_have_clones_of_their_own(project, tmp_path):
    first, lock = take(str(project.folder), tmp_path, project.revision())
    second, other = take(str(project.folder), tmp_path, project.revision())
    assert first != second and (first / "dvc.yaml").is_file()
    lock.close()
    again, third = take(str(project.folder), tmp_path, project.revision())
    assert again == first
    other.close()
    third.close()


def test_a_clone_that_was_cut_off_is_made_again_and_follows_a_head_on_no_branch(project, tmp_path):
    source = project.clone("detached")
    cut_off = tmp_path / "clones" / socket.gethostname() / "0.unfinished/.git"
    cut_off.mkdir(parents=True)
    first, lock = take(str(source), tmp_path / "clones", project.revision())
    lock.close()
    (first / ".git/HEAD.lock").touch()
    names = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    for command in (["checkout", "--quiet", "--detach"], [*names, "commit", "--quiet", "--allow-empty", "-m", "later"]):
        subprocess.run(["git", *command], cwd=source, check=True)
    later = revision(source)
    again, lock = take(str(source), tmp_path / "clones", later)
    lock.close()
    assert again == first and revision(again) == later and not cut_off.exists()


def test_a_revision_that_the_source_lacks_is_refused_in_one_line(project, tmp_path):
    with pytest.raises(UserError, match="git checkout failed in") as error:
        take(str(project.folder), tmp_path, "0" * 40)
    assert "\n" not in str(error.value)


def test_plain_dvc_in_another_clone_trains_nothing(project):
    code, output = project.run("dvc", "repro", "--pull", at=project.clone("plain"))
    assert code == 0, output
    assert not {name for name in ran(output) if name.startswith(("train", "measure", "illustrate"))}
    assert "train@digits-full-0" in restored(output)
