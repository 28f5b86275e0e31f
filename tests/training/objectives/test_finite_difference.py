"""The finite-difference penalty: its expectation over directions is R1's value. It takes no second derivative."""

import pytest
import torch
from torch.autograd.function import once_differentiable

from critics import Critic, linear, penalty_values, quadratic
from pipeline.training.objectives import finite_difference as module
from pipeline.training.objectives.finite_difference import FiniteDifference

PIXELS = 3 * 8 * 8


def all_directions() -> torch.Tensor:
    """2 N directions whose mean square is that of N(0, I) along every axis: plus and minus sqrt(N) times each axis."""
    axes = torch.eye(PIXELS, dtype=torch.float64).view(PIXELS, 3, 8, 8) * PIXELS**0.5
    return torch.cat([axes, -axes])


def value(critic, images, directions):
    return FiniteDifference(None).value(critic, images, directions)


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
        monkeypatch.setattr(module, "STEP", step)
        penalty = value(critic, image.expand_as(directions), directions)
        errors.append((penalty - r1).item())
        # By hand: (a x.e + a s ||e||^2 / 2)^2, whose odd terms cancel, with ||e||^2 = N.
        assert errors[-1] == pytest.approx(1.5**2 * step**2 * PIXELS**2 / 8, rel=1e-6)
    assert errors[0] / errors[1] == pytest.approx(4, rel=1e-6) and errors[1] / errors[2] == pytest.approx(4, rel=1e-6)


def test_drawn_directions_are_standard_normal_one_per_image_and_give_r1_on_average():
    critic, images = Critic(linear, twice=False), torch.randn(4000, 3, 8, 8)
    (directions,) = FiniteDifference(None).draw(images)
    assert directions.shape == images.shape
    assert abs(directions.mean().item()) < 5 / images.numel() ** 0.5
    assert directions.square().mean().item() == pytest.approx(1, abs=5 * (2 / images.numel()) ** 0.5)
    r1 = critic.weight.detach().square().sum().item() / 2
    # (w.e)^2 has the relative standard deviation sqrt(2); differences of scores lose some digits in fp32.
    assert value(critic, images, directions).item() == pytest.approx(r1, rel=5 * (2 / 4000) ** 0.5)


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
