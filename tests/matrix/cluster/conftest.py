"""A head with a matrix of its own, a folder as the remote and a work folder, for tests that run real workers."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.stub_project import StubProject
from repository import Repository, ran

CELLS = [f"digits/{variant}/seed{seed}" for variant in ("grid_attention", "full", "again") for seed in (0, 1)]


class Head:
    """A repository with six smoke cells, two of them twins (`again` is `full`), and what goes with it."""

    def __init__(self, folder: Path, **settings: object):
        self.folder, self.work, self.store = folder / "head", folder / "work", folder / "store"
        for path in (self.folder, self.work, self.store):
            path.mkdir()
        self.repository = Repository(self.folder)
        matrix = {"matrix__variants": ["grid_attention", "full", "again"], "matrix__seeds": [0, 1]}
        self.repository.edit(profile="smoke", variants__again={}, **matrix | settings)
        self.repository.dvc("remote", "add", "--quiet", "--default", "store", str(self.store))
        self.repository.commit("matrix")

    def revision(self) -> str:
        return self.repository.git("rev-parse", "HEAD").strip()

    def environment(self, **variables: str) -> dict[str, str]:
        return self.repository.environment() | {"TRANSGAN_WORK": str(self.work), "CHECKPOINT_SECONDS": "1"} | variables

    def run(self, module: str, *arguments: str, at: Path | None = None) -> tuple[int, str]:
        """`python -m module` in the head, or in another clone: (exit status, output)."""
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=at or self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=1800,
        )
        return done.returncode, done.stdout + done.stderr

    def clone(self, name: str) -> Path:
        """Another head: a clone at the same revision that knows the same remote."""
        path = self.folder.parent / name
        self.repository.git("clone", "--quiet", str(self.folder), str(path))
        return path

    def trains_nothing(self, at: Path) -> str:
        """`dvc repro --pull` in the clone `at`, which may train no cell; returns its output."""
        code, output = self.run("dvc", "repro", "--pull", at=at)
        assert code == 0, output
        assert not {name for name in ran(output) if name.startswith(("train@", "measure@", "illustrate@"))}, output
        return output


def wait_for(what, seconds: float, every: float = 1.0):
    """The first true value of `what()`; fails after so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := what():
            return value
        time.sleep(every)
    pytest.fail(f"waited {seconds:.0f} s in vain")


@pytest.fixture
def head(tmp_path):
    """(**settings) -> a head whose settings were changed so."""
    return lambda **settings: Head(tmp_path, **settings)


@pytest.fixture
def stub(tmp_path):
    """(**how many cells, how long) -> a head whose stages do next to nothing."""
    return lambda **options: StubProject(tmp_path / "stub", **options)
