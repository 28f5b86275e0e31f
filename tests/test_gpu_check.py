"""`make gpu-check`: its pieces on the CPU at the smallest setting, going on after an interruption, and its page."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import gpu_check, gpu_memory
from pipeline.base.files import read_json

ROOT = Path(__file__).parent.parent


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["gpu-check", *map(str, arguments)])
    gpu_check.main()


def test_every_piece_runs_on_the_cpu_and_none_runs_twice(tmp_path, monkeypatch, capsys):
    run(monkeypatch, "--smallest", "--out", tmp_path)
    results, text = read_json(tmp_path / "gpu.json"), (tmp_path / "gpu.md").read_text()
    assert {name: result["status"] for name, result in results.items()} == dict.fromkeys(gpu_check.PIECES, "ok")
    assert results["tests"]["found"]["tests"] == 1 and "1 of 1 tests passed." in text
    assert {"reference", "fp32"} == set(results["step"]["found"]["modes"]) and "| fp32 |" in text
    (row,) = results["memory"]["found"]["rows"]
    assert row["largest"] == 2 and row["peak_mib"]["1"] > 0 and "| grid | 8 |" in text
    training = results["training"]["found"]
    assert training["status"] == "ok" and training["resumed_at_kimg"] and training["ticks_twice"] == 0
    assert gpu_check.NOT_RUN not in text
    capsys.readouterr()
    run(monkeypatch, "--smallest", "--out", tmp_path)
    assert capsys.readouterr().out.count("done before") == len(gpu_check.PIECES)


@pytest.fixture
def piece(monkeypatch):
    """(code, limit) -> the piece `step` is that Python code, which finds its file as its argument."""

    def make(code, limit=60.0):
        command = ["-c", f"import sys\n{code}", gpu_check.FILE]
        monkeypatch.setitem(
            gpu_check.PIECES, "step", replace(gpu_check.PIECES["step"], small_limit=limit, small=command)
        )

    return make


WRITE = 'open(sys.argv[1], "w").write(\'{"geometry": "g", "batch": "b", "table": ["| t |"]}\')'


def test_a_piece_that_fails_is_said_and_tried_again(tmp_path, monkeypatch, capsys, piece):
    piece("raise SystemExit(3)")
    with pytest.raises(SystemExit):
        run(monkeypatch, "step", "--smallest", "--out", tmp_path)
    assert capsys.readouterr().err.startswith("error: gpu-check: step: not ok, see ")
    assert "It left no result." in (tmp_path / "gpu.md").read_text()
    piece(WRITE)
    run(monkeypatch, "step", "--smallest", "--out", tmp_path)
    text = (tmp_path / "gpu.md").read_text()
    assert "| t |" in text and text.count(gpu_check.NOT_RUN) == len(gpu_check.PIECES) - 1


def test_a_piece_that_takes_too_long_is_ended_and_what_it_wrote_is_kept(tmp_path, monkeypatch, piece):
    piece(f"import time\n{WRITE}\ntime.sleep(100)", limit=2.0)
    with pytest.raises(SystemExit):
        run(monkeypatch, "step", "--smallest", "--out", tmp_path)
    result = read_json(tmp_path / "gpu.json")["step"]
    assert (result["status"], result["seconds"] < 30) == ("timeout", True)


def test_pieces_fit_the_promised_times():
    limits = [piece.limit for piece in gpu_check.PIECES.values()]
    assert max(limits) < 8 * 60 and sum(limits) < 20 * 60


def test_the_committed_page_is_that_of_the_committed_results():
    results = ROOT / "docs/gpu.json"
    expected = gpu_check.page(read_json(results) if results.is_file() else {})
    assert (ROOT / "docs/gpu.md").read_text() == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "gpu-check: given 'nonsense'; allowed: tests | step | memory | training"),
        (["--smallest"], "gpu-check: --smallest needs --out"),
        ([], "gpu-check: torch finds no GPU here"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(monkeypatch, capsys, arguments, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        run(monkeypatch, *arguments)
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}") and error.count("\n") == 1


def test_batches_are_doubled_until_memory_ends(monkeypatch):
    def one_step(resolution, kind, batch, device):
        if batch > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return 100 * batch

    monkeypatch.setattr(gpu_memory, "one_step", one_step)
    row = gpu_memory.largest_batch(64, "standard", torch.device("cpu"), 256)
    assert (row["largest"], row["ended"], row["peak_mib"]) == (4, "memory", {"1": 100, "2": 200, "4": 400})
    assert gpu_memory.markdown([row])[-1] == "| standard | 64 | 0.10 | 4 |"
    row = gpu_memory.largest_batch(64, "grid", torch.device("cpu"), 2)
    assert gpu_memory.markdown([row])[-1] == "| grid | 64 | 0.10 | 2 or more |"
