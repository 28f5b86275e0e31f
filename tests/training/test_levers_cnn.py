"""What makes a step fast or small must not change its gradients: CNN GANs, as tests/training/test_levers.py does it for
TransGAN. Their presets use batch statistics, which forbid dividing a batch; without those they divide too.
"""

from copy import deepcopy

import numpy as np
import pytest
import torch

from pipeline.plan.config import resolve_cell
from pipeline.plan.fingerprint import fingerprint
from pipeline.training.config import TrainPlan
from pipeline.training.loop import Observer, train
from pipeline.training.state import build
from pipeline.training.step import discriminator_gradients, generator_gradients

REAL = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
NARROW = {"channel_base": 64, "channel_max": 16}
VARIANTS = {  # small networks of the presets for the digits
    "wgan_gp": {"generator": {"width": 16}, "discriminator": {"width": 16}},
    "sngan": {"generator": {"width": 16}, "discriminator": {"width": 16}},
    "autogan": {"generator": {"width": 16}, "discriminator": {"width": 16}},
    "stylegan2": {"generator": NARROW, "discriminator": NARROW},
}
UNDIVIDED = {  # the same without batch statistics
    "wgan_gp": {"generator": {"norm": "none", "rgb_norm": "none"}},
    "sngan": {"generator": {"norm": "none", "rgb_norm": "none"}},
    "stylegan2": {"discriminator": {"minibatch_group": 0}},
}


@pytest.fixture(scope="module")
def network(params):
    """(variant, whether batch statistics are taken out) -> small networks for 8 x 8."""

    def resolve(variant, *, divisible=False):
        content = deepcopy(params)
        model = {name: dict(VARIANTS[variant][name]) for name in ("generator", "discriminator")}
        for name, settings in UNDIVIDED[variant].items() if divisible else ():
            model[name] |= settings
        family = "stylegan2" if variant == "stylegan2" else "resnet"
        model = {name: {family: settings} for name, settings in model.items()}
        content["variants"] = {"small": {"like": variant, "model": model}}
        return resolve_cell(content, "digits", "small").network

    return resolve


@pytest.fixture
def gradients(network, settings):
    """(variant, **settings) -> by name: gradients of D's whole loss, of G's, and G's buffers, at equal draws."""

    def compute(variant, divisible=False, **changes):
        config = settings(**{"penalty": "r1", "penalty_weight": 1.0} | changes)
        torch.manual_seed(3)
        networks = build(network(variant, divisible=divisible), config, torch.device("cpu"))
        torch.manual_seed(5)
        discriminator_gradients(networks, REAL, config, weight=config.penalty_weight)
        first = named(networks.discriminator)
        generator_gradients(networks, config, real=REAL)
        return first, named(networks.generator), dict(networks.generator.named_buffers())

    return compute


def named(module):
    """Gradients by name, without those of noise: its draws are other ones where a batch is divided."""
    found = {name: parameter.grad for name, parameter in module.named_parameters() if "noise_strength" not in name}
    assert all(gradient is not None and gradient.dtype == torch.float32 for gradient in found.values())
    return found


def distance(ours, theirs):
    """Relative L2 distance of all gradients together."""
    apart = sum((ours[name] - theirs[name]).square().sum() for name in theirs)
    return (apart / sum(gradient.square().sum() for gradient in theirs.values())).sqrt().item()


@pytest.mark.parametrize("variant", UNDIVIDED)
def test_parts_of_a_batch_add_up_to_the_whole_batch(gradients, variant):
    whole, divided = gradients(variant, divisible=True), gradients(variant, divisible=True, accumulate=4)
    assert max(map(distance, divided[:2], whole[:2])) < 1e-5


@pytest.mark.parametrize("variant", VARIANTS)
def test_recomputed_activations_give_the_same_gradients_and_running_statistics(gradients, variant):
    again, plain = gradients(variant, recompute=True), gradients(variant)
    assert max(map(distance, again[:2], plain[:2])) < 1e-5
    for name, value in plain[2].items():
        torch.testing.assert_close(again[2][name], value, msg=name)


@pytest.mark.parametrize("variant", VARIANTS)
def test_bf16_is_close_to_fp32(gradients, variant):
    # 8 bits a rounding; batch norm of small batches and the penalty's second derivative enlarge it.
    of_d, of_g = map(distance, gradients(variant, precision="bf16")[:2], gradients(variant)[:2])
    assert 1e-5 < of_d < 0.1 and 1e-5 < of_g < 0.1


@pytest.mark.nightly
@pytest.mark.parametrize("variant", ["wgan_gp", "sngan", "stylegan2"])
def test_what_the_compiler_traces_equals_eager(gradients, monkeypatch, variant):
    compiler = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda function, **settings: compiler(function, backend="aot_eager", **settings)
    )
    compiled, plain = gradients(variant, execution="compiled"), gradients(variant)
    assert max(map(distance, compiled[:2], plain[:2])) < 1e-4


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_training_that_diverges_ends_with_finite_weights(network, settings, variant):
    spec, config = network(variant), settings(lr=1e30, kimg=0.032, ticks=4, snapshots=1, snapshot_images=2)
    plan = TrainPlan(network=spec, train=config, seed=0, code=fingerprint(spec, config))
    images = np.random.default_rng(0).integers(0, 256, (16, 1, 8, 8), dtype=np.uint8)
    outcome = train(plan, images, torch.device("cpu"), Observer())
    assert outcome.status == "diverged" and outcome.detail
    assert all(value.isfinite().all() for value in outcome.networks.generator.state_dict().values())
