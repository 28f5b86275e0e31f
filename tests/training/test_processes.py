"""A batch divided over 1, 2 and 3 processes gives the same gradients, weights and history, up to the order of sums."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from divided_steps import CASES
from pipeline.networks.distributed import all_reduce_max, average, gather_rows, mean, own_rows, part_rows, world

ROOT = Path(__file__).parent.parent.parent
# The compiler takes a minute. Three processes are slow on two cores: what depends on rows most is here, and the rest is
# run by hand (`pytest -m nightly`).
TWO = tuple(case for case in CASES if case != "compiled")
THREE = ("kept gradients, parts", "relativistic, r1_r2", "batch norm", "stylegan2")
# Relative L2 distance of gradients, and of all weights of a network after steps. Adam's step divides by the size of a
# gradient, however small: rounding in weights that have none (a bias before a norm) grows there.
BOUNDS = {"fp64": (1e-12, 1e-10), "fp32": (2e-6, 1e-3), "bf16": (0.02, 0.02)}


class Runs:
    """The results of every case by number of processes; processes are started once for all cases."""

    def __init__(self, folder: Path):
        self.folder, self.done = folder, set()

    def start(self, processes: int, cases: tuple[str, ...]) -> None:
        todo = [case for case in cases if (processes, case) not in self.done]
        if not todo:
            return
        store = self.folder / f"store{processes}.{len(self.done)}"
        command = [sys.executable, str(ROOT / "tests/divided_steps.py")]
        started = [
            subprocess.Popen(
                [*command, str(rank), str(processes), str(store), str(self.folder / str(processes)), *todo],
                cwd=ROOT,
                env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "OMP_NUM_THREADS": "1", "PATH": ""},
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(processes)
        ]
        try:
            for process in started:
                _, said = process.communicate(timeout=900)
                assert process.returncode == 0, said
        finally:
            for process in started:
                process.kill()
        self.done |= {(processes, case) for case in todo}

    def result(self, processes: int, case: str) -> dict[str, torch.Tensor]:
        return load_file(f"{self.folder / str(processes)}.{case}.safetensors")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    found = Runs(tmp_path_factory.mktemp("processes"))
    found.start(1, TWO)
    return found


def distance(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm().clamp(min=1e-9))


def compare(divided: dict[str, torch.Tensor], alone: dict[str, torch.Tensor], case: str) -> None:
    assert divided.keys() == alone.keys()
    kind = "bf16" if CASES[case].changes.get("precision") == "bf16" else "fp64" if CASES[case].double else "fp32"
    of_gradients, of_weights = BOUNDS[kind]
    for name in ("gradient d", "gradient g", "left in d"):
        assert distance(divided[name], alone[name]) < of_gradients, name
    for network in ("generator", "ema", "discriminator"):
        names = [name for name in alone if name.startswith(network + ".")]
        flat = [torch.cat([values[name].flatten() for name in names]) for values in (divided, alone)]
        assert distance(*flat) < of_weights, network
    for name in alone:
        if name.startswith("first "):  # scalars of the history
            assert abs(divided[name] - alone[name]) < of_gradients * (1 + abs(alone[name])), name
        if name.startswith("last "):
            assert abs(divided[name] - alone[name]) < of_weights * (1 + abs(alone[name])), name


@pytest.mark.parametrize("case", TWO)
def test_two_processes_train_what_one_does(runs, case):
    runs.start(2, TWO)
    compare(runs.result(2, case), runs.result(1, case), case)


@pytest.mark.parametrize("case", THREE)
def test_three_processes_train_what_one_does(runs, case):
    runs.start(3, THREE)
    compare(runs.result(3, case), runs.result(1, case), case)


@pytest.mark.nightly
def test_two_processes_train_what_one_does_compiled(runs):
    for processes in (1, 2):
        runs.start(processes, ("compiled",))
    compare(runs.result(2, "compiled"), runs.result(1, "compiled"), "compiled")


@pytest.mark.nightly
@pytest.mark.parametrize("case", [case for case in TWO if case not in THREE])
def test_three_processes_train_what_one_does_in_every_other_case(runs, case):
    runs.start(3, tuple(case for case in TWO if case not in THREE))
    compare(runs.result(3, case), runs.result(1, case), case)


def test_the_cases_differ(runs):
    """So that a comparison can fail: what is random or global takes part in each case that is named after it."""
    cleared, kept, noisy = (runs.result(1, case) for case in ("wgan_gp", "kept gradients", "noise"))
    assert distance(cleared["gradient d"], runs.result(1, "every augmentation")["gradient d"]) > 1e-3
    assert any(noisy[name] != cleared[name] for name in cleared if name.startswith("last "))
    assert kept["left in d"].norm() > 1e-3 and cleared["left in d"].norm() == 0


def test_alone_nothing_is_exchanged():
    x = torch.rand(4, 3, requires_grad=True)
    assert world() == 1 and mean(x) is x and gather_rows(x) is x and own_rows(x) is x and all_reduce_max(3) == 3
    average([x])
    assert part_rows(12, 1) == [slice(0, 12)] and part_rows(12, 2) == [slice(0, 6), slice(6, 12)]


def test_parts_of_a_process_are_its_rows_of_each_part(monkeypatch):
    monkeypatch.setattr("pipeline.networks.distributed.world", lambda: 3)
    monkeypatch.setattr("pipeline.networks.distributed.rank", lambda: 1)
    assert part_rows(12, 2) == [slice(2, 4), slice(8, 10)]
