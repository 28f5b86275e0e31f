"""StyleGAN2's layers against slow and obvious references."""

import math

import pytest
import torch
import torch.nn.functional as F

from pipeline.networks.stylegan2.networks import (
    Blur,
    EqualisedConvolution,
    EqualisedLinear,
    ModulatedConvolution,
    activation,
    add_minibatch_deviation,
)


def per_sample(module, x, w, *, up):
    """StyleGAN2, equations 1 and 3: a kernel per image, in a loop."""
    rows = []
    for image, latent in zip(x, w, strict=True):
        style = module.affine.weight @ latent / math.sqrt(latent.numel()) + module.affine.bias
        kernel = module.weight / math.sqrt(module.weight[0].numel()) * style[None, :, None, None]
        if module.demodulate:
            kernel = kernel / (kernel.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up:
            out = Blur(1, gain=4.0).to(x.dtype)(F.conv_transpose2d(image[None], kernel.transpose(0, 1), stride=2))
        else:
            out = F.conv2d(image[None], kernel, padding=kernel.shape[-1] // 2)
        rows.append(out)
    return torch.cat(rows)


CASES = [(3, False, True), (3, True, True), (1, False, False)]


@pytest.mark.parametrize(("kernel", "up", "demodulate"), CASES)
def test_modulated_convolution_is_a_kernel_per_image(kernel, up, demodulate):
    module = ModulatedConvolution(6, 3, 4, kernel, up=up, demodulate=demodulate).double()
    x, w = torch.randn(5, 3, 4, 4, dtype=torch.float64), torch.randn(5, 6, dtype=torch.float64)
    out = module(x, w)
    assert out.shape == (5, 4, 8, 8) if up else (5, 4, 4, 4)
    torch.testing.assert_close(out, per_sample(module, x, w, up=up))


@pytest.mark.parametrize(("kernel", "up", "demodulate"), CASES)
def test_so_are_its_first_and_second_derivatives(kernel, up, demodulate):
    module = ModulatedConvolution(6, 3, 4, kernel, up=up, demodulate=demodulate).double()
    x = torch.randn(3, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    w = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    found = []
    for out in (module(x, w), per_sample(module, x, w, up=up)):
        first = torch.autograd.grad(out.tanh().sum(), [x, w], create_graph=True)
        second = torch.autograd.grad(sum(part.square().sum() for part in first), [x, w, *module.parameters()])
        found.append([*first, *second])
    torch.testing.assert_close(*found)


@pytest.mark.parametrize(("batch", "group", "used"), [(8, 4, 4), (6, 4, 3), (3, 4, 3), (5, 4, 1)])
def test_minibatch_deviation_by_loops(batch, group, used):
    x = torch.randn(batch, 2, 3, 3, dtype=torch.float64)
    out, count = add_minibatch_deviation(x, group), batch // used
    torch.testing.assert_close(out[:, :2], x)
    for index in range(batch):
        members = [x[index % count + step * count] for step in range(used)]
        total = 0.0
        for place in range(2 * 3 * 3):
            values = [member.flatten()[place].item() for member in members]
            mean = sum(values) / used
            total += math.sqrt(sum((value - mean) ** 2 for value in values) / used + 1e-8)
        torch.testing.assert_close(out[index, 2], torch.full((3, 3), total / 18, dtype=torch.float64))


def test_minibatch_deviation_can_be_differentiated_twice():
    x = torch.randn(4, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda images: add_minibatch_deviation(images, 2), x)


@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_equalised_linear_learns_equally_fast_in_every_layer(rate):
    """What is stored is N(0, 1 / rate^2); what is used has variance 1 / fan-in; an Adam step moves it by lr x scale."""
    layer = EqualisedLinear(64, 512, bias=1.0, rate=rate)
    used = layer.weight.detach() * layer.scale
    assert layer.weight.std().item() == pytest.approx(1 / rate, rel=0.03)
    assert used.std().item() == pytest.approx(1 / 8, rel=0.03)
    x = torch.randn(2, 64)
    torch.testing.assert_close(layer(x), F.linear(x, used, torch.ones(512)))
    torch.optim.Adam(layer.parameters(), lr=0.1).step(lambda: layer(x).sum().backward())
    moved = (layer.weight.detach() * layer.scale - used).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 0.1 * rate / 8), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("kernel", [1, 3])
def test_equalised_convolution(kernel):
    layer, x = EqualisedConvolution(16, 256, kernel), torch.randn(2, 16, 4, 4)
    assert layer.weight.std().item() == pytest.approx(1, rel=0.05) and not layer.bias.any()
    expected = F.conv2d(x, layer.weight / (4 * kernel), padding=kernel // 2)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_a_convolution_that_halves_filters_first():
    layer, x = EqualisedConvolution(2, 3, 3, down=True), torch.randn(2, 2, 8, 8)
    expected = F.conv2d(Blur(2)(x), layer.weight / math.sqrt(18), layer.bias, stride=2)
    assert layer(x).shape == (2, 3, 4, 4)
    torch.testing.assert_close(layer(x), expected)


def test_the_activation_keeps_the_mean_square_nearly():
    x = torch.randn(100, 1000)
    torch.testing.assert_close(activation(torch.tensor([1.0, -1.0])), torch.tensor([math.sqrt(2), -0.2 * math.sqrt(2)]))
    assert activation(x).square().mean().item() == pytest.approx(1.04, abs=0.02)
