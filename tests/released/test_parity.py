"""What the run of the released loop beside this one compares; with a clone, RELEASED=/path, the run itself."""

import os
import subprocess
import sys

import pytest
import torch

from pipeline.released.parity import STEPS, Record, _noise, compare


def record(scale=1.0):
    tensors = torch.cat([torch.ones(3) * scale, torch.ones(4)])
    return Record(losses=[1.0] * len(STEPS), gradients=[tensors] * len(STEPS), weights=[tensors] * len(STEPS))


def test_equal_records_differ_by_nothing_and_a_scaled_tensor_by_its_share():
    assert [value for _, value in compare(record(), record())] == [0.0] * len(STEPS)
    (line, value), *_ = compare(record(), record(2.0))
    assert value == pytest.approx((3 / 7) ** 0.5)
    assert line.startswith("step 1 of D: loss +1.000000000 released")


def test_noise_is_the_same_for_every_image_of_a_batch():
    assert torch.equal(_noise(4, 16, 1)[:1], _noise([1, 16, 1]))
    assert _noise(1, 16, 1).std() > 0.5


def test_a_folder_without_the_released_code_is_refused(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "pipeline.released.parity", str(tmp_path)], capture_output=True, text=True
    )
    assert run.returncode == 1 and "allowed: a clone of the released code" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.skipif("RELEASED" not in os.environ, reason="RELEASED names no clone of the released code")
def test_the_loops_agree():
    command = [sys.executable, "-m", "pipeline.released.parity", os.environ["RELEASED"]]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0 and "the loops agree to" in run.stdout, run.stderr
