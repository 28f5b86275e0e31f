"""Cores, GPUs, memory and versions: batches shared out come back in order, absence is told."""

import re
import subprocess
import threading

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.base import machine as module
from pipeline.base.machine import devices, map_on_devices, provenance
from pipeline.metrics.extractors.extractor import Extractor
from pipeline.networks.interface import build_generator
from trained_networks import sample


class Network(nn.Module):
    """Features that depend on the image, logits that depend on the features."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(64, 5))

    def forward(self, images):
        features = images[:, 0].flatten(1).float() @ self.weight
        return features, features[:, :2]


@pytest.fixture
def three(monkeypatch):
    """As on a machine with three devices."""
    monkeypatch.setattr(module, "devices", lambda first: [first] * 3)


def test_every_part_once_in_order_and_every_device_takes_its_share(three):
    network, taken = Network(), []

    def work(one, part):
        taken.append((one, part, threading.get_ident()))
        return part * 10

    assert list(map_on_devices(network, work, range(20))) == [part * 10 for part in range(20)]
    copies = [next(one for one, part, _ in taken if part == place) for place in range(3)]
    assert copies[0] is network and all(torch.equal(one.weight, network.weight) for one in copies)
    assert len({id(one.weight) for one in copies}) == 3
    assert all(one is copies[part % 3] for one, part, _ in taken) and sorted(part for _, part, _ in taken) == [
        *range(20)
    ]
    assert len({thread for *_, thread in taken}) == 3


def test_an_error_on_a_device_is_raised(three):
    def work(network, part):
        raise ValueError(part)

    with pytest.raises(ValueError, match="0"):
        list(map_on_devices(Network(), work, range(5)))


def test_samples_and_features_are_those_of_one_device(cell, monkeypatch):
    generator = build_generator(cell("digits", "full").network).eval()
    network = Network()
    extractor = Extractor(name="small", sha256="0", resize="none", network=network)
    alone = sample(generator, 20, 3, 4)
    before = extractor.extract(alone, 6)
    monkeypatch.setattr(module, "devices", lambda first: [first] * 3)
    images = sample(generator, 20, 3, 4)
    assert np.array_equal(images, alone)
    after = extractor.extract(images, 6)
    assert np.array_equal(after.features, before.features) and np.array_equal(after.logits, before.logits)


def test_a_cpu_is_one_device():
    assert devices(torch.device("cpu")) == [torch.device("cpu")]


CPU = torch.device("cpu")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A git repository of one commit with a params.yaml, the current folder; git(...) runs there."""
    monkeypatch.chdir(tmp_path)

    def git(*arguments):
        names = ("-c", "user.name=test", "-c", "user.email=test@example.invalid")
        return subprocess.run(["git", *names, *arguments], check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    (tmp_path / "params.yaml").write_text("a: 1\n")
    git("add", "--all")
    git("commit", "--quiet", "-m", "start")
    return git


def test_a_clean_tree_is_known_by_its_revision(repository):
    found = provenance(CPU)
    assert found["revision"] == repository("rev-parse", "HEAD") and found["dirty"] is False


def test_a_changed_parameter_makes_it_dirty_and_a_result_does_not(repository, tmp_path):
    (tmp_path / "results.json").write_text("{}")
    assert provenance(CPU)["dirty"] is False
    (tmp_path / "params.yaml").write_text("a: 2\n")
    assert provenance(CPU)["dirty"] is True


def test_without_a_repository_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    found = provenance(CPU)
    assert "fatal: not a git repository" in found["revision"] and found["dirty"] is None


def test_without_git_it_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert provenance(CPU)["revision"] == "git rev-parse: [Errno 2] No such file or directory: 'git'"


def test_versions_are_those_of_the_libraries_and_absence_is_told(monkeypatch):
    monkeypatch.setattr(module, "LIBRARIES", ("torch", "no-such-library"))
    libraries = provenance(CPU)["libraries"]
    assert torch.__version__.startswith(libraries["torch"].partition("+")[0])
    assert libraries["no-such-library"] == "absent"


def test_the_machine_is_named_with_its_cores():
    found = provenance(CPU)
    assert re.search(r", \d+ cores?, \w+$", found["device"]) and found["threads"] == torch.get_num_threads()
