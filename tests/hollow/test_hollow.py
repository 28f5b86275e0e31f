"""A training's CUDA path on a GPU that computes nothing: kernels chosen, launches, waits, peak memory (README.md)."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch

from hollow import probe
from pipeline.base.schema import dump

HEADERS = Path(sysconfig.get_paths()["purelib"]) / "triton/backends/nvidia/include/driver_types.h"
pytestmark = pytest.mark.skipif(
    torch.version.cuda is None or shutil.which("gcc") is None or not HEADERS.is_file(),
    reason="needs gcc and torch's wheels for CUDA",
)


@pytest.fixture(scope="module")
def cifar10():
    return probe.measure("cifar10", "full", "precision=bf16")


def test_every_pass_that_is_differentiated_once_is_fused(cifar10):
    assert cifar10["biased_forward"] >= 85 and cifar10["biased_backward"] >= 41
    # 28 blocks of four penalties take the explicit path, whose softmax is launched once forward and three times back.
    assert cifar10["softmax"] == 28 * 4


def test_launches_peak_and_waits_of_cifar10(cifar10):
    assert cifar10["launches"] <= 8_800
    assert cifar10["peak_gib"] <= 6.4
    assert cifar10["waits"] == cifar10["to_host"] == 0
    assert cifar10["upsample"] == 0


@pytest.mark.nightly
def test_compiled_passes_build_whole_and_launch_fewer(tmp_path):
    """Three minutes of a processor, most of them in the assembler of kernels."""
    caches = {name: str(tmp_path / name) for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")}
    settings = ("precision=bf16", "execution=compiled", "critic_steps=1")
    found = probe.measure("cifar10", "full", *settings, timeout=3600, **caches)
    assert found["compiled"] > 0 and found["launches"] + found["compiled"] <= 1_900
    assert found["biased_forward"] >= 34 and found["biased_backward"] >= 23 and found["waits"] == found["to_host"] == 0
    assert found["peak_gib"] <= 6.4


def test_heads_of_six_channels_are_fused_too():
    found = probe.measure("cifar10", "scale_s", "precision=bf16", "critic_steps=1")
    assert found["biased_forward"] >= 30 and found["biased_backward"] >= 15 and found["peak_gib"] <= 3.1


def test_a_card_of_24_gib_trains_256_pixels_its_images_on_the_host():
    settings = ("precision=bf16", "critic_steps=1", "accumulate=auto", "--images", "126227")
    found = probe.measure("church256", "full", *settings, HOLLOW_GIB="24")
    assert (found["parts"], found["resident"], found["waits"]) == (8, False, 0)
    assert found["peak_gib"] < 20 and found["upsample"] == 0
    assert found["biased_forward"] >= 80 * found["parts"] and found["biased_backward"] >= 45 * found["parts"]


def test_more_windows_than_a_launch_grid_takes_are_divided():
    """131,072 of a batch in the discriminator of October; a grid that is not valid ends the probe."""
    policy = 'augment.policy=["translation","cutout","color"]'
    found = probe.measure(
        "celebahq256", "celebahq_october", "precision=bf16", "critic_steps=1", policy, HOLLOW_GIB="999"
    )
    assert found["biased_forward"] >= 40 and found["waits"] == 0


@pytest.mark.parametrize(
    ("gpus", "said"),
    [
        ("1", "train.processes: given 2; allowed: 1 at most, the GPUs visible on this host"),
        (
            "2",
            "digits/full/seed0: process 0 of 2 failed (Failed to initialize NCCL communicator: unhandled cuda error ",
        ),
    ],
)
def test_several_gpus_that_cannot_train_together_are_one_line(plan, data, tmp_path, gpus, said):
    """NCCL wants a real driver: what is shown is that each process takes its GPU and that its error is passed on."""
    (tmp_path / "plan.yaml").write_text(dump(plan(processes=2)))
    path = f"{probe.ROOT}:{probe.ROOT / 'tests'}"
    script, out = probe.ROOT / "tests/several.py", tmp_path / "runs/full/seed0"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script, tmp_path / "plan.yaml", data, out, "digits/full/seed0"],
        cwd=tmp_path,
        env=probe.environment(HOLLOW_GPUS=gpus, DVC_ROOT=str(tmp_path), PYTHONPATH=path),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("train: ")]
    assert line.replace("process 1", "process 0").startswith(f"error: {said}")
