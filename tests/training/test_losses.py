"""Each loss against its formula; what all have in common: drift, parts that add up, finite gradients."""

import math

import pytest
import torch

from critics import mean
from pipeline.networks.families import load_attribute
from pipeline.training.config import LOSSES
from pipeline.training.objectives import HINGE, NON_SATURATING, RELATIVISTIC, WASSERSTEIN, discriminator_loss

REAL, FAKE = torch.tensor([2.0, -1.0, 0.5, 3.0]), torch.tensor([-0.5, 1.5, -3.0, 0.25])


@pytest.fixture
def real_scores():
    return torch.tensor([2.0, -1.0, 0.5, 3.0])


@pytest.fixture
def fake_scores():
    return torch.tensor([-0.5, 1.5, -3.0])


# ---- objective ----


def made(name):
    """The loss of that name."""
    return load_attribute(LOSSES[name])


@pytest.mark.parametrize("loss", LOSSES)
def test_drift_is_the_square_of_the_real_batch_mean(loss):
    with_drift, without = (
        discriminator_loss(made(loss), REAL, FAKE, drift_weight=weight).item() for weight in (0.25, 0.0)
    )
    assert with_drift - without == pytest.approx(0.25 * mean(REAL) ** 2, abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_parts_of_a_batch_add_up_to_the_whole_drift_included(loss):
    real, fake = torch.randn(8, requires_grad=True), torch.randn(8, requires_grad=True)
    whole = discriminator_loss(made(loss), real, fake, drift_weight=0.25)
    batch_mean = real.detach().mean()
    parts = [
        discriminator_loss(made(loss), real[part], fake[part], drift_weight=0.25, batch_mean=batch_mean)
        for part in (slice(0, 4), slice(4, 8))
    ]
    torch.testing.assert_close(sum(parts) / 2, whole)
    for ours, theirs in zip(
        torch.autograd.grad(sum(parts) / 2, (real, fake)), torch.autograd.grad(whole, (real, fake)), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("loss", LOSSES)
def test_parts_of_the_generators_batch_add_up_too(loss):
    fake, real, loss = torch.randn(8, requires_grad=True), torch.randn(8), made(loss)

    def value(part):
        return loss.generator(fake[part], real[part] if loss.needs_real else None)

    gradients = [
        torch.autograd.grad(total, fake)[0]
        for total in (value(slice(None)), (value(slice(0, 4)) + value(slice(4, 8))) / 2)
    ]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("loss", LOSSES)
def test_scores_far_away_stay_finite(loss):
    far, near = torch.tensor([1e4, -1e4], requires_grad=True), torch.tensor([-1e4, 1e4], requires_grad=True)
    total = discriminator_loss(made(loss), far, near, drift_weight=0.001) + made(loss).generator(near, far)
    gradients = torch.autograd.grad(total, (far, near))
    assert total.isfinite() and all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("loss", LOSSES)
def test_both_losses_pull_the_right_way(loss):
    """D gains by scoring real images higher and fakes lower, G by scoring fakes higher."""
    real, fake = torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
    of_real, of_fake = torch.autograd.grad(made(loss).discriminator(real, fake), (real, fake))
    (of_g,) = torch.autograd.grad(made(loss).generator(fake, real.detach()), fake)
    assert (of_real < 0).all() and (of_fake > 0).all() and (of_g < 0).all()


# ---- wasserstein ----
def test_both_losses_are_differences_of_means(real_scores, fake_scores):
    loss = WASSERSTEIN
    assert loss.generator(fake_scores, None).item() == pytest.approx(-mean(fake_scores))
    assert loss.discriminator(real_scores, fake_scores).item() == pytest.approx(mean(fake_scores) - mean(real_scores))


# ---- hinge ----
def test_both_losses_equal_their_formulas(real_scores, fake_scores):
    loss = HINGE
    assert loss.generator(fake_scores, None).item() == pytest.approx(-mean(fake_scores))
    of_real, of_fake = (
        mean(max(0, 1 - score) for score in real_scores),
        mean(max(0, 1 + score) for score in fake_scores),
    )
    assert loss.discriminator(real_scores, fake_scores).item() == pytest.approx(of_real + of_fake, abs=1e-6)


# ---- non_saturating ----
def sigmoid(score):
    return 1 / (1 + math.exp(-float(score)))


def test_both_losses_are_cross_entropies(real_scores, fake_scores):
    loss = NON_SATURATING
    of_g = -mean(math.log(sigmoid(score)) for score in fake_scores)
    assert loss.generator(fake_scores, None).item() == pytest.approx(of_g)
    of_real = -mean(math.log(sigmoid(score)) for score in real_scores)
    of_fake = -mean(math.log(1 - sigmoid(score)) for score in fake_scores)
    assert loss.discriminator(real_scores, fake_scores).item() == pytest.approx(of_real + of_fake, abs=1e-6)


# ---- relativistic ----


def test_each_fake_is_compared_with_its_own_real_image():
    loss = RELATIVISTIC
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
    of_real, of_fake = torch.autograd.grad(RELATIVISTIC.discriminator(real, fake), (real, fake))
    expected = torch.tensor(
        [1 / (1 + math.exp(r - f)) / len(REAL) for r, f in zip(REAL.tolist(), FAKE.tolist(), strict=True)]
    )
    torch.testing.assert_close(of_real, -expected)
    torch.testing.assert_close(of_fake, expected)
    (of_g,) = torch.autograd.grad(RELATIVISTIC.generator(fake, real.detach()), fake)
    torch.testing.assert_close(of_g, expected - 1 / len(REAL))


def test_a_constant_added_to_all_scores_changes_nothing():
    loss = RELATIVISTIC
    torch.testing.assert_close(loss.discriminator(REAL + 7, FAKE + 7), loss.discriminator(REAL, FAKE))
    torch.testing.assert_close(loss.generator(FAKE + 7, REAL + 7), loss.generator(FAKE, REAL))


def test_it_asks_for_scores_of_real_images():
    assert RELATIVISTIC.needs_real
