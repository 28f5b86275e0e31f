"""StyleGAN2's networks as wholes: wiring against a forward pass written out, noise, state dict, initial weights."""

import pytest
import torch
import torch.nn.functional as F

from pipeline.base.schema import bind
from pipeline.networks.interface import build_discriminator, build_generator
from pipeline.networks.spec import NetworkSpec
from pipeline.networks.stylegan2.networks import Blur, activation, add_minibatch_deviation
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


UPSAMPLE, DOWNSAMPLE = Blur(1, gain=4.0, stride=2, up=True), Blur(1, stride=2)


def styled(layer, x, w):
    out = layer.convolution(x, w)
    return activation(out + layer.noise_strength * layer.noise + layer.bias[:, None, None])


def to_rgb(layer, x, w):
    assert not layer.convolution.demodulate
    return layer.convolution(x, w) + layer.bias[:, None, None]


def test_the_generator_by_hand(build):
    g, _ = build()
    with torch.no_grad():
        for name, parameter in g.named_parameters():
            if "noise_strength" in name:
                parameter.normal_()
    z = torch.randn(3, 64)
    w = z / (z.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()
    for layer in g.mapping:
        w = activation(F.linear(w, layer.weight * 0.01 / layer.weight.shape[1] ** 0.5, layer.bias * 0.01))
    x = styled(g.stages[0].convolutions[0], g.constant.repeat(3, 1, 1, 1), w)
    image = to_rgb(g.stages[0].to_rgb, x, w)
    for stage in g.stages[1:]:
        for layer in stage.convolutions:
            x = styled(layer, x, w)
        image = UPSAMPLE(image) + to_rgb(stage.to_rgb, x, w)
    torch.testing.assert_close(g(z), image, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("preset", ["ada", "small"])
def test_the_discriminator_by_hand(build, preset):
    _, d = build(discriminator={"preset": preset, "minibatch_group": 4})
    images = torch.randn(4, 3, 16, 16)
    x = activation(d.stages[0].from_rgb(images))
    for stage in d.stages:
        before = x
        x = activation(stage.second(activation(stage.first(x))))
        if preset == "small":
            x = (x + F.conv2d(DOWNSAMPLE(before), stage.shortcut.weight / before.shape[1] ** 0.5)) / 2**0.5
    end = d.epilogue
    x = activation(end.convolution(add_minibatch_deviation(x, 4)))
    scores = end.score(activation(end.hidden(x.flatten(1)))).flatten()
    assert [stage.from_rgb is not None for stage in d.stages] == [True, False]
    assert all((stage.shortcut is None) == (preset == "ada") for stage in d.stages)
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
    g, d = build()
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
