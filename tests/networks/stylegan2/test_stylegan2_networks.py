"""StyleGAN2's networks as wholes: wiring against a forward pass written out, noise, state dict, initial weights."""

import pytest
import torch
import torch.nn.functional as F

from pipeline.base.schema import bind
from pipeline.networks.interface import build_discriminator, build_generator
from pipeline.networks.spec import NetworkSpec
from pipeline.networks.stylegan2.layers import Blur, Upsample, activation, normalise
from pipeline.networks.stylegan2.spec import (
    DiscriminatorSettings,
    GeneratorSettings,
    resolve_discriminator,
    resolve_generator,
)


@pytest.fixture
def build():
    """(generator settings, discriminator settings) -> both small networks for images of 16 x 16."""

    def make(generator=None, discriminator=None):
        small = {"preset": "small", "channel_base": 128, "channel_max": 16}
        g = bind(GeneratorSettings, small | (generator or {}), file="")
        d = bind(DiscriminatorSettings, small | (discriminator or {}), file="")
        torch.manual_seed(0)
        spec = NetworkSpec(
            resolution=16,
            channels=3,
            generator=resolve_generator(g, None, resolution=16, channels=3),
            discriminator=resolve_discriminator(d, None, resolution=16, channels=3),
        )
        return build_generator(spec).eval(), build_discriminator(spec)

    return make


def styled(layer, x, w):
    out = layer.convolution(x, *layer.convolution.coefficients(w))
    return activation(out + layer.noise_strength * layer.noise + layer.bias[:, None, None])


def to_rgb(layer, x, w):
    style, factor = layer.convolution.coefficients(w)
    assert factor is None
    return layer.convolution(x, style, None) + layer.bias[:, None, None]


@pytest.mark.parametrize("architecture", ["skip", "residual"])
def test_the_generator_by_hand(build, architecture):
    g, _ = build(generator={"architecture": architecture})
    with torch.no_grad():
        for name, parameter in g.named_parameters():
            if "noise_strength" in name:
                parameter.normal_()
    z = torch.randn(3, 64)
    w = normalise(z)
    for layer in g.mapping:
        w = activation(F.linear(w, layer.weight * 0.01 / layer.weight.shape[1] ** 0.5, layer.bias * 0.01))
    x, image = styled(g.stages[0].convolutions[0], g.constant.repeat(3, 1, 1, 1), w), None
    if architecture == "skip":
        image = to_rgb(g.stages[0].to_rgb, x, w)
    for stage in g.stages[1:]:
        before = x
        for layer in stage.convolutions:
            x = styled(layer, x, w)
        if architecture == "residual":
            shortcut = F.conv2d(Upsample()(before), stage.shortcut.weight / before.shape[1] ** 0.5)
            x = (x + shortcut) / 2**0.5
        else:
            image = Upsample()(image) + to_rgb(stage.to_rgb, x, w)
    if architecture == "residual":
        image = to_rgb(g.stages[-1].to_rgb, x, w)
    torch.testing.assert_close(g(z), image, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("architecture", ["orig", "residual", "skip"])
def test_the_discriminator_by_hand(build, architecture):
    _, d = build(discriminator={"architecture": architecture})
    images = torch.randn(4, 3, 16, 16)
    x, seen = None, images
    for stage in d.stages:
        if stage.from_rgb is not None:
            from_rgb = activation(stage.from_rgb(seen))
            x = from_rgb if x is None else x + from_rgb
        before = x
        x = activation(stage.second(activation(stage.first(x))))
        if architecture == "residual":
            x = (x + F.conv2d(Blur(1, stride=2)(before), stage.shortcut.weight / before.shape[1] ** 0.5)) / 2**0.5
        seen = Blur(1, stride=2)(seen)
    end = d.epilogue
    if architecture == "skip":
        x = x + activation(end.from_rgb(seen))
    x = activation(end.convolution(end.deviation(x)))
    scores = end.score(activation(end.hidden(x.flatten(1)))).flatten()
    assert [stage.from_rgb is not None for stage in d.stages] == [True, architecture == "skip"]
    torch.testing.assert_close(d(images), scores)


def test_noise_is_drawn_in_training_and_fixed_afterwards(build):
    g, _ = build()
    z = torch.randn(2, 64)
    with torch.no_grad():
        for name, parameter in g.named_parameters():
            if "noise_strength" in name:
                assert parameter.item() == 0
                parameter.fill_(0.5)
    assert torch.equal(g(z), g(z))
    g.train()
    assert not torch.equal(g(z), g(z))


def test_every_entry_of_the_state_dict_is_one_that_the_docstring_names(build):
    g, d = build(discriminator={"architecture": "residual"})
    assert {name.split(".")[0] for name in g.state_dict()} == {"mapping", "constant", "stages"}
    layer = "stages.1.convolutions.0"
    assert {name for name in g.state_dict() if name.startswith(f"{layer}.")} == {
        f"{layer}.{name}"
        for name in ("convolution.affine.weight", "convolution.affine.bias", "convolution.weight", "bias", "noise")
    } | {f"{layer}.noise_strength"}
    assert {name for name in d.state_dict() if name.startswith("epilogue.")} == {
        f"epilogue.{layer}.{name}" for layer in ("convolution", "hidden", "score") for name in ("weight", "bias")
    }
    assert {name for name in d.state_dict() if name.startswith("stages.0.")} == {
        f"stages.0.{name}"
        for name in ("from_rgb.weight", "from_rgb.bias", "first.weight", "first.bias", "second.weight", "second.bias")
    } | {"stages.0.shortcut.weight"}


def test_weights_start_as_published(build):
    g, d = build(generator={"channel_max": 64, "channel_base": 1024})
    for name, value in [*g.state_dict().items(), *d.state_dict().items()]:
        if name.endswith("affine.bias"):
            assert (value == 1).all()
        elif name.endswith(("bias", "noise_strength")):
            assert not value.any()
        elif value.numel() > 500:
            assert value.std().item() == pytest.approx(100 if "mapping" in name else 1, rel=0.15), name


@pytest.mark.parametrize("network", [0, 1])
def test_scores_and_pixels_have_gradients_of_every_parameter(build, network):
    g, d = build()
    g.train()
    out = d(g(torch.randn(4, 64)))
    out.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in (g, d)[network].parameters())
