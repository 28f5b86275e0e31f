"""The loop: what is counted, when it is written down, how a run ends. Counting is tested with steps that do nothing."""

import io

import numpy as np
import pytest
import torch

from pipeline.base.images import to_uint8
from pipeline.runs.checkpoint_schedule import Progress
from pipeline.training import step as steps_module
from pipeline.training.config import TrainPlan, effective_settings, kimg
from pipeline.training.loop import train
from pipeline.training.state import ema_beta

CPU = torch.device("cpu")


def run(plan, images):
    return train(plan, images, CPU, Progress("cell", io.StringIO()))


def weights(outcome):
    networks = outcome.networks
    return {
        f"{name}.{key}": tensor.clone()
        for name in ("generator", "ema", "discriminator")
        for key, tensor in getattr(networks, name).state_dict().items()
    }


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def steps(monkeypatch):
    """Steps that learn nothing; returns the list of what they were called with, in order."""
    calls = []

    def discriminator_step(networks, real, config, *, weight):
        calls.append({"kind": "d", "real": real, "weight": weight, "lr": config.lr})
        number = float(len([call for call in calls if call["kind"] == "d"]))
        scalars = {"score_real": torch.tensor(number), "score_fake": torch.tensor(-1.0)}
        return scalars | ({"penalty": torch.tensor(0.5)} if weight is not None else {})

    def generator_step(networks, config, *, real, ema_beta):
        calls.append({"kind": "g", "real": real, "beta": ema_beta, "lr": config.lr})
        return {"loss_g": torch.tensor(2.0), "gradient_g": torch.tensor(1.0)}

    monkeypatch.setattr(steps_module, "discriminator_step", discriminator_step)
    monkeypatch.setattr(steps_module, "generator_step", generator_step)
    return calls


# ---- counting ----
def test_the_budget_is_counted_in_real_images_rounded_up_to_whole_iterations(plan, images, steps):
    outcome = run(plan(kimg=0.1, critic_steps=3, batch_discriminator=8), images)  # 100 images, 24 an iteration
    assert "".join(call["kind"] for call in steps) == "dddg" * 5
    assert outcome.kimg == pytest.approx(0.12) and outcome.history[-1]["step"] == 5 and outcome.status == "ok"


def test_real_images_come_in_the_order_of_their_positions(plan, steps):
    tagged = np.arange(50, dtype=np.uint8).reshape(50, 1, 1, 1).repeat(8, axis=2).repeat(8, axis=3)
    run(plan(kimg=0.15, critic_steps=2, batch_discriminator=5, flip=False), tagged)
    order = [int(image[0, 0, 0]) for call in steps if call["kind"] == "d" for image in to_uint8(call["real"])]
    assert len(order) == 150 and all(sorted(order[start : start + 50]) == list(range(50)) for start in (0, 50, 100))


def test_a_training_on_a_subset_sees_no_other_image(plan, images, steps):
    run(plan(kimg=0.1, critic_steps=1, batch_discriminator=8, images=5, flip=False), images)
    assert len(torch.cat([call["real"] for call in steps if call["kind"] == "d"]).unique(dim=0)) == 5


def test_the_seed_of_the_plan_decides_the_order(plan, images, steps):
    for seed in (0, 1, 0):
        run(plan(seed=seed, flip=False), images)
    first, other, again = torch.cat([call["real"] for call in steps if call["kind"] == "d"]).split(64)
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("interval", [1, 3, 4])
def test_the_penalty_comes_every_so_many_discriminator_steps_from_the_first(plan, images, steps, interval):
    run(plan(critic_steps=2, penalty_interval=interval), images)
    weights = [call["weight"] for call in steps if call["kind"] == "d"]
    assert weights == [10.0 * interval if number % interval == 0 else None for number in range(8)]


@pytest.mark.parametrize("decay", [False, True])
def test_the_learning_rate_is_constant_or_falls_linearly_to_zero(plan, images, steps, decay):
    run(plan(lr=0.008, lr_decay=decay), images)
    expected = [0.008 * (1 - step / 8) if decay else 0.008 for step in range(8)]
    for kind in "dg":
        assert [call["lr"] for call in steps if call["kind"] == kind] == pytest.approx(expected)


def test_the_weight_average_is_told_the_images_so_far(plan, images, steps):
    settings = plan(critic_steps=2)
    run(settings, images)
    betas = [call["beta"] for call in steps if call["kind"] == "g"]
    assert betas == [ema_beta(settings.train, images) for images in (16, 32, 48, 64)]


def test_a_budget_in_generator_steps_is_the_same_budget_in_kimg(plan, images, steps):
    by_steps = plan(kimg=None, generator_steps=5, critic_steps=4, batch_discriminator=8)
    assert kimg(by_steps.train) == 0.16
    run(by_steps.model_copy(update={"train": effective_settings(by_steps.train)}), images)
    assert [call["kind"] for call in steps].count("g") == 5


def test_no_generator_step_is_added_by_rounding(plan, images, steps):
    by_steps = plan(kimg=None, generator_steps=403, critic_steps=5, batch_discriminator=32, ticks=1, snapshots=1)
    run(by_steps.model_copy(update={"train": effective_settings(by_steps.train)}), images)
    assert [call["kind"] for call in steps].count("g") == 403


# ---- history and grids ----
@pytest.mark.parametrize(
    ("ticks", "expected"), [(1, [8]), (2, [4, 8]), (4, [2, 4, 6, 8]), (8, list(range(1, 9))), (100, list(range(1, 9)))]
)
def test_history_has_the_configured_number_of_rows_evenly_spread_the_last_at_the_end(
    plan, images, steps, ticks, expected
):
    outcome = run(plan(ticks=ticks), images)
    assert [row["step"] for row in outcome.history] == expected
    assert [row["kimg"] for row in outcome.history] == [step * 8 / 1000 for step in expected]


@pytest.mark.parametrize("count", [1, 3, 5, 7])
@pytest.mark.parametrize("total", [7, 11, 20])
def test_uneven_counts_are_spread_as_evenly_as_whole_steps_allow(plan, images, steps, count, total):
    outcome = run(plan(ticks=count, kimg=total * 8 / 1000), images)
    moments = [0, *(row["step"] for row in outcome.history)]
    gaps = np.diff(moments)
    assert len(gaps) == count and moments[-1] == total and gaps.max() - gaps.min() <= 1


def test_a_row_is_the_mean_over_its_tick_of_what_the_steps_reported(plan, images, steps):
    rows = run(plan(ticks=2, penalty_interval=4), images).history
    assert [row["score_real"] for row in rows] == [2.5, 6.5]  # of 1, 2, 3, 4 and 5, 6, 7, 8
    assert [row["wasserstein"] for row in rows] == [3.5, 7.5]
    assert all(row["penalty"] == 0.5 and row["loss_g"] == 2 for row in rows)


def test_the_penalty_is_in_the_history_whichever_discriminator_step_computed_it(plan, images, steps):
    rows = run(plan(critic_steps=4, penalty_interval=4), images).history
    assert [row["penalty"] for row in rows] == [0.5] * len(rows)


def test_grids_start_before_training_and_are_of_the_same_latents_throughout(plan, images, steps):
    outcome = run(plan(snapshots=4), images)
    assert outcome.grids_kimg == [0, 0.016, 0.032, 0.048, 0.064]
    assert all(grid.shape == (8, 1, 8, 8) and grid.dtype == np.uint8 for grid in outcome.grids)
    assert all(np.array_equal(grid, outcome.grids[0]) for grid in outcome.grids)  # nothing was learnt


# ---- real steps ----
@pytest.fixture(scope="module")
def finished(plan, images):
    return run(plan(), images)


def test_training_moves_every_network_and_the_average_follows(plan, images, finished):
    assert finished.status == "ok" and finished.kimg == 0.064
    untrained = weights(run(plan(kimg=0.008, lr=1e-30), images))
    trained = weights(finished)
    for name in ("generator", "ema", "discriminator"):
        assert any(not torch.equal(trained[key], untrained[key]) for key in trained if key.startswith(name))
    average = finished.networks.ema
    latents = torch.randn(8, average.latent_dim, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(finished.grids[-1], to_uint8(average(latents)).numpy())
    assert not np.array_equal(finished.grids[0], finished.grids[-1])
    assert {
        "penalty",
        "score_real",
        "score_fake",
        "loss_d",
        "loss_g",
        "gradient_d",
        "gradient_g",
        "wasserstein",
    } <= finished.history[0].keys()


def test_the_same_plan_gives_the_same_weights_whatever_was_drawn_before(plan, images, finished):
    torch.manual_seed(123)
    again = run(plan(), images)
    assert equal(weights(again), weights(finished)) and again.history == finished.history
    assert all(np.array_equal(one, other) for one, other in zip(again.grids, finished.grids, strict=True))


def test_another_seed_gives_other_weights_and_the_same_latents(plan, images, finished):
    other = run(plan(seed=1), images)
    assert not equal(weights(other), weights(finished)) and other.history != finished.history


@pytest.mark.parametrize("noise", [False, True])
def test_looking_more_often_does_not_change_the_training(plan, images, noise):
    often, rarely = plan(ticks=8, snapshots=8), plan(ticks=1, snapshots=1)
    if noise:
        often, rarely = (noisy(one) for one in (often, rarely))
    assert equal(weights(run(often, images)), weights(run(rarely, images)))


def noisy(plan):
    """The same plan with per-token noise in the generator."""
    content = plan.model_dump()
    for stage in content["network"]["generator"]["stages"]:
        for blocks in stage["blocks"]:
            blocks["noise"] = True
    return TrainPlan.model_validate(content)


# ---- divergence ----
def poison(monkeypatch, name, after, what=float("nan")):
    """From the `after`-th G step on, one weight of the network `name` is not finite."""
    original, count = steps_module.generator_step, [0]

    def generator_step(networks, config, *, real, ema_beta):
        scalars, count[0] = original(networks, config, real=real, ema_beta=ema_beta), count[0] + 1
        if count[0] >= after:
            next(iter(getattr(networks, name).parameters())).data.view(-1)[0] = what
        return scalars

    monkeypatch.setattr(steps_module, "generator_step", generator_step)


def test_a_learning_rate_that_blows_up_ends_as_diverged_with_the_first_weights(plan, images):
    outcome = run(plan(lr=1e30), images)
    assert (outcome.status, outcome.kimg, outcome.history) == ("diverged", 0.0, [])
    assert all(tensor.isfinite().all() for tensor in weights(outcome).values())


@pytest.mark.parametrize(
    ("name", "what"), [("generator", float("nan")), ("ema", float("inf")), ("discriminator", float("nan"))]
)
def test_a_diverged_run_keeps_the_weights_of_the_last_finite_tick(plan, images, monkeypatch, finished, name, what):
    poison(monkeypatch, name, after=6, what=what)
    seen, tick = [], Progress.tick
    monkeypatch.setattr(
        Progress, "tick", lambda self, row, memory: (seen.append(row["kimg"]), tick(self, row, memory))[1]
    )
    outcome = run(plan(), images)  # ticks after 2, 4, 6 and 8 iterations
    assert outcome.status == "diverged" and outcome.kimg == 0.032 and seen == [0.016, 0.032]
    assert outcome.history == finished.history[:2] and outcome.grids_kimg == [0.0, 0.032]
    monkeypatch.undo()
    kept = weights(outcome)
    assert equal(kept, weights(run(plan(kimg=0.032, ticks=2, snapshots=1), images)))


def test_a_loss_that_is_not_finite_ends_the_run_too(plan, images, steps, monkeypatch):
    good = steps_module.discriminator_step

    def discriminator_step(*arguments, **options):
        scalars = good(*arguments, **options)
        return scalars | {"loss_d": torch.tensor(float("inf") if len(steps) > 8 else 1.0)}  # from iteration 5 on

    monkeypatch.setattr(steps_module, "discriminator_step", discriminator_step)
    outcome = run(plan(), images)
    assert outcome.status == "diverged" and [row["step"] for row in outcome.history] == [2, 4]


def test_kimg_and_grids_of_a_diverged_run_are_not_ahead_of_its_weights(plan, images, monkeypatch):
    poison(monkeypatch, "ema", after=3)
    outcome = run(plan(ticks=1, snapshots=4), images)
    assert outcome.status == "diverged" and outcome.history == []
    assert outcome.kimg == 0.0 and outcome.grids_kimg == [0.0]
