"""R1 and R2, E[||grad D||^2] / 2, of critics whose gradients are known by hand."""

import pytest
import torch

from critics import Critic, linear, mean, penalty_values, quadratic

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
