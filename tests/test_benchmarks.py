"""Every benchmark runs at its smallest setting and prints its table. That of prepare: tests/data/test_benchmark.py."""

import subprocess
import sys

import pytest
import torch

from benchmarks import demo, machine, metrics, operators
from repository import ROOT


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


@pytest.mark.nightly
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
    assert "measure: all of them" in capsys.readouterr().out


def test_the_demos_step_is_timed(monkeypatch, plan):
    monkeypatch.setattr(demo, "REPEATS", 1)
    small = plan()
    assert 0 < demo.step_seconds(small.network, small.train, 2) < 60


def test_the_machine_is_described_and_its_peak_measured():
    assert machine.facts(torch.device("cpu")).keys() >= {"device", "torch", "threads", "date"}
    assert machine.matmul_peak(torch.device("cpu"), torch.float32, side=64) > 1e6


def test_the_ladder_computes_a_training_on_three_machines():
    rows = run("-m", "benchmarks.matrix_cost", "--ladder", "cifar10", "--pace", "40", "200").splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[1] for row in cells] == ["paper"] * 3 + ["short"] * 3
    consumer, h200, eight = (float(row[7].replace(",", "")) for row in cells[:3])
    # By hand: 500,000 iterations of 15.9 TFLOP at 40 TFLOP/s, and 0.1 s of launches each.
    assert abs(consumer - 500_000 * (15.86 / 40 + 0.1) / 3600) < 0.5
    assert h200 / 8 < eight < h200 < consumer


def test_a_batch_is_divided_where_it_does_not_fit():
    code = """
from benchmarks.ladder import Memory
needed = Memory(fixed=4, image=1.5)
print([needed.images(24), needed.parts(128, 24), needed.parts(8, 24), needed.images(5), needed.parts(128, 5)])
"""
    assert eval(run("-c", code)) == [12, 16, 1, 0, None]
