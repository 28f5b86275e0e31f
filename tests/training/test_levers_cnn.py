"""What makes a step fast or small must not change its gradients: CNN GANs, as tests/training/test_levers.py does it for
TransGAN. Their networks use batch statistics, which forbid dividing a batch, but for D of the residual GANs.
"""

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
VARIANTS = ["wgan_gp", "sngan", "autogan", "stylegan2"]
NARROW = {"stylegan2": {"channel_base": 64, "channel_max": 16}}


@pytest.fixture(scope="module")
def network(params):
    """Variant -> its networks for the digits, StyleGAN2's narrower."""
    model = {"generator": NARROW, "discriminator": NARROW}
    content = {**params, "variants": {"stylegan2": {"model": model}}}
    return lambda variant: resolve_cell(content, "digits", variant).network


@pytest.fixture
def gradients(network, settings):
    """(variant, **settings) -> by name: gradients of D's whole loss, of G's, and G's buffers, at equal draws."""

    def compute(variant, **changes):
        config = settings(**{"penalty": "r1", "penalty_weight": 1.0} | changes)
        torch.manual_seed(3)
        networks = build(network(variant), config, torch.device("cpu"))
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


def test_parts_of_a_batch_add_up_to_the_whole_batch(gradients):
    whole, divided = (gradients("transformer_g_autogan_d", accumulate=parts) for parts in (1, 4))
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
    spec, config = (
        network(variant),
        settings(lr=1e30, kimg=0.032, ticks=4, snapshots=1, snapshot_images=2),
    )
    plan = TrainPlan(network=spec, train=config, seed=0, code=fingerprint(spec, config))
    images = np.random.default_rng(0).integers(0, 256, (16, 1, 8, 8), dtype=np.uint8)
    outcome = train(plan, images, torch.device("cpu"), Observer())
    assert outcome.status == "diverged" and outcome.detail
    assert all(value.isfinite().all() for value in outcome.networks.generator.state_dict().values())
