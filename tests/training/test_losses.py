"""Losses by their formulas, the gradient penalty against gradients known by hand and by finite differences."""

import math

import pytest
import torch
from torch import nn

from pipeline.model.discriminator import Discriminator
from pipeline.training import losses
from pipeline.training.augment import draw
from pipeline.training.losses import discriminator_loss, generator_loss, interpolate, score_pair

REAL, FAKE = torch.tensor([2.0, -1.0, 0.5, 3.0]), torch.tensor([-0.5, 1.5, -3.0])


@pytest.fixture(scope="module")
def config(settings, augmentation):
    """(policy, **changes) -> training settings; no augmentation unless named, cutout always."""
    return lambda *policy, **changes: settings(augment=augmentation(policy=list(policy), cutout_probability=1.0), **changes)


class Critic(nn.Module):
    """A critic given as a formula of (images, weight), that remembers what it was shown."""

    batch_statistics = False

    def __init__(self, formula, weight=None):
        super().__init__()
        self.formula, self.seen = formula, []
        self.weight = nn.Parameter(torch.randn(3, 8, 8) if weight is None else weight)

    def forward(self, images, *, fused=True):
        assert not fused, "the penalty is differentiated twice, which no fused kernel can be"
        self.seen.append(images.detach())
        return self.formula(images, self.weight)


def gradient_penalty(critic, real, fake, config):
    return losses.gradient_penalty(critic, interpolate(real, fake), draw(real, config.augment), config)


def linear(images, weight):
    return (images * weight).sum((1, 2, 3))


def mean(values):
    values = [float(value) for value in values]
    return sum(values) / len(values)


# ---- adversarial losses ----
def test_generator_losses(config):
    assert generator_loss(FAKE, config(loss="wgan_gp")).item() == pytest.approx(-mean(FAKE))
    assert generator_loss(FAKE, config(loss="hinge")).item() == pytest.approx(-mean(FAKE))
    expected = -mean(math.log(1 / (1 + math.exp(-score))) for score in FAKE)       # -log sigmoid
    assert generator_loss(FAKE, config(loss="non_saturating")).item() == pytest.approx(expected)


def test_discriminator_losses(config):
    expected = {
        "wgan_gp": mean(FAKE) - mean(REAL),
        "hinge": mean(max(0, 1 - score) for score in REAL) + mean(max(0, 1 + score) for score in FAKE),
        "non_saturating": -mean(math.log(1 / (1 + math.exp(-score))) for score in REAL) - mean(math.log(1 - 1 / (1 + math.exp(-score))) for score in FAKE),
    }
    for loss, value in expected.items():
        assert discriminator_loss(REAL, FAKE, config(loss=loss, drift_weight=0.0)).item() == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("loss", ["wgan_gp", "hinge", "non_saturating"])
def test_drift_is_the_square_of_the_real_batch_mean(config, loss):
    with_drift, without = (discriminator_loss(REAL, FAKE, config(loss=loss, drift_weight=weight)).item() for weight in (0.25, 0.0))
    assert with_drift - without == pytest.approx(0.25 * mean(REAL) ** 2, abs=1e-6)


@pytest.mark.parametrize("loss", ["wgan_gp", "hinge", "non_saturating"])
def test_parts_of_a_batch_add_up_to_the_whole_drift_included(config, loss):
    real, fake, settings = torch.randn(8, requires_grad=True), torch.randn(8), config(loss=loss, drift_weight=0.25)
    whole = discriminator_loss(real, fake, settings)
    parts = [discriminator_loss(real[part], fake[part], settings, batch_mean=real.detach().mean()) for part in (slice(0, 4), slice(4, 8))]
    torch.testing.assert_close(sum(parts) / 2, whole)
    gradients = [torch.autograd.grad(value, real)[0] for value in (whole, sum(parts) / 2)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("loss", ["wgan_gp", "hinge", "non_saturating"])
def test_scores_far_away_stay_finite(config, loss):
    far = torch.tensor([1e4, -1e4], requires_grad=True)
    total = discriminator_loss(far, far, config(loss=loss)) + generator_loss(far, config(loss=loss))
    (gradient,) = torch.autograd.grad(total, far)
    assert total.isfinite() and gradient.isfinite().all()


# ---- gradient penalty ----
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
    critic = Critic(lambda images, weight: weight * images.square().sum((1, 2, 3)) / 2, torch.tensor(1.5))
    expected = mean((1.5 * math.sqrt(float((image**2).sum())) - 1) ** 2 for image in real)
    assert gradient_penalty(critic, real, real, config()).item() == pytest.approx(expected, rel=1e-4)


def test_penalty_is_taken_between_real_and_fake_at_one_uniform_place_per_image(config, uniform):
    critic, real = Critic(linear), torch.randn(2000, 3, 8, 8)
    gradient_penalty(critic, real, real + 2, config())
    places = (critic.seen[0] - real) / 2
    torch.testing.assert_close(places, places[:, :1, :1, :1].expand_as(places), atol=1e-5, rtol=0)
    places = places[:, 0, 0, 0]
    assert -1e-5 <= places.min() and places.max() <= 1 + 1e-5
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
def test_penalty_of_the_discriminator_equals_finite_differences(cell, config, variant):
    discriminator, real = Discriminator(cell("digits", variant).network).double(), torch.randn(2, 3, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        nn.init.normal_(discriminator.head.weight)      # as initialised the scores are nearly flat
    penalty = gradient_penalty(discriminator, real, real, config())
    step, norms = 1e-5, []
    for image in real:
        moves = torch.eye(192, dtype=torch.float64).view(192, 3, 8, 8) * step
        with torch.no_grad():
            slopes = (discriminator(image + moves) - discriminator(image - moves)) / (2 * step)
        norms.append(slopes.norm())
    assert penalty.item() == pytest.approx(mean((norm - 1) ** 2 for norm in norms), rel=1e-6)
    # The derivative that trains D, along one direction in all its parameters.
    penalty.backward()
    directions = [torch.randn_like(parameter) for parameter in discriminator.parameters()]
    slope = sum((d * p.grad).sum() for d, p in zip(directions, discriminator.parameters(), strict=True) if p.grad is not None)
    sides = []
    for sign in (1, -1):
        torch._foreach_add_(parameters := [p.data for p in discriminator.parameters()], directions, alpha=sign * step)
        sides.append(gradient_penalty(discriminator, real, real, config()).item())
        torch._foreach_add_(parameters, directions, alpha=-sign * step)
    assert slope.item() == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-4)


# ---- scores of both ----
@pytest.mark.parametrize(("variant", "passes"), [("full", 1), ("instance_norm", 1), ("batch_norm", 2)])
def test_real_and_fake_share_a_batch_unless_a_batch_statistic_forbids_it(cell, variant, passes):
    discriminator, shown = Discriminator(cell("digits", variant).network), []
    real, fake = torch.randn(6, 3, 8, 8), torch.randn(4, 3, 8, 8) * 2
    with torch.no_grad():
        expected = [discriminator(images) for images in (real, fake)]
        discriminator.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]))
        scores = score_pair(discriminator, real, fake, together=not discriminator.batch_statistics)
    assert [len(score) for score in scores] == [6, 4] and len(shown) == passes
    for ours, theirs in zip(scores, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_batch_norm_scores_would_differ_in_one_batch(cell):
    discriminator = Discriminator(cell("digits", "batch_norm").network)
    real, fake = torch.randn(6, 3, 8, 8), torch.randn(6, 3, 8, 8) * 2
    with torch.no_grad():
        scores = torch.cat(score_pair(discriminator, real, fake, together=False))
        assert (scores - discriminator(torch.cat([real, fake]))).abs().max() > 1e-3
