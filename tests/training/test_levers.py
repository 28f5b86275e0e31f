"""What makes a step fast or small must not change its gradients: each lever against the plain step, on every weight of
both networks.
"""

import pytest
import torch

from pipeline.networks.transgan.attention import RelativePosition
from pipeline.training.execution import StepNetwork
from pipeline.training.state import build
from pipeline.training.step import discriminator_gradients, generator_gradients

REAL = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture
def gradients(cell, settings):
    """(variant, **settings) -> flat gradients of D's whole loss and of G's, at the same weights and random numbers."""

    def compute(variant="full", **changes):
        config = settings(**changes)
        torch.manual_seed(3)
        networks = build(cell("digits", variant).network, config, torch.device("cpu"))
        with torch.no_grad():
            networks.discriminator.head.weight.normal_()  # as initialised the scores are nearly flat
            for module in networks.discriminator.modules():
                if isinstance(module, RelativePosition):
                    module.table.normal_()
        torch.manual_seed(5)
        discriminator_gradients(networks, REAL, config, weight=config.penalty_weight)
        first = flat(networks.discriminator)
        generator_gradients(networks, config, real=REAL)
        return first, flat(networks.generator)

    return compute


def flat(module):
    assert all(
        parameter.grad is not None and parameter.grad.dtype == torch.float32 for parameter in module.parameters()
    )
    return torch.cat([parameter.grad.flatten() for parameter in module.parameters()])


def distance(ours, theirs):
    """Relative L2 distance."""
    return ((ours - theirs).norm() / theirs.norm()).item()


@pytest.mark.parametrize("variant", ["full", "layer_norm", "axis_attention", "nystrom_attention"])
@pytest.mark.parametrize(("parts", "loss"), [(2, "wgan_gp"), (8, "hinge")])
def test_parts_of_a_batch_add_up_to_the_whole_batch(gradients, variant, parts, loss):
    whole = gradients(variant, loss=loss, drift_weight=0.5)
    divided = gradients(variant, loss=loss, drift_weight=0.5, accumulate=parts)
    assert max(map(distance, divided, whole)) < 2e-6


@pytest.mark.parametrize("variant", ["full", "layer_norm", "axis_attention"])
def test_recomputed_activations_give_the_same_gradients(gradients, variant):
    assert max(map(distance, gradients(variant, recompute=True), gradients(variant))) < 1e-6


def test_recomputing_and_dividing_together_too(gradients):
    assert max(map(distance, gradients(recompute=True, accumulate=4), gradients())) < 2e-6


@pytest.mark.parametrize("variant", ["full", "layer_norm", "nystrom_attention"])
def test_bf16_is_close_to_fp32(gradients, variant):
    # bf16 keeps 8 bits, 0.4 % a rounding; the penalty's second derivative sums many of them.
    penalty_of_d, g = map(distance, gradients(variant, precision="bf16"), gradients(variant))
    assert 1e-4 < penalty_of_d < 0.04 and 1e-4 < g < 0.04


def test_bf16_weights_receive_their_gradients_in_fp32_from_every_part(gradients):
    assert max(map(distance, gradients(precision="bf16", accumulate=4), gradients(precision="bf16"))) < 0.01


def test_bf16_pixels_and_scores_leave_in_fp32(cell, settings):
    networks = build(cell("digits", "full").network, settings(), torch.device("cpu"))
    config = settings(precision="bf16")
    images = StepNetwork(networks.generator, config)(torch.randn(2, networks.generator.latent_dim))
    assert images.dtype == StepNetwork(networks.discriminator, config)(images).dtype == torch.float32


def test_a_bias_is_computed_once_a_step(cell, settings, monkeypatch):
    config, calls = settings(), []
    networks = build(cell("digits", "full").network, config, torch.device("cpu"))
    tables = sum(isinstance(module, RelativePosition) for module in networks.discriminator.modules())
    compute = RelativePosition.compute
    monkeypatch.setattr(RelativePosition, "compute", lambda self: calls.append(self) or compute(self))
    shared = StepNetwork(networks.discriminator, config)
    for _ in range(3):
        shared(REAL).sum().backward()
    shared.finish()
    assert len(calls) == tables and len(set(map(id, calls))) == tables


def test_shared_biases_give_the_gradients_of_separate_ones(cell, settings):
    networks = build(cell("digits", "full").network, settings(), torch.device("cpu"))
    networks.discriminator(REAL).square().sum().backward()
    networks.discriminator(REAL).sum().backward()
    expected = flat(networks.discriminator)
    networks.discriminator.zero_grad()
    shared = StepNetwork(networks.discriminator, settings())
    shared(REAL).square().sum().backward()
    shared(REAL).sum().backward()
    shared.finish()
    torch.testing.assert_close(flat(networks.discriminator), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.nightly
def test_what_the_compiler_traces_equals_eager(gradients, monkeypatch):
    """Both losses whole, the penalty's second derivative included, without the minutes that code generation takes."""
    compiler = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda function, **settings: compiler(function, backend="aot_eager", **settings)
    )
    assert max(map(distance, gradients(execution="compiled"), gradients())) < 1e-5


@pytest.mark.nightly
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_compiled_equals_eager(gradients, precision):
    bound = 2e-5 if precision == "fp32" else 0.02
    assert (
        max(map(distance, gradients(execution="compiled", precision=precision), gradients(precision=precision))) < bound
    )


@pytest.mark.parametrize(
    ("variant", "penalty"), [("sngan", "none"), ("wgan_gp", "gradient_norm"), ("batch_norm", "gradient_norm")]
)
def test_recomputed_batch_norms_give_the_same_gradients_and_statistics(cell, settings, variant, penalty):
    """The running statistics move once a pass, however often activations are computed again."""
    found = []
    for recompute in (False, True):
        config = settings(recompute=recompute, penalty=penalty)
        torch.manual_seed(3)
        networks = build(cell("digits", variant).network, config, torch.device("cpu"))
        generator_gradients(networks, config, real=REAL)
        discriminator_gradients(networks, REAL, config, weight=None if penalty == "none" else 10.0)
        buffers = torch.cat([buffer.flatten().double() for buffer in networks.generator.buffers()])
        found.append((flat(networks.generator), flat(networks.discriminator), buffers))
    assert max(map(distance, *found)) < 1e-6
