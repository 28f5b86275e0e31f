"""What every loss has in common: the drift term, parts that add up, finite gradients. When a step has a penalty."""

import pytest
import torch

from critics import mean
from pipeline.training.objectives.objective import make_objective
from pipeline.training.objectives.registry import LOSSES, PENALTIES, load

REAL, FAKE = torch.tensor([2.0, -1.0, 0.5, 3.0]), torch.tensor([-0.5, 1.5, -3.0, 0.25])


@pytest.mark.parametrize("loss", LOSSES)
def test_drift_is_the_square_of_the_real_batch_mean(config, loss):
    with_drift, without = (
        make_objective(config(loss=loss, drift_weight=weight)).discriminator(REAL, FAKE).item()
        for weight in (0.25, 0.0)
    )
    assert with_drift - without == pytest.approx(0.25 * mean(REAL) ** 2, abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_parts_of_a_batch_add_up_to_the_whole_drift_included(config, loss):
    real, fake = torch.randn(8, requires_grad=True), torch.randn(8, requires_grad=True)
    objective = make_objective(config(loss=loss, drift_weight=0.25))
    whole = objective.discriminator(real, fake)
    parts = [
        objective.discriminator(real[part], fake[part], batch_mean=real.detach().mean())
        for part in (slice(0, 4), slice(4, 8))
    ]
    torch.testing.assert_close(sum(parts) / 2, whole)
    for ours, theirs in zip(
        torch.autograd.grad(sum(parts) / 2, (real, fake)), torch.autograd.grad(whole, (real, fake)), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("loss", LOSSES)
def test_parts_of_the_generators_batch_add_up_too(config, loss):
    fake, real = torch.randn(8, requires_grad=True), torch.randn(8)
    objective = make_objective(config(loss=loss))

    def value(part):
        return objective.loss.generator(fake[part], real[part] if objective.loss.needs_real else None)

    gradients = [
        torch.autograd.grad(total, fake)[0]
        for total in (value(slice(None)), (value(slice(0, 4)) + value(slice(4, 8))) / 2)
    ]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("loss", LOSSES)
def test_scores_far_away_stay_finite(config, loss):
    far, near = torch.tensor([1e4, -1e4], requires_grad=True), torch.tensor([-1e4, 1e4], requires_grad=True)
    objective = make_objective(config(loss=loss))
    total = objective.discriminator(far, near) + objective.loss.generator(near, far)
    gradients = torch.autograd.grad(total, (far, near))
    assert total.isfinite() and all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("loss", LOSSES)
def test_both_losses_pull_the_right_way(config, loss):
    """D gains by scoring real images higher and fakes lower, G by scoring fakes higher."""
    real, fake = torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
    objective = make_objective(config(loss=loss, drift_weight=0.0))
    of_real, of_fake = torch.autograd.grad(objective.discriminator(real, fake), (real, fake))
    (of_g,) = torch.autograd.grad(objective.loss.generator(fake, real.detach()), fake)
    assert (of_real < 0).all() and (of_fake > 0).all() and (of_g < 0).all()


@pytest.mark.parametrize("interval", [1, 3, None])
def test_every_so_many_steps_are_penalised_from_the_first(config, interval):
    objective = make_objective(config(penalty_interval=interval))
    assert [objective.penalised(number) for number in range(7)] == [
        number % (interval or 1) == 0 for number in range(7)
    ]


@pytest.mark.parametrize("changes", [{"penalty": "none"}, {"penalty_weight": 0.0}])
def test_without_a_penalty_or_its_weight_no_step_is_penalised(config, changes):
    objective = make_objective(config(**changes))
    assert objective.penalty is None and not any(objective.penalised(number) for number in range(5))


def test_names_give_their_classes(config):
    for loss, name in LOSSES.items():
        assert type(make_objective(config(loss=loss)).loss) is load(name)
    for penalty, name in PENALTIES.items():
        made = make_objective(config(penalty=penalty, penalty_target=2.5)).penalty
        assert type(made) is load(name) and made.target == 2.5
