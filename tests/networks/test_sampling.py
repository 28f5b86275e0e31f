"""Samples of a finished run: the same whatever the batch, and one line for whatever is wrong with the folder."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.base.errors import UserError
from pipeline.base.schema import dump
from pipeline.networks.sampling import load_generator
from pipeline.networks.transgan.networks import Generator
from trained_networks import sample

WEIGHTS = "generator_ema.safetensors"


@pytest.fixture(scope="module")
def make(cell):
    """(folder, variant) -> a run's settings and averaged generator, written there."""

    def write(folder, variant="full"):
        resolved = cell("digits", variant)
        folder.mkdir(parents=True)
        generator = Generator(resolved.network)
        with torch.no_grad():
            generator.to_rgb.weight.mul_(4)  # untrained images are nearly grey; spread them over the levels
        (folder / "network.yaml").write_text(dump(resolved.network))
        save_file(generator.state_dict(), folder / WEIGHTS)
        return generator.eval()

    return write


@pytest.fixture
def run(make, tmp_path):
    make(tmp_path / "run")
    return tmp_path / "run"


def refusal(folder) -> str:
    with pytest.raises(UserError) as error:
        load_generator(folder)
    message = str(error.value)
    assert "\n" not in message and str(folder) in message
    return message


# ---- samples ----
@pytest.mark.parametrize("variant", ["full", "batch_norm"])
def test_the_batch_has_no_part_in_the_samples(make, tmp_path, variant):
    make(tmp_path / variant, variant)
    generator = load_generator(tmp_path / variant)
    whole = sample(generator, 20, 3, 20)
    assert whole.shape == (20, 1, 8, 8) and whole.dtype == np.uint8 and whole.std() > 10
    for batch in (1, 7, 64):
        difference = np.abs(sample(generator, 20, 3, batch).astype(int) - whole)
        # Sums are taken in another order: a value on the border between two levels may fall to either.
        assert difference.max() <= 1 and (difference > 0).mean() < 0.01


def test_samples_are_the_generators_own_images_of_latents_from_the_seed(make, tmp_path):
    generator = make(tmp_path / "run")
    latents = torch.randn(5, generator.latent_dim, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        expected = ((generator(latents).double() + 1) * 127.5).round().clamp(0, 255).numpy()
    assert np.abs(sample(load_generator(tmp_path / "run"), 5, 7, 5) - expected).max() <= 1


def test_the_seed_decides_and_more_samples_begin_with_the_same_ones(run):
    generator = load_generator(run)
    torch.manual_seed(99)
    eight = sample(generator, 8, 0, 4)
    assert np.array_equal(sample(generator, 8, 0, 4), eight)
    # A batch of 4 each time, so that the bytes are the same too.
    assert np.array_equal(sample(generator, 16, 0, 4)[:8], eight)
    assert not np.array_equal(sample(generator, 8, 1, 4), eight)
    assert len({image.tobytes() for image in eight}) == 8


def test_the_loaded_generator_is_in_evaluation_mode(make, tmp_path):
    make(tmp_path / "run", "batch_norm")
    generator = load_generator(tmp_path / "run")
    before = {name: buffer.clone() for name, buffer in generator.named_buffers()}
    sample(generator, 4, 0, 2)
    assert not generator.training and before
    assert all(torch.equal(buffer, before[name]) for name, buffer in generator.named_buffers())


# ---- refusals ----
def test_a_folder_that_is_no_run_is_refused(tmp_path):
    assert "no finished run" in refusal(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "no finished run" in refusal(tmp_path / "empty")


def test_missing_weights_are_refused(run):
    (run / WEIGHTS).unlink()
    message = refusal(run)
    assert WEIGHTS in message and "missing" in message


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: b"\xff" * 64,
        lambda data: data[:8] + b"#" + data[9:],
    ],
)
def test_damaged_weights_are_refused(run, damage):
    (run / WEIGHTS).write_bytes(damage((run / WEIGHTS).read_bytes()))
    message = refusal(run)
    assert WEIGHTS in message and "damaged" in message


@pytest.mark.parametrize("change", ["missing", "unknown", "shape"])
def test_weights_of_another_network_are_refused(run, change):
    state = load_file(run / WEIGHTS)
    if change == "missing":
        del state["to_rgb.bias"]
    elif change == "unknown":
        state["to_rgb.extra"] = torch.zeros(1)
    else:
        state["to_rgb.weight"] = torch.zeros(3, 5)
    save_file(state, run / WEIGHTS)
    assert "does not fit network.yaml" in refusal(run)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("network: [", "not valid YAML"),
        ("generator: {}", "generator: given {}; allowed: "),
        ("[1, 2]", "expected a mapping"),
    ],
)
def test_settings_that_are_none_are_refused(run, text, said):
    (run / "network.yaml").write_text(text)
    assert said in refusal(run)
