"""One D step, one G step, and the weight average between them."""

import pytest
import torch

from pipeline.training import passes
from pipeline.training import step as steps
from pipeline.training.passes import Passes
from pipeline.training.step import build, discriminator_step, ema_beta, generator_step


@pytest.fixture
def networks(plan, settings):
    return build(plan().network, settings(), torch.device("cpu"))


@pytest.fixture
def real():
    return torch.rand(8, 3, 8, 8) * 2 - 1


def flat(parameters):
    return torch.cat([parameter.grad.flatten() for parameter in parameters if parameter.grad is not None])


def weights(module):
    return [parameter.detach().clone() for parameter in module.parameters()]


def same(module, before):
    return all(torch.equal(parameter, old) for parameter, old in zip(module.parameters(), before, strict=True))


@pytest.mark.parametrize(("interval", "penalised"), [(1, True), (4, True), (4, False)])
def test_the_penalty_is_weighted_by_its_interval(settings, networks, real, interval, penalised):
    config = settings(penalty_interval=interval, penalty_weight=3.0, drift_weight=0.5)
    scalars = discriminator_step(networks, real, config, penalised=penalised)
    assert ("penalty" in scalars) == penalised
    adversarial = scalars["score_fake"] - scalars["score_real"] + 0.5 * scalars["score_real"] ** 2
    added = 3.0 * interval * scalars["penalty"] if penalised else 0.0
    assert scalars["loss_d"].item() == pytest.approx(float(adversarial + added), rel=1e-5, abs=1e-6)


def test_no_penalty_is_computed_where_its_weight_is_zero(settings, networks, real):
    networks.passes = Passes(penalty=lambda *_: pytest.fail("computed"))
    assert "penalty" not in discriminator_step(networks, real, settings(penalty_weight=0.0), penalised=True)


def test_a_discriminator_step_changes_the_discriminator_alone(settings, networks, real):
    generator, discriminator, ema = weights(networks.generator), weights(networks.discriminator), weights(networks.ema)
    discriminator_step(networks, real, settings(), penalised=True)
    assert same(networks.generator, generator) and same(networks.ema, ema) and not same(networks.discriminator, discriminator)
    assert all(parameter.grad is None for parameter in networks.generator.parameters())


def test_a_generator_step_changes_the_generator_and_its_average_alone(settings, networks):
    generator, discriminator, ema = weights(networks.generator), weights(networks.discriminator), weights(networks.ema)
    generator_step(networks, settings(), ema_beta=0.75)
    assert same(networks.discriminator, discriminator) and not same(networks.generator, generator)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in networks.discriminator.parameters())
    for average, old, new in zip(networks.ema.parameters(), ema, networks.generator.parameters(), strict=True):
        torch.testing.assert_close(average.data, 0.75 * old + 0.25 * new.data)


def test_batches_are_the_configured_ones_and_fresh_in_every_step(settings, networks, real):
    latents = []
    networks.generator.register_forward_pre_hook(lambda module, inputs: latents.append(inputs[0]))
    config = settings(batch_generator=12)
    discriminator_step(networks, real, config, penalised=False)
    discriminator_step(networks, real, config, penalised=False)
    generator_step(networks, config, ema_beta=0.0)
    assert [len(batch) for batch in latents] == [8, 8, 12]
    assert not torch.equal(latents[0], latents[1])


def test_fakes_for_the_discriminator_are_augmented_and_so_are_the_generators(settings, networks, real, monkeypatch):
    shown = []
    networks.discriminator.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]))
    monkeypatch.setattr(steps, "augment", lambda images, config: torch.full_like(images, 7.0))
    monkeypatch.setattr(passes, "apply", lambda images, drawn, config: images * 0 + 9.0)
    discriminator_step(networks, real, settings(), penalised=False)
    generator_step(networks, settings(), ema_beta=0.0)
    assert (shown[0] == 7).all() and (shown[1] == 9).all()


def test_gradients_are_clipped_by_their_global_norm_and_reported_before(settings, networks, real):
    config, used = settings(clip_norm=0.01), []
    for optimizer in (networks.optimizer_d, networks.optimizer_g):
        optimizer.register_step_pre_hook(lambda optimizer, *_: used.append(flat(optimizer.param_groups[0]["params"]).norm().item()))
    reported = discriminator_step(networks, real, config, penalised=True) | generator_step(networks, config, ema_beta=0.0)
    assert reported["gradient_d"] > 0.02 and reported["gradient_g"] > 0.02
    assert used == pytest.approx([0.01, 0.01], rel=1e-3)


def test_adam_is_set_as_configured(plan, settings):
    networks = build(plan().network, settings(lr=0.002, beta1=0.1, beta2=0.95), torch.device("cpu"))
    for optimizer in (networks.optimizer_g, networks.optimizer_d):
        (group,) = optimizer.param_groups
        assert (group["lr"], group["betas"], group["weight_decay"]) == (0.002, (0.1, 0.95), 0)


def test_the_average_starts_as_a_copy_that_is_never_trained(networks):
    assert same(networks.ema, weights(networks.generator))
    assert not networks.ema.training and not any(parameter.requires_grad for parameter in networks.ema.parameters())


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
