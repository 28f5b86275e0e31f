"""Penalties of critics whose gradients are known by hand, and by finite differences."""

import math

import pytest
import torch
from torch import nn
from torch.autograd.function import once_differentiable

from critics import Critic, linear, mean, penalty_values, quadratic
from pipeline.networks.families import load_attribute
from pipeline.networks.transgan.networks import Discriminator
from pipeline.training import objectives
from pipeline.training.config import PENALTIES
from pipeline.training.objectives import finite_difference
from pipeline.training.state import build


@pytest.fixture(scope="session")
def config(settings, augmentation):
    """(policy, **changes) -> training settings; no augmentation unless named, cutout always."""
    return lambda *policy, **changes: settings(
        augment=augmentation(policy=list(policy), cutout_probability=1.0), **changes
    )


# ---- gradient_norm ----
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
        torch.randn(2, 1, 8, 8, dtype=torch.float64),
    )
    with torch.no_grad():
        nn.init.normal_(discriminator.head.weight)  # as initialised the scores are nearly flat
    settings = config(penalty=penalty)
    value = gradient_penalty(discriminator, real, real, settings)
    step, norms = 1e-5, []
    for image in real:
        moves = torch.eye(64, dtype=torch.float64).view(64, 1, 8, 8) * step
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


# ---- zero_centred ----
AT = {"r1": ["real"], "r2": ["fake"], "r1_r2": ["real", "fake"]}


@pytest.fixture
def images():
    """A batch of real and one of generated images."""
    sizes = torch.tensor([0.1, 0.5, 1.0, 2.0, 0.7]).view(-1, 1, 1, 1)
    return {"real": torch.randn(5, 3, 8, 8) * sizes, "fake": torch.randn(5, 3, 8, 8) * 3}


@pytest.mark.parametrize("penalty", AT)
def test_of_a_linear_critic_it_is_half_the_squared_weight_wherever_it_is_taken(config, images, penalty):
    critic = Critic(linear)
    values = penalty_values(critic, images["real"], images["fake"], config(penalty=penalty))
    weight = critic.weight.detach()
    assert len(values) == len(AT[penalty])
    for value in values:
        torch.testing.assert_close(value, weight.square().sum() / 2)
    sum(values).backward()
    torch.testing.assert_close(critic.weight.grad, len(values) * weight)


@pytest.mark.parametrize("penalty", AT)
def test_of_a_quadratic_critic_it_depends_on_the_images_it_is_taken_at(config, images, penalty):
    critic = Critic(quadratic, torch.tensor(1.5))
    values = penalty_values(critic, images["real"], images["fake"], config(penalty=penalty))
    squares = [mean((image**2).sum() for image in images[name]) for name in AT[penalty]]
    assert [value.item() for value in values] == pytest.approx([1.5**2 * square / 2 for square in squares], rel=1e-5)
    sum(values).backward()
    assert critic.weight.grad.item() == pytest.approx(1.5 * sum(squares), rel=1e-5)
    for seen, name in zip(critic.seen, AT[penalty], strict=True):
        assert torch.equal(seen, images[name])


def test_it_sees_through_the_augmentation(config):
    critic, ones = Critic(linear, torch.ones(3, 8, 8)), torch.ones(16, 3, 8, 8)
    (value,) = penalty_values(critic, ones, ones, config("cutout", penalty="r1"))
    kept = (critic.seen[0] != 0).flatten(1).sum(1)
    assert kept.min() < kept.max() < 192
    assert value.item() == pytest.approx(mean(kept) / 2)


def test_a_flat_critic_has_neither_penalty_nor_derivative(config):
    critic = Critic(linear, torch.zeros(3, 8, 8))
    (value,) = penalty_values(critic, torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8), config(penalty="r1"))
    value.backward()
    assert value.item() == 0 and not critic.weight.grad.any()


# ---- finite_difference ----
PIXELS = 3 * 8 * 8


def all_directions() -> torch.Tensor:
    """2 N directions whose mean square is that of N(0, I) along every axis: plus and minus sqrt(N) times each axis."""
    axes = torch.eye(PIXELS, dtype=torch.float64).view(PIXELS, 3, 8, 8) * PIXELS**0.5
    return torch.cat([axes, -axes])


def value(critic, images, directions):
    return finite_difference(critic, images, None, directions)


def test_the_mean_over_directions_is_r1_of_a_linear_critic():
    critic = Critic(linear, torch.randn(3, 8, 8, dtype=torch.float64), twice=False)
    directions = all_directions()
    image = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    penalty = value(critic, image.expand_as(directions), directions)
    weight = critic.weight.detach()
    torch.testing.assert_close(penalty, weight.square().sum() / 2)
    penalty.backward()
    torch.testing.assert_close(critic.weight.grad, weight)  # and so is its gradient


def test_the_mean_over_directions_is_r1_of_a_quadratic_critic_up_to_the_square_of_the_step(monkeypatch):
    critic = Critic(quadratic, torch.tensor(1.5, dtype=torch.float64), twice=False)
    directions, image = all_directions(), torch.randn(1, 3, 8, 8, dtype=torch.float64)
    r1, errors = 1.5**2 * image.square().sum() / 2, []
    for step in (0.02, 0.01, 0.005):
        monkeypatch.setattr(objectives, "STEP", step)
        penalty = value(critic, image.expand_as(directions), directions)
        errors.append((penalty - r1).item())
        # By hand: (a x.e + a s ||e||^2 / 2)^2, whose odd terms cancel, with ||e||^2 = N.
        assert errors[-1] == pytest.approx(1.5**2 * step**2 * PIXELS**2 / 8, rel=1e-6)
    assert errors[0] / errors[1] == pytest.approx(4, rel=1e-6) and errors[1] / errors[2] == pytest.approx(4, rel=1e-6)


def test_directions_that_are_standard_normal_give_r1_on_average():
    critic, images = Critic(linear, twice=False), torch.randn(4000, 3, 8, 8)
    r1 = critic.weight.detach().square().sum().item() / 2
    # (w.e)^2 has the relative standard deviation sqrt(2); differences of scores lose some digits in fp32.
    assert value(critic, images, torch.randn_like(images)).item() == pytest.approx(r1, rel=5 * (2 / 4000) ** 0.5)


def test_it_is_taken_at_real_and_at_generated_images(config):
    critic, real, fake = Critic(linear, twice=False), torch.zeros(4, 3, 8, 8), torch.ones(4, 3, 8, 8)
    assert len(penalty_values(critic, real, fake, config(penalty="finite_difference"))) == 2
    near = [{round(images.mean().item()) for images in critic.seen[start : start + 2]} for start in (0, 2)]
    assert near == [{0}, {1}]


def test_both_scores_of_an_image_are_of_the_same_augmentation(config):
    """Otherwise the difference would be that of two augmentations, a hundred times as large."""
    critic, ones = Critic(linear, torch.ones(3, 8, 8), twice=False), torch.ones(64, 3, 8, 8)
    values = penalty_values(critic, ones, ones, config("translation", "cutout", "color", penalty="finite_difference"))
    assert all(0 < one.item() < 5 * PIXELS for one in values)


class Once(torch.autograd.Function):
    """The squared norm of each image, which cannot be differentiated twice: as a fused attention kernel."""

    @staticmethod
    def forward(ctx, images):
        ctx.save_for_backward(images)
        return images.square().sum((1, 2, 3))

    @staticmethod
    @once_differentiable
    def backward(ctx, upper):
        (images,) = ctx.saved_tensors
        return 2 * images * upper.view(-1, 1, 1, 1)


def test_no_second_derivative_is_needed(config):
    def formula(images, weight):
        return Once.apply(images * weight).square()  # so that the second derivative passes through it

    real, fake = torch.randn(4, 3, 8, 8), torch.randn(4, 3, 8, 8)
    critic = Critic(formula, twice=False)
    sum(penalty_values(critic, real, fake, config(penalty="finite_difference"))).backward()
    assert critic.weight.grad.isfinite().all() and critic.weight.grad.any()
    with pytest.raises(RuntimeError, match="differentiate twice"):
        sum(penalty_values(Critic(formula), real, fake, config(penalty="r1"))).backward()


# ---- registry ----
@pytest.mark.parametrize("name", PENALTIES)
def test_names_give_their_penalties(cell, config, name):
    made = build(cell("digits", "full").network, config(penalty=name, penalty_target=2.5), torch.device("cpu")).penalty
    assert made is load_attribute(PENALTIES[name])


def test_without_a_penalty_none_is_built(cell, config):
    assert build(cell("digits", "full").network, config(penalty="none"), torch.device("cpu")).penalty is None
