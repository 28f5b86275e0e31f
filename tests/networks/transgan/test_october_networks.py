"""The networks of October 2021: counts, shapes, gradients, parts against loops, refusals.

As wholes they are compared with a second implementation in tests/released/test_october.py.
"""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from october import DISCRIMINATOR, GENERATOR
from pipeline.base.errors import ConfigError
from pipeline.generators.describe import describe
from pipeline.networks.interface import build_discriminator, build_generator
from pipeline.networks.transgan.attention import CrossAttention
from pipeline.networks.transgan.attention_maps import attention_maps
from pipeline.networks.transgan.blocks import resample, smoothing_matrix, to_map, to_tokens
from pipeline.networks.transgan.networks import OverlappingPatches
from pipeline.plan.config import resolve_cell


@pytest.fixture
def resolve(params):
    """Changes of the generator's and the discriminator's settings -> both networks for images of 8 x 8."""

    def make(generator=(), discriminator=()):
        content = copy.deepcopy(params)
        model = {
            "generator": {"transgan": GENERATOR | dict(generator)},
            "discriminator": {"transgan": DISCRIMINATOR | dict(discriminator)},
        }
        content["variants"] = {"small": {"model": {**model, "attention_from": 4, "window": 2}}}
        return resolve_cell(content, "digits", "small").network

    return make


def test_parameters_and_multiply_adds_equal_the_released_definitions(cell):
    description = describe(cell("celebahq256", "celebahq_october"))
    assert description["generator"]["parameters"] == 212_903_275
    assert description["discriminator"]["parameters"] == 13_334_593
    assert description["generator"]["forward_flops"] / 2e9 == pytest.approx(114.1, rel=4e-3)
    patches = 96 * 48 * 128**2 + 96 * 48 * 64**2 + 192 * 192 * 32**2  # not in the figure of 30.6
    assert description["discriminator"]["forward_flops"] / 2e9 == pytest.approx(30.6 + patches / 1e9, rel=1e-3)


def test_gradients_reach_every_parameter_that_the_result_depends_on(resolve):
    generator, discriminator = build_generator(spec := resolve()), build_discriminator(spec)
    images = generator(torch.randn(3, 16))
    assert images.shape == (3, 1, 8, 8)
    scores = discriminator(images)
    assert scores.shape == (3,)
    scores.square().sum().backward()
    unused = {name for name, parameter in generator.named_parameters() if parameter.grad is None}
    assert unused == {
        f"stages.{stage}.blocks.{block}.cross_attention.noise_strength" for stage, block in ((1, 0), (2, 0), (2, 1))
    }
    assert all(parameter.grad is not None for parameter in discriminator.parameters())


def test_recomputing_changes_no_gradient(resolve):
    generator = build_generator(resolve())
    found = []
    for on in (False, True):
        generator.set_recompute(on)
        generator.zero_grad()
        generator(torch.linspace(-1, 1, 32).view(2, 16)).square().sum().backward()
        found.append(generator.stages[1].blocks[0].cross_attention.key.weight.grad.clone())
    torch.testing.assert_close(found[0], found[1])


def test_the_penalty_of_d_has_the_derivative_that_differences_show(resolve):
    """The gradient of ||dD/dx||^2 with respect to the overlapping patches' weights, against central differences."""
    discriminator = build_discriminator(resolve()).double()
    images = torch.randn(2, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    weight = discriminator.stages[0].patches.weight

    def penalty():
        slope = torch.autograd.grad(discriminator(images, twice=True).sum(), images, create_graph=True)[0]
        return slope.square().sum()

    gradient = torch.autograd.grad(penalty(), weight)[0]
    for place in ((0, 0, 0, 0), (3, 0, 2, 3), (15, 0, 1, 1)):
        values = []
        for step in (1e-4, -1e-4):
            with torch.no_grad():
                weight[place] += step
            values.append(penalty().item())
            with torch.no_grad():
                weight[place] -= step
        assert gradient[place].item() == pytest.approx((values[0] - values[1]) / 2e-4, rel=1e-4, abs=1e-7)


def test_the_generator_depends_on_the_latent_sequence_in_every_block(resolve):
    generator = build_generator(resolve())
    z, images = torch.randn(2, 16), []
    for stage in (None, 1, 2):
        changed = copy.deepcopy(generator).eval()
        if stage is not None:
            torch.nn.init.zeros_(changed.stages[stage].blocks[0].cross_attention.value.weight)
        with torch.no_grad():
            images.append(changed(z))
    assert (images[0] - images[1]).abs().max() > 1e-5 and (images[0] - images[2]).abs().max() > 1e-5


def test_cross_attention_against_loops():
    module = CrossAttention(8, 12, heads=2).double()
    x, sequence = torch.randn(2, 5, 8, dtype=torch.float64), torch.randn(2, 3, 12, dtype=torch.float64)
    q, k, v = module.query.weight @ x.mT, module.key.weight @ sequence.mT, module.value.weight @ sequence.mT
    expected = torch.zeros(2, 5, 8, dtype=torch.float64)
    for image in range(2):
        for token in range(5):
            for head in (slice(0, 4), slice(4, 8)):
                scores = torch.stack([q[image, head, token] @ k[image, head, other] / 2 for other in range(3)])
                weights = torch.exp(scores) / torch.exp(scores).sum()
                expected[image, token, head] = sum(weights[other] * v[image, head, other] for other in range(3))
    expected = x + expected @ module.proj.weight.T + module.proj.bias
    torch.testing.assert_close(module(x, sequence), expected)


def test_overlapping_patches_are_the_pixels_around_each_place():
    module, images = OverlappingPatches(2, 1, 3, 5), torch.randn(2, 3, 8, 8)
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    expected = np.empty((2, 16, 5), np.float32)
    for row in range(4):
        for column in range(4):
            pixels = padded[:, :, 2 * row : 2 * row + 4, 2 * column : 2 * column + 4].reshape(2, -1)
            expected[:, row * 4 + column] = pixels @ module.weight.detach().numpy().reshape(5, -1).T
    expected += module.bias.detach().numpy()
    np.testing.assert_allclose(module(images).detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    fan = (3 * 16 + 5 * 16) / 2
    assert OverlappingPatches(2, 1, 3, 4000).weight.std().item() == pytest.approx(
        (2 / (3 * 16 + 4000 * 16)) ** 0.5, rel=0.02
    )
    assert module.weight.abs().max() <= (3 / fan) ** 0.5


def smooth(images):
    side = images.shape[-1]
    return to_map(resample(to_tokens(images), smoothing_matrix(side)), side)


def test_smoothing_is_the_bicubic_filter_pooled_back():
    x = torch.randn(2, 3, 7, 7)
    large = F.interpolate(x, scale_factor=4, mode="bicubic", align_corners=False)
    torch.testing.assert_close(smooth(x), F.avg_pool2d(large, 4), rtol=1e-6, atol=2e-6)


def test_smoothing_is_a_symmetric_blur_that_keeps_constants():
    assert torch.allclose(smooth(torch.full((1, 1, 6, 6), 0.7)), torch.tensor(0.7))
    impulse = torch.zeros(1, 1, 9, 9)
    impulse[0, 0, 4, 4] = 1
    blurred = smooth(impulse)[0, 0]
    assert blurred.sum().item() == pytest.approx(1, abs=1e-5) and 0.3 < blurred[4, 4] < 1
    torch.testing.assert_close(blurred, blurred.flip(0, 1).T)
    assert not blurred[:2].any() and blurred[2, 4] != 0  # two tokens in each direction


def test_attention_can_be_looked_at(resolve):
    spec = resolve()
    found = attention_maps(build_generator(spec).eval(), torch.randn(2, 16), seed=0)
    assert (found.kind, found.stage, found.side, found.window) == ("grid", 2, 8, 2)
    assert found.weights.sum(axis=(-1, -2)) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("generator", "discriminator", "said"),
    [
        (
            {"stages": [*GENERATOR["stages"][:2], {"upsample": "pixel_shuffle", "width": 16, "depth": 0}]},
            {},
            r"stages\.2\.depth: given 0",
        ),
        ({"stages": [GENERATOR["stages"][0] | {"smooth": True}, *GENERATOR["stages"][1:]]}, {}, r"stages\.0\.smooth"),
        ({"stages": GENERATOR["stages"][:2]}, {}, "stages that end at 4 x 4"),
        ({}, {"patch": 3}, r"discriminator.*\.patch: given 3"),
    ],
)
def test_impossible_settings_are_named(resolve, generator, discriminator, said):
    with pytest.raises(ConfigError, match=said):
        resolve(generator, discriminator)
