"""One D step and one G step: what they change, what they are shown, what they report."""

import pytest
import torch

from pipeline.training import step as steps
from pipeline.training.state import build
from pipeline.training.step import discriminator_step, generator_step


@pytest.fixture
def networks(plan, settings):
    return build(plan().network, settings(), torch.device("cpu"))


@pytest.fixture
def real():
    return torch.rand(8, 1, 8, 8) * 2 - 1


def flat(parameters):
    return torch.cat([parameter.grad.flatten() for parameter in parameters if parameter.grad is not None])


def weights(module):
    return [parameter.detach().clone() for parameter in module.parameters()]


def same(module, before):
    return all(torch.equal(parameter, old) for parameter, old in zip(module.parameters(), before, strict=True))


@pytest.mark.parametrize("weight", [3.0, 12.0, None])
def test_the_loss_has_the_penalty_with_its_weight(settings, networks, real, weight):
    config = settings(drift_weight=0.5)
    scalars = discriminator_step(networks, real, config, weight=weight)
    assert ("penalty" in scalars) == (weight is not None)
    adversarial = scalars["score_fake"] - scalars["score_real"] + 0.5 * scalars["score_real"] ** 2
    added = 0.0 if weight is None else weight * scalars["penalty"]
    assert scalars["loss_d"].item() == pytest.approx(float(adversarial + added), rel=1e-5, abs=1e-6)


def test_no_penalty_is_computed_where_a_step_has_none(settings, networks, real, monkeypatch):
    monkeypatch.setattr(steps, "penalty_pass", lambda *_: pytest.fail("computed"))
    assert "penalty" not in discriminator_step(networks, real, settings(), weight=None)


def test_a_discriminator_step_changes_the_discriminator_alone(settings, networks, real):
    generator, discriminator, ema = weights(networks.generator), weights(networks.discriminator), weights(networks.ema)
    discriminator_step(networks, real, settings(), weight=10.0)
    assert (
        same(networks.generator, generator)
        and same(networks.ema, ema)
        and not same(networks.discriminator, discriminator)
    )
    assert all(parameter.grad is None for parameter in networks.generator.parameters())


def test_a_generator_step_changes_the_generator_and_its_average_alone(settings, networks, real):
    generator, discriminator, ema = weights(networks.generator), weights(networks.discriminator), weights(networks.ema)
    generator_step(networks, settings(), real=real, ema_beta=0.75)
    assert same(networks.discriminator, discriminator) and not same(networks.generator, generator)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in networks.discriminator.parameters())
    for average, old, new in zip(networks.ema.parameters(), ema, networks.generator.parameters(), strict=True):
        torch.testing.assert_close(average.data, 0.75 * old + 0.25 * new.data)


def test_batches_are_the_configured_ones_and_fresh_in_every_step(settings, networks, real):
    latents = []
    networks.generator.register_forward_pre_hook(lambda module, inputs: latents.append(inputs[0]))
    config = settings(batch_generator=12)
    discriminator_step(networks, real, config, weight=None)
    discriminator_step(networks, real, config, weight=None)
    generator_step(networks, config, real=real, ema_beta=0.0)
    assert [len(batch) for batch in latents] == [8, 8, 12]
    assert not torch.equal(latents[0], latents[1])


def test_fakes_for_the_discriminator_are_augmented_and_so_are_the_generators(settings, networks, real, monkeypatch):
    shown = []
    networks.discriminator.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]))
    monkeypatch.setattr(steps, "apply", lambda images, parameters, config: images * 0 + 7.0)
    discriminator_step(networks, real, settings(), weight=None)
    generator_step(networks, settings(), real=real, ema_beta=0.0)
    assert [len(images) for images in shown] == [16, 8] and all((images == 7).all() for images in shown)


def test_gradients_are_clipped_by_their_global_norm_and_reported_before(settings, networks, real):
    config, used = settings(clip_norm=0.01), []
    for optimizer in (networks.optimizer_d, networks.optimizer_g):
        optimizer.register_step_pre_hook(
            lambda optimizer, *_: used.append(flat(optimizer.param_groups[0]["params"]).norm().item())
        )
    reported = discriminator_step(networks, real, config, weight=10.0)
    reported |= generator_step(networks, config, real=real, ema_beta=0.0)
    assert reported["gradient_d"] > 0.02 and reported["gradient_g"] > 0.02
    assert used == pytest.approx([0.01, 0.01], rel=1e-3)


def test_adam_is_set_as_configured_and_follows_the_settings_of_each_step(plan, settings, real):
    networks = build(plan().network, settings(lr=0.002, beta1=0.1, beta2=0.95), torch.device("cpu"))
    for optimizer in (networks.optimizer_g, networks.optimizer_d):
        (group,) = optimizer.param_groups
        assert (group["lr"], group["betas"], group["weight_decay"]) == (0.002, (0.1, 0.95), 0)
    generator_step(networks, settings(lr=0.001, beta1=0.1, beta2=0.9), real=real, ema_beta=0.0)
    discriminator_step(networks, real, settings(lr=0.001, beta1=0.1, beta2=0.9), weight=None)
    for optimizer in (networks.optimizer_g, networks.optimizer_d):
        assert (optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["betas"]) == (0.001, (0.1, 0.9))


def test_the_average_starts_as_a_copy_that_is_never_trained(networks):
    assert same(networks.ema, weights(networks.generator))
    assert not networks.ema.training and not any(parameter.requires_grad for parameter in networks.ema.parameters())


def test_directions_of_a_penalty_are_standard_normal_and_drawn_after_the_augmentation(plan, settings, monkeypatch):
    """So the first place is augmented as that of a penalty that draws none, and a training keeps its bytes."""
    seen = {}
    for penalty in ("r1_r2", "finite_difference"):
        config, seen[penalty] = settings(penalty=penalty), []
        networks, images = build(plan().network, config, torch.device("cpu")), torch.rand(64, 1, 8, 8) * 2 - 1

        def record(critic, images, augmentation, noise, penalty, kept=seen[penalty]):
            kept.append((augmentation, noise))
            return 0.0 * sum(parameter.sum() for parameter in critic.network.parameters())

        monkeypatch.setattr(steps, "penalty_pass", record)
        torch.manual_seed(0)
        discriminator_step(networks, images, config, weight=1.0)
    (plain, none), (augmentation, (first,)) = seen["r1_r2"][0], seen["finite_difference"][0]
    (second,) = seen["finite_difference"][1][1]
    assert none == () and len(plain) > 0 and first.shape == images.shape and not torch.equal(first, second)
    torch.testing.assert_close(augmentation, plain, rtol=0, atol=0)
    assert abs(first.mean().item()) < 5 / first.numel() ** 0.5
    assert first.square().mean().item() == pytest.approx(1, abs=5 * (2 / first.numel()) ** 0.5)
