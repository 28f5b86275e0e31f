"""Every benchmark runs at its smallest setting and prints its table. That of prepare: tests/data/test_benchmark.py."""

import subprocess
import sys

import torch
from repository import ROOT

from benchmarks import demo, machine, metrics, operators


def run(*command: str) -> str:
    """Output of a Python process of its own: some benchmarks replace functions of the networks."""
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_operators(capsys):
    operators.main(["--tokens", "128", "--repeats", "1"])
    rows = capsys.readouterr().out.splitlines()
    assert sum(line.split(" | ")[0].removeprefix("| ") in operators.PAIRS for line in rows) == len(operators.PAIRS)


def test_operators_compare_equal_results():
    """Each pair computes the same, or its times would compare nothing."""
    for make in operators.PAIRS.values():
        torch.manual_seed(0)
        ours, plain = (work() for work in make(16))
        for one, other in zip(ours, plain, strict=True):
            assert (one - other).norm() < 1e-4 * other.norm()


def test_train_step_against_the_released_style():
    options = ["--geometry", "digits", "--batch", "2/2", "--repeats", "1", "--threads", "1"]
    out = run("-m", "benchmarks.train_step", *options, "--modes", "reference", "fp32")
    assert "| reference | " in out and "| fp32 | " in out and '"step_tflop"' in out


def test_growth_counts_memory_and_operations():
    code = "from benchmarks import growth; print(growth.count(growth.network(32, 'grid')))"
    found = eval(run("-c", code))
    assert found.keys() >= {"g_gib", "d_gib", "g_gflop", "d_gflop"} and min(found.values()) > 0


def test_metrics(monkeypatch, capsys):
    options = ["--samples", "1200", "--features", "16", "--threads", "1", "--images", "0"]
    monkeypatch.setattr(sys, "argv", ["metrics", *options])
    metrics.main()
    assert "measure: all three" in capsys.readouterr().out


def test_the_demos_step_is_timed(monkeypatch, plan):
    monkeypatch.setattr(demo, "REPEATS", 1)
    small = plan()
    assert 0 < demo.step_seconds(small.network, small.train, 2) < 60


def test_the_machine_is_described_and_its_peak_measured():
    assert machine.facts(torch.device("cpu")).keys() >= {"device", "torch", "threads", "date"}
    assert machine.matmul_peak(torch.device("cpu"), torch.float32, side=64) > 1e6
