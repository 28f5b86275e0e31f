"""The weight average of the generator: its half-life, what is averaged and what copied, how far it lies behind."""

import pytest
import torch

from pipeline.networks.transgan.networks import Generator
from pipeline.training.divergence import ema_distance
from pipeline.training.state import ema_beta, update_ema


# ---- half-life of the weight average ----
@pytest.mark.parametrize("critic_steps", [1, 4, 5])
def test_a_weight_has_halved_after_exactly_ema_kimg_real_images(settings, critic_steps):
    config = settings(ema_kimg=1.6, ema_rampup=None, critic_steps=critic_steps, batch_discriminator=16)
    per_step, kept = critic_steps * 16, 1.0
    for step in range(1, 1600 // per_step + 1):
        kept *= ema_beta(config, step * per_step)
    assert kept == pytest.approx(0.5, rel=1e-9)


def test_the_half_life_ramps_up_with_the_images_seen(settings):
    config = settings(ema_kimg=10.0, ema_rampup=0.1, batch_discriminator=64)
    for images, half_life in ((64, 6.4), (1000, 100), (50_000, 5000), (100_000, 10_000), (10**7, 10_000)):
        assert ema_beta(config, images) ** (half_life / 64) == pytest.approx(0.5)
    assert ema_beta(config, 0) == 0.0


def test_the_released_clock_counts_one_batch_a_generator_step(settings):
    config = settings(ema_kimg=1.6, ema_rampup=None, critic_steps=4, batch_discriminator=16)
    real_images, released = (
        ema_beta(config.model_copy(update={"ema_clock": clock}), 64) for clock in ("real_images", "released")
    )
    assert released**4 == pytest.approx(real_images)


def test_without_a_half_life_there_is_no_average(settings):
    assert ema_beta(settings(ema_kimg=None), 10**6) == 0.0


# ---- the average ----
def test_ema_is_the_weighted_mean_and_copies_buffers(cell):
    spec = cell("digits", "batch_norm").network
    ema, generator = Generator(spec), Generator(spec)
    before = [parameter.clone() for parameter in ema.parameters()]
    generator(torch.randn(4, generator.latent_dim))
    update_ema(ema, generator, 0.75)
    for ours, old, new in zip(ema.parameters(), before, generator.parameters(), strict=True):
        torch.testing.assert_close(ours, 0.75 * old + 0.25 * new)
    statistics = [pair for pair in zip(ema.buffers(), generator.buffers(), strict=True) if pair[0].is_floating_point()]
    assert len(statistics) > 4 and all(torch.equal(ours, theirs) for ours, theirs in statistics)
    assert not all(torch.equal(ours, torch.zeros_like(ours)) for ours, _ in statistics)


def test_the_distance_of_the_average_is_relative():
    one, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    other.load_state_dict({name: 1.25 * value for name, value in one.state_dict().items()})
    assert ema_distance(one, other).item() == pytest.approx(0.25) and ema_distance(one, one) == 0
