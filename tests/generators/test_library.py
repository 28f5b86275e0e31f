"""The library: what it draws, on which terms, and that its documented example runs."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kstest, truncnorm

from pipeline.base.errors import UserError
from pipeline.generators import pretrained
from pipeline.generators.library import load_generator, truncate, walk
from pipeline.networks.sampling import load_generator as load_network
from trained_networks import sample, write_trained

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def run(cell, tmp_path_factory):
    return write_trained(tmp_path_factory.mktemp("run") / "seed0", cell("digits").network)


@pytest.fixture(scope="module")
def noisy(cell, tmp_path_factory):
    """The released CIFAR-10 settings have noise in D alone; a generator with noise, small."""
    spec = cell("digits").network
    stages = [
        stage.model_copy(update={"blocks": [block.model_copy(update={"noise": True}) for block in stage.blocks]})
        for stage in spec.generator.stages
    ]
    generator = spec.generator.model_copy(update={"stages": stages})
    return write_trained(tmp_path_factory.mktemp("noisy") / "seed0", spec.model_copy(update={"generator": generator}))


def test_samples_are_those_of_the_measuring_stage(run):
    expected = sample(load_network(run), 20, seed=3, batch=7).transpose(0, 2, 3, 1)
    images = load_generator(run).sample(20, seed=3, batch=7)
    assert images.dtype == np.uint8 and images.shape == (20, 8, 8, 1) and images.std() > 10
    assert np.array_equal(images, expected)


def test_drawing_leaves_the_global_random_state_alone(noisy):
    generator = load_generator(noisy)
    before = torch.random.get_rng_state()
    first = generator.sample(4, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(first, generator.sample(4, seed=1))


def test_noise_differs_between_batches_of_one_sample(noisy):
    """A seed that was set anew for every batch would repeat the same noise."""
    generator = load_generator(noisy)
    latents = generator.latents(1, seed=0).repeat(4, 1)
    images = generator.draw(latents, batch=1)
    assert len({image.tobytes() for image in images}) == 4


@pytest.mark.parametrize("folder", ["run", "noisy"])
def test_the_image_of_a_seed_does_not_depend_on_the_others(folder, request):
    generator = load_generator(request.getfixturevalue(folder))
    images = generator.sample_seeds([5, 0, 9])
    assert np.array_equal(images[1], generator.sample(1, 0)[0])
    assert np.array_equal(generator.sample_seeds([9, 5])[1], images[0])


def test_truncated_latents_are_a_truncated_normal_distribution():
    latents = torch.randn(400, 50, generator=torch.Generator().manual_seed(0))
    cut = truncate(latents, 0.8, seed=1)
    assert cut.abs().max() <= 0.8 and torch.equal(cut[latents.abs() <= 0.8], latents[latents.abs() <= 0.8])
    assert kstest(cut.flatten().numpy(), truncnorm(-0.8, 0.8).cdf).pvalue > 0.01
    assert torch.equal(truncate(latents, 0.8, seed=1), cut)
    assert torch.equal(truncate(latents, 100.0, seed=1), latents)


def test_truncation_reaches_the_images_and_makes_them_more_alike(run):
    generator = load_generator(run)
    spreads = [generator.sample(64, 0, t).astype(float).std(axis=0).mean() for t in (0.1, 1.0, None)]
    assert spreads[0] < spreads[1] < spreads[2]


def test_a_walk_passes_its_stations_and_ends_at_the_last(run):
    generator = load_generator(run)
    stations = generator.sample_seeds([3, 1, 4])
    frames = generator.interpolate([3, 1, 4], steps=5)
    assert len(frames) == 11
    assert abs(frames[[0, 5, 10]].astype(int) - stations).max() <= 1
    loop = generator.interpolate([3, 1, 4], steps=5, loop=True)
    assert len(loop) == 15 and np.array_equal(loop[:10], frames[:10])
    assert len({image.tobytes() for image in frames}) > 3


def test_a_walk_keeps_the_length_of_its_latents():
    stations = torch.randn(3, 2, 512, generator=torch.Generator().manual_seed(0))
    norms = walk(stations, 8, loop=True).norm(dim=-1)
    assert norms.shape == (24, 2) and (norms > 0.9 * stations.norm(dim=-1).min()).all()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda g: g.sample(0), "n: given 0"),
        (lambda g: g.sample(1, -1), "seed: given -1"),
        (lambda g: g.sample(1, truncation=0.0), "truncation: given 0.0"),
        (lambda g: g.sample(1, truncation=float("nan")), "truncation: given nan"),
        (lambda g: g.sample(1, batch=0), "batch: given 0"),
        (lambda g: g.interpolate([1], 3), "given 1 seed"),
        (lambda g: g.interpolate([1, 2], 0), "steps: given 0"),
        (lambda g: g.sample_seeds([]), "seeds: given 0"),
        (lambda g: g.draw(np.zeros((2, 3))), r"given shape (2, 3); allowed: (n, 64)"),
    ],
)
def test_mistakes_are_said_in_one_line(run, call, said):
    with pytest.raises(UserError, match=re.escape(said)) as error:
        call(load_generator(run))
    assert "\n" not in str(error.value)


def test_a_name_finds_a_published_network_and_a_wrong_one_lists_them(run, monkeypatch, tmp_path):
    monkeypatch.setattr(pretrained, "PRETRAINED", tmp_path)
    monkeypatch.setattr(pretrained, "PUBLISHED", tmp_path / "published")
    with pytest.raises(UserError, match="pretrained/ has none"):
        load_generator("digits/full")
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits/full").symlink_to(run)
    assert np.array_equal(load_generator("digits/full").sample(2), load_generator(run).sample(2))
    with pytest.raises(UserError, match="did you mean 'digits/full'"):
        load_generator("digits/ful")
    with pytest.raises(UserError):
        load_generator("../digits/full")


def test_import_pipeline_alone_imports_no_torch():
    code = "import sys, pipeline; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
