"""A state on disk: exact to the bit, two generations, and nothing that is not whole and this training's own is used."""

import random

import numpy as np
import pytest
import torch

from pipeline.runs import checkpoint as module
from pipeline.runs.checkpoint import capture, load, put_back, save, stored
from pipeline.training.loop import Observer, train

CPU = torch.device("cpu")
KEY = "ab" * 32


class Stop(Exception):
    pass


def begun(plan, images, steps):
    """(outcome, state) of a training cut off after `steps` iterations."""
    found = []

    class Cutting(Observer):
        def after_iteration(self, outcome):
            if outcome.step == steps:
                found.append((outcome, capture(outcome, CPU)))
                raise Stop

    with pytest.raises(Stop):
        train(plan, images, CPU, Cutting())
    return found[0]


def bits(tree, name=""):
    """Every leaf of nested dicts and lists by its path, tensors as bytes."""
    if isinstance(tree, torch.Tensor):
        return {name: (tree.dtype, tuple(tree.shape), tree.numpy().tobytes())}
    if isinstance(tree, dict):
        return {path: leaf for key, value in tree.items() for path, leaf in bits(value, f"{name}.{key}").items()}
    if isinstance(tree, list | tuple):
        return {path: leaf for index, value in enumerate(tree) for path, leaf in bits(value, f"{name}.{index}").items()}
    return {name: tree}


@pytest.fixture(scope="module")
def state(plan, images):
    return begun(plan(), images, 3)[1]


@pytest.fixture
def folder(tmp_path, state):
    """Two generations, of step 3 and of step 5."""
    for step in (3, 5):
        save(tmp_path, state, key=KEY, step=step)
    return tmp_path


def test_what_is_stored_comes_back_bit_by_bit(folder, state):
    said = []
    content = load(folder, KEY, said.append)
    assert bits(content["state"]) == bits(state) and not said
    assert content["step"] == 5


def test_a_state_that_is_put_back_is_captured_as_the_same_state(plan, images, folder, state):
    fresh, _ = begun(plan(), images, 1)
    put_back(fresh, load(folder, KEY, print)["state"], CPU)
    assert bits(capture(fresh, CPU)) == bits(state)


def test_nothing_is_drawn_from_any_other_random_numbers_than_those_stored(plan, images):
    before = (random.getstate(), np.random.get_state()[1].tolist())
    begun(plan("standard_attention"), images, 2)
    assert before == (random.getstate(), np.random.get_state()[1].tolist())


def test_two_generations_are_kept(folder, state):
    save(folder, state, key=KEY, step=8)
    assert {path.name for path in folder.iterdir()} == {
        f"step-00000000{step}.{kind}" for step in (5, 8) for kind in ("json", "pt")
    }


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zeroed(path):
    path.write_bytes(bytes(path.stat().st_size))


def one_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 4] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("kind", "damage"), [("json", cut), ("json", zeroed), ("pt", cut), ("pt", zeroed), ("pt", one_bit)]
)
def test_a_damaged_newest_falls_back_to_the_one_before_and_says_so(folder, kind, damage):
    damage(folder / f"step-000000005.{kind}")
    said = []
    assert load(folder, KEY, said.append)["step"] == 3
    assert len(said) == 1 and "step-000000005" in said[0] and "not used" in said[0]


def test_tensors_whose_json_was_not_yet_written_are_no_checkpoint(folder):
    (folder / "step-000000005.json").unlink()
    assert load(folder, KEY, lambda text: pytest.fail(text))["step"] == 3


def test_two_damaged_ones_are_a_beginning_from_zero_and_said(folder):
    for path in folder.glob("*.pt"):
        cut(path)
    said = []
    assert load(folder, KEY, said.append) is None
    assert len(said) == 3 and "starts from the beginning" in said[-1]


def test_an_empty_folder_is_a_beginning_without_a_word(tmp_path):
    assert load(tmp_path, KEY, lambda text: pytest.fail(text)) is None


def test_a_checkpoint_of_another_training_is_never_used(folder):
    said = []
    assert load(folder, "cd" * 32, said.append) is None
    assert "of another training (key abababababab, this one is cdcdcdcdcdcd)" in said[0]


@pytest.mark.parametrize("text", ["[]", "{}", '{"key": 3}'])
def test_a_json_of_another_kind_is_no_checkpoint(folder, text):
    (folder / "step-000000005.json").write_text(text)
    said = []
    assert load(folder, KEY, said.append)["step"] == 3 and "step-000000005" in said[0]


def test_a_write_that_fails_leaves_the_generations_as_they_were(folder, state, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(state, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.torch, "save", full)
    with pytest.raises(OSError):
        save(folder, state, key=KEY, step=8)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_stored_lists_the_newest_first(folder):
    assert [path.name for path in stored(folder)] == ["step-000000005.json", "step-000000003.json"]
