"""The gradient penalty of WGAN-GP against gradients known by hand and by finite differences."""

import math

import pytest
import torch
from torch import nn

from critics import Critic, linear, mean, penalty_values, quadratic
from pipeline.networks.transgan.networks import Discriminator


def gradient_penalty(critic, real, fake, config):
    (value,) = penalty_values(critic, real, fake, config)
    return value


@pytest.mark.parametrize("phi", [1.0, 5.0, 750.0])
def test_penalty_of_a_linear_critic(config, phi):
    critic = Critic(linear)
    penalty = gradient_penalty(critic, torch.randn(4, 3, 8, 8), torch.randn(4, 3, 8, 8), config(penalty_target=phi))
    norm = math.sqrt(float((critic.weight.detach().double() ** 2).sum()))
    assert penalty.item() == pytest.approx((norm - phi) ** 2 / phi**2, rel=1e-4)
    penalty.backward()
    expected = 2 * (norm - phi) / phi**2 * critic.weight.detach() / norm
    torch.testing.assert_close(critic.weight.grad, expected, rtol=1e-4, atol=1e-6)


def test_penalty_is_the_mean_over_images_of_each_images_own_norm(config):
    real = torch.randn(5, 3, 8, 8) * torch.tensor([0.01, 0.05, 0.1, 0.5, 1.0]).view(-1, 1, 1, 1)
    critic = Critic(quadratic, torch.tensor(1.5))
    expected = mean((1.5 * math.sqrt(float((image**2).sum())) - 1) ** 2 for image in real)
    assert gradient_penalty(critic, real, real, config()).item() == pytest.approx(expected, rel=1e-4)


def test_penalty_is_taken_between_real_and_fake_at_one_uniform_place_per_image(config, uniform):
    critic, real = Critic(linear), torch.randn(2000, 3, 8, 8)
    gradient_penalty(critic, real, real + 2, config())
    places = (critic.seen[0] - real) / 2
    torch.testing.assert_close(places, places[:, :1, :1, :1].expand_as(places), atol=1e-5, rtol=0)
    places = places[:, 0, 0, 0]
    assert places.min() >= -1e-5 and places.max() <= 1 + 1e-5
    counts = torch.histc(places, bins=10, min=0, max=1)
    assert uniform(counts)


def test_penalty_sees_through_the_augmentation(config):
    critic = Critic(linear, torch.ones(3, 8, 8))
    ones = torch.ones(16, 3, 8, 8)
    penalty = gradient_penalty(critic, ones, ones, config("cutout"))
    kept = (critic.seen[0] != 0).flatten(1).sum(1)
    assert kept.min() < kept.max() < 192
    assert penalty.item() == pytest.approx(mean((math.sqrt(float(count)) - 1) ** 2 for count in kept), rel=1e-5)


def test_penalty_without_any_gradient_is_finite_and_so_is_its_derivative(config):
    critic = Critic(linear, torch.zeros(3, 8, 8))
    penalty = gradient_penalty(critic, torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8), config())
    penalty.backward()
    assert penalty.item() == pytest.approx(1) and critic.weight.grad.isfinite().all()


@pytest.mark.parametrize("variant", ["full", "layer_norm"])
@pytest.mark.parametrize("penalty", ["gradient_norm", "r1"])
def test_penalty_of_the_discriminator_equals_finite_differences(cell, config, variant, penalty):
    """Both kinds of penalty that need a second derivative: their values, and the derivative that trains D."""
    discriminator, real = (
        Discriminator(cell("digits", variant).network).double(),
        torch.randn(2, 3, 8, 8, dtype=torch.float64),
    )
    with torch.no_grad():
        nn.init.normal_(discriminator.head.weight)  # as initialised the scores are nearly flat
    settings = config(penalty=penalty)
    value = gradient_penalty(discriminator, real, real, settings)
    step, norms = 1e-5, []
    for image in real:
        moves = torch.eye(192, dtype=torch.float64).view(192, 3, 8, 8) * step
        with torch.no_grad():
            slopes = (discriminator(image + moves) - discriminator(image - moves)) / (2 * step)
        norms.append(slopes.norm())
    expected = {
        "gradient_norm": mean((norm - 1) ** 2 for norm in norms),
        "r1": mean(norm**2 for norm in norms) / 2,
    }
    assert value.item() == pytest.approx(expected[penalty], rel=1e-6)
    # The derivative that trains D, along one direction in all its parameters.
    value.backward()
    directions = [torch.randn_like(parameter) for parameter in discriminator.parameters()]
    slope = sum(
        (d * p.grad).sum() for d, p in zip(directions, discriminator.parameters(), strict=True) if p.grad is not None
    )
    sides = []
    for sign in (1, -1):
        torch._foreach_add_(parameters := [p.data for p in discriminator.parameters()], directions, alpha=sign * step)
        sides.append(gradient_penalty(discriminator, real, real, settings).item())
        torch._foreach_add_(parameters, directions, alpha=-sign * step)
    assert slope.item() == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-4)
