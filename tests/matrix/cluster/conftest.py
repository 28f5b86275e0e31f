"""A head with a matrix of its own, a folder as the remote and a work folder, for tests that run real workers."""

import time
from pathlib import Path

import pytest

from cluster.stub_project import Head, StubProject
from repository import ran

CELLS = [f"digits/{variant}/seed{seed}" for variant in ("grid_attention", "full", "again") for seed in (0, 1)]


class RealHead(Head):
    """A head with the project's own stages: six smoke cells, two of them twins (`again` is `full`)."""

    def __init__(self, folder: Path, **settings: object):
        folder, self.work, self.store = (folder / name for name in ("head", "work", "store"))
        for path in (folder, self.work, self.store):
            path.mkdir()
        super().__init__(folder)
        matrix = {"matrix__variants": ["grid_attention", "full", "again"], "matrix__seeds": [0, 1]}
        self.edit(profile="smoke", variants__again={}, **matrix | settings)
        self.dvc("remote", "add", "--quiet", "--default", "store", str(self.store))
        self.commit("matrix")

    def environment(self) -> dict[str, str]:
        return super().environment() | {"CHECKPOINT_SECONDS": "1"}

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
    return lambda **settings: RealHead(tmp_path, **settings)


@pytest.fixture
def stub(tmp_path):
    """(**how many cells, how long) -> a head whose stages do next to nothing."""
    return lambda **options: StubProject(tmp_path / "stub", **options)
