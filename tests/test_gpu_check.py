"""`make gpu-check` on the CPU at its smallest: every piece, its lines of JSON, its page, and what it imports."""

import json
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import torch

from benchmarks import gpu_check, gpu_pieces
from pipeline.base.errors import UserError
from repository import ROOT

# All that a plain checkout may ask for beside Python itself, with what these themselves need.
ALLOWED = {"torch", "numpy", "scipy", "pydantic", "omegaconf", "safetensors", "yaml"}
ASKED = """
import sys
class Guard:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Guard())
from benchmarks import gpu_check, gpu_pieces
"""
ABSENT = "hydra,dvc,pandas,PIL,torchvision,matplotlib,rich,pooch,cleanfid,torch_fidelity,tensorboard,jinja2"


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["gpu-check", *map(str, arguments)])
    gpu_check.main()


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """The folder that every piece has written to."""
    folder = tmp_path_factory.mktemp("check")
    with pytest.MonkeyPatch.context() as patch:
        run(patch, "--small", "--out", folder, "--seconds", "2")
    return folder


def test_every_measurement_is_a_line_and_on_the_page(checked):
    lines, text = gpu_check.read_lines(checked / "gpu.jsonl"), (checked / "gpu.md").read_text()
    assert {line["piece"] for line in lines} == set(gpu_check.PIECES) and gpu_check.NOT_RUN not in text
    assert all(f"| {line['measured']} |" in text and line["torch"] == torch.__version__ for line in lines)
    values = {line["measured"]: line["values"] for line in lines}
    assert values["fp32 gradients against the CPU's"]["apart"] == 0
    assert values["four iterations, with and without a state put back"]["equal"]
    assert 0 < values["training"]["flop_utilisation"] < 1 and values["training"]["kimg"] > 0
    (file,) = values["samples of the averaged generator"]["files"]
    assert np.load(checked / file).shape == (8, 1, 8, 8)


def test_a_training_goes_on_and_lines_of_before_stay(checked, monkeypatch):
    before = gpu_check.read_lines(checked / "gpu.jsonl")
    kimg = next(line["values"]["kimg"] for line in before if line["measured"] == "training")
    run(monkeypatch, "training", "--small", "--out", checked, "--seconds", "1")
    after = gpu_check.read_lines(checked / "gpu.jsonl")
    assert after[: len(before)] == before
    assert [line["values"]["kimg"] for line in after if line["measured"] == "training"][-1] > kimg


def test_a_piece_that_takes_too_long_stores_its_state(tmp_path, monkeypatch, capsys):
    command = ["training", "--small", "--out", tmp_path, "--seconds", "600"]
    monkeypatch.setattr(gpu_check, "GRACE", 60)
    original = subprocess.Popen.wait

    def wait(self, timeout=None):
        """The time is up after ten processor seconds of the piece: it trains by then, on a busy machine too."""
        if timeout in (None, gpu_check.GRACE):
            return original(self, timeout)
        while self.poll() is None and psutil.Process(self.pid).cpu_times().user < 10:
            time.sleep(0.1)
        return original(self, 0)

    monkeypatch.setattr(subprocess.Popen, "wait", wait)
    with pytest.raises(SystemExit):
        run(monkeypatch, *command)
    assert "training: timeout" in capsys.readouterr().out
    stored = torch.load(tmp_path / "training.pt", weights_only=True)
    assert stored["number"] > 1 and gpu_check.read_lines(tmp_path / "gpu.jsonl")[0]["values"]["stopped_by_signal"]


def test_it_runs_without_what_a_plain_checkout_lacks():
    done = subprocess.run([sys.executable, "-c", ASKED, ABSENT], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not ALLOWED & set(ABSENT.split(","))


def test_the_cells_are_those_of_conf(tmp_path):
    copy = tmp_path / "cells.json"
    copy.write_text(gpu_check.CELLS.read_text())
    gpu_check.write_cells(copy)
    assert json.loads(copy.read_text()) == json.loads(gpu_check.CELLS.read_text()), (
        "after an edit of conf/: python -m benchmarks.gpu_check --write-cells"
    )


def test_images_are_read_as_arrays_or_pickled_batches(tmp_path):
    spec, _ = gpu_pieces.cell("cifar10", False)
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", labels=np.arange(6), train=images)
    assert np.array_equal(gpu_pieces.read_images(tmp_path, spec), images.transpose(0, 3, 1, 2))
    with pytest.raises(UserError, match="--data: given"):
        gpu_pieces.read_images(tmp_path / "nothing", spec)


def test_a_line_cut_off_in_the_middle_is_none(tmp_path):
    (tmp_path / "gpu.jsonl").write_text('{"piece": "step"}\n{"piece": "st')
    assert gpu_check.read_lines(tmp_path / "gpu.jsonl") == [{"piece": "step"}]
    assert gpu_check.page([]).count(gpu_check.NOT_RUN) == len(gpu_check.PIECES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "gpu-check: given 'nonsense'; allowed: kernels | step | equality | training"),
        (["--small"], "gpu-check: --small needs --out"),
        ([], "gpu-check: torch finds no GPU here"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(monkeypatch, capsys, arguments, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        run(monkeypatch, *arguments)
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}") and error.count("\n") == 1
