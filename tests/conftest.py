"""Shared fixtures: the repository's own params.yaml, cells of it, and seeds."""

import signal
from pathlib import Path

import pytest
import torch

from pipeline.plan.config import load, resolve_cell

ROOT = Path(__file__).parent.parent
pytest_plugins = ["trainings"]  # fixtures of small trainings


@pytest.fixture(scope="session")
def params():
    return load(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def cell(params):
    """(dataset, variant, released=False) -> resolved cell of the repository's params.yaml."""

    def make(dataset: str = "digits", variant: str = "full", **options):
        return resolve_cell(params, dataset, variant, **options)

    return make


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)  # small tensors: a second thread mostly waits


@pytest.fixture(autouse=True, scope="session")
def work_elsewhere(tmp_path_factory):
    """Trainings of the tests keep their state in a folder of the tests: the one that DVC would name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(tmp_path_factory.getbasetemp()))
        for name in ("CHECKPOINT_SECONDS", "TRANSGAN_WORK", "TRANSGAN_WORKER"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(autouse=True, scope="session")
def signals_as_in_a_terminal():
    """Under nohup, or in the background of a script, SIGINT and SIGHUP come ignored, for us and for what we start."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
