"""What the released program does: gradients that a G step leaves in D, decisions per group, whole-pixel sides, its EMA
clock.
"""

import copy

import pytest
import torch

from pipeline.runs.checkpoint import capture, put_back
from pipeline.training import augment
from pipeline.training.loop import Outcome
from pipeline.training.state import build, ema_beta, scheduled
from pipeline.training.step import discriminator_gradients, generator_gradients, generator_step

CPU = torch.device("cpu")
REAL = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1


def flat(module):
    return torch.cat([parameter.grad.flatten() for parameter in module.parameters()])


@pytest.fixture
def networks(cell):
    """(**settings) -> networks of the digits' `full` model, with a head that is not flat."""

    def make(config):
        torch.manual_seed(3)
        found = build(cell("digits", "full").network, config, CPU)
        with torch.no_grad():
            found.discriminator.head.weight.normal_()
        return found

    return make


# ---- gradients kept ----
@pytest.mark.parametrize("changes", [{}, {"accumulate": 2}, {"precision": "bf16"}, {"recompute": True}])
def test_what_a_generator_step_leaves_is_added_to_the_next_discriminator_step(networks, settings, changes):
    kept, cleared = settings(keep_generator_gradients=True, **changes), settings(**changes)
    one, other = networks(kept), networks(cleared)
    for made, config in ((one, kept), (other, cleared)):
        torch.manual_seed(5)
        generator_gradients(made, config, real=REAL)
    left = flat(one.discriminator)
    assert all(parameter.grad is None for parameter in other.discriminator.parameters())
    state = torch.get_rng_state()
    discriminator_gradients(one, REAL, kept, weight=10.0)
    torch.set_rng_state(state)
    discriminator_gradients(other, REAL, cleared, weight=10.0)
    torch.testing.assert_close(flat(one.discriminator), flat(other.discriminator) + left, rtol=1e-3, atol=1e-5)
    assert left.norm() > 0.1 * flat(other.discriminator).norm()


def test_what_is_left_is_minus_the_gradient_of_the_mean_score(networks, settings, augmentation):
    config = settings(keep_generator_gradients=True, augment=augmentation(policy=[]))
    found = networks(config)
    torch.manual_seed(5)
    generator_gradients(found, config, real=REAL)
    left = flat(found.discriminator)
    found.discriminator.zero_grad(set_to_none=True)
    torch.manual_seed(5)
    images = found.generator(torch.randn(config.batch_generator, found.generator.latent_dim)).detach()
    (-found.discriminator(images).mean()).backward()
    torch.testing.assert_close(left, flat(found.discriminator), rtol=1e-4, atol=1e-6)


def test_the_generators_own_gradient_is_the_same_either_way(networks, settings):
    found = []
    for keep in (True, False):
        config = settings(keep_generator_gradients=keep)
        made = networks(config)
        torch.manual_seed(5)
        generator_gradients(made, config, real=REAL)
        found.append(flat(made.generator))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def test_a_checkpoint_holds_what_was_left(networks, settings):
    config = settings(keep_generator_gradients=True)
    found = networks(config)
    generator_gradients(found, config, real=REAL)
    generator_step(found, config, real=REAL, ema_beta=0.0)
    left = flat(found.discriminator)
    state = copy.deepcopy(capture(Outcome(networks=found), CPU))
    fresh = Outcome(networks=networks(config))
    put_back(fresh, state, CPU)
    assert torch.equal(flat(fresh.networks.discriminator), left)


# ---- augmentation ----
@pytest.mark.parametrize("operation", ["cutout", "erase"])
def test_a_group_is_cut_whole_or_not_at_all_and_groups_decide_apart(augmentation, operation):
    images = torch.ones(64, 1, 16, 16)
    config = augmentation(policy=[operation], groups=8)
    mixed, counts = 0, []
    for _ in range(60):
        # A rectangle may lie outside the image but for a corner, never wholly.
        cut = (augment.augment(images, config).flatten(1).min(dim=1).values == 0).view(8, 8)
        assert ((cut.sum(dim=1) == 0) | (cut.sum(dim=1) == 8)).all()
        counts.append(cut[:, 0].float().mean().item())
        mixed += 0 < cut[:, 0].sum() < 8
    assert mixed > 30 and sum(counts) / 60 == pytest.approx(0.3, abs=0.1)


def test_one_group_is_one_decision_for_the_batch(augmentation):
    images, config = torch.ones(16, 1, 8, 8), augmentation(policy=["cutout"], groups=1)
    for _ in range(40):
        cut = augment.augment(images, config).flatten(1).min(dim=1).values == 0
        assert cut.all() or not cut.any()


def test_erased_sides_are_whole_pixels_every_one_as_likely(augmentation, uniform):
    images = torch.ones(4096, 1, 20, 20)
    config = augmentation(policy=["erase"], groups=4096, erase_probability=1.0, erase_range=[0.2, 0.4])
    erased = augment.augment(images, config)[:, 0] == 0
    inside = erased[~erased[:, 0].any(1) & ~erased[:, -1].any(1) & ~erased[:, :, 0].any(1) & ~erased[:, :, -1].any(1)]
    heights = inside.any(dim=2).sum(dim=1)
    counts = torch.bincount(heights, minlength=9)[4:9]
    assert heights.min() == 4 and heights.max() == 8
    # A taller one fits inside in fewer places: weigh by that.
    places = torch.tensor([20 - 2 - side + 1 for side in range(4, 9)])
    assert uniform((counts / places * places.float().mean()).tolist())


# ---- weight average and schedule ----
def test_the_released_clock_counts_one_batch_between_two_generator_steps(settings):
    ours = settings(ema_kimg=1.6, ema_rampup=None, critic_steps=4, batch_discriminator=16)
    theirs = ours.model_copy(update={"ema_clock": "released"})
    assert ema_beta(theirs, 10**6) ** 4 == pytest.approx(ema_beta(ours, 10**6))


def test_no_average_is_the_generator_itself(settings):
    assert ema_beta(settings(ema_kimg=None), 10**6) == 0.0


def test_annealed_values_move_by_a_cosine_and_stay_at_their_end(settings):
    from pipeline.training.config import AnnealConfig

    anneal = AnnealConfig(share=0.5, penalty_weight=1.0, lr=0.0001, beta2=None)
    config = settings(lr=0.001, penalty_weight=10.0, beta2=0.9, anneal=anneal)
    start, middle, end, late = (scheduled(config, done) for done in (0.0, 0.25, 0.5, 0.9))
    assert (start.lr, start.penalty_weight, start.beta2) == (0.001, 10.0, 0.9)
    assert middle.lr == pytest.approx(0.00055) and middle.penalty_weight == pytest.approx(5.5)
    assert end == late and end.lr == pytest.approx(0.0001) and end.beta2 == 0.9
    assert scheduled(settings(lr=0.001, lr_decay=True), 0.25).lr == pytest.approx(0.00075)
