"""A training on the device: interrupted and resumed, and out of memory for real."""

import copy
import io
import math

import pytest
import torch
from torch.utils._pytree import tree_map

from pipeline.runs.checkpoint import capture, load, put_back, save
from pipeline.runs.checkpoint_schedule import CheckpointSchedule
from pipeline.runs.run import run_cell
from pipeline.training.loop import train

SPARED = 256 * 2**20  # bytes of a GPU left free when it is filled
# Images of a G step that fit nowhere: on a GPU that is nearly full, and in the address space of any processor.
TOO_MANY = {"cuda": 2**20, "cpu": 2**45}


class Cut(Exception):
    """The end of a process, as a test plays it."""


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


@pytest.fixture
def only(device):
    """The device, where a training chooses it by itself."""
    if device.type == "cpu" and torch.cuda.is_available():
        pytest.skip("a training takes the GPU")
    return device


def same(ours, theirs):
    """Whether two states are equal to the bit, on the same devices."""
    if isinstance(ours, torch.Tensor):
        return ours.device == theirs.device and torch.equal(ours, theirs)
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[name], theirs[name]) for name in ours)
    if isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs


def copied(state):
    """The state as it is now: its tensors are those that training changes in place."""
    return tree_map(lambda leaf: leaf.clone() if isinstance(leaf, torch.Tensor) else copy.copy(leaf), state)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_state_put_back_is_the_state_that_was_stored(plan, images, device, tmp_path, precision):
    states = []

    class Observer(CheckpointSchedule):
        def after_iteration(self, outcome):
            if outcome.step == 3 and not states:
                state = capture(outcome, device)
                save(tmp_path, state, key="key", step=3)
                states.append(copied(state))
                raise Cut

        def resume(self, outcome):
            found = load(tmp_path, "key", print)
            if found is not None:
                put_back(outcome, found["state"], device)
                states.append(copied(capture(outcome, device)))

    settings = plan(precision=precision)
    schedule = (tmp_path, settings, device, "cell", io.StringIO())
    with pytest.raises(Cut):
        train(settings, images, device, Observer(*schedule))
    outcome = train(settings, images, device, Observer(*schedule))
    assert same(states[0], states[1])
    assert outcome.status == "ok" and [row["step"] for row in outcome.history] == [2, 4, 6, 8]
    assert all(math.isfinite(value) for row in outcome.history for value in row.values())


def test_a_cell_cut_off_and_started_again_goes_on(plan, data, tmp_path, work, only, monkeypatch):
    original = CheckpointSchedule.after_iteration

    def after_iteration(self, outcome):
        self.due = 0.0
        original(self, outcome)
        if outcome.step == 5:
            raise Cut

    run = {"data": data, "out": tmp_path / "runs/digits/full/seed0", "name": "cell"}
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointSchedule, "after_iteration", after_iteration)
        with pytest.raises(Cut):
            run_cell(plan(), **run)
    record = run_cell(plan(), **run)
    assert (record["status"], record["resumed_at_kimg"], record["kimg"]) == ("ok", [0.04], 0.064)
    assert record["peak_memory_mib"] > 0


def test_running_out_of_memory_is_a_result_and_the_next_training_finds_the_memory_free(
    plan, data, tmp_path, work, only
):
    filler = None
    if only.type == "cuda":
        free, _ = torch.cuda.mem_get_info(only)
        filler = torch.empty(max(0, free - SPARED), dtype=torch.uint8, device=only)
    size = TOO_MANY[only.type]
    record = run_cell(plan(batch_generator=size), data=data, out=tmp_path / "runs/digits/greedy/seed0", name="greedy")
    assert record["status"] == "oom" and record["bytes_asked"] > 0 and record["batch_generator"] == size
    assert "train.accumulate: 2" in record["would_help"]
    del filler
    if only.type == "cuda":
        torch.cuda.empty_cache()
    assert run_cell(plan(), data=data, out=tmp_path / "runs/digits/full/seed0", name="full")["status"] == "ok"
