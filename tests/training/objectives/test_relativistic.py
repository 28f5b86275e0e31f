"""The relativistic pairing loss against its formula, its gradient by hand, and its pairs."""

import math

import pytest
import torch

from critics import mean
from pipeline.training.objectives.relativistic import Relativistic

REAL = torch.tensor([2.0, -1.0, 0.5, 3.0])
FAKE = torch.tensor([-0.5, 1.5, -3.0, 0.25])


def test_each_fake_is_compared_with_its_own_real_image():
    loss = Relativistic()
    pairs = list(zip(REAL.tolist(), FAKE.tolist(), strict=True))
    of_d = mean(math.log(1 + math.exp(fake - real)) for real, fake in pairs)
    of_g = mean(math.log(1 + math.exp(real - fake)) for real, fake in pairs)
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(of_d)
    assert loss.generator(FAKE, REAL).item() == pytest.approx(of_g)
    assert loss.discriminator(REAL, FAKE.flip(0)).item() != pytest.approx(of_d, rel=0.01)
    order = [2, 0, 3, 1]
    torch.testing.assert_close(loss.discriminator(REAL[order], FAKE[order]), loss.discriminator(REAL, FAKE))


def test_the_gradients_are_sigmoids_of_the_differences():
    real, fake = REAL.clone().requires_grad_(), FAKE.clone().requires_grad_()
    of_real, of_fake = torch.autograd.grad(Relativistic().discriminator(real, fake), (real, fake))
    expected = torch.tensor(
        [1 / (1 + math.exp(r - f)) / len(REAL) for r, f in zip(REAL.tolist(), FAKE.tolist(), strict=True)]
    )
    torch.testing.assert_close(of_real, -expected)
    torch.testing.assert_close(of_fake, expected)
    (of_g,) = torch.autograd.grad(Relativistic().generator(fake, real.detach()), fake)
    torch.testing.assert_close(of_g, expected - 1 / len(REAL))


def test_a_constant_added_to_all_scores_changes_nothing():
    loss = Relativistic()
    torch.testing.assert_close(loss.discriminator(REAL + 7, FAKE + 7), loss.discriminator(REAL, FAKE))
    torch.testing.assert_close(loss.generator(FAKE + 7, REAL + 7), loss.generator(FAKE, REAL))


def test_it_asks_for_scores_of_real_images():
    assert Relativistic().needs_real
