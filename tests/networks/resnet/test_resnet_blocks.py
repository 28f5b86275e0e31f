"""Blocks of the residual GANs against the published order of operations, written out by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pipeline.networks.interface import build_discriminator, build_generator
from pipeline.networks.resnet import spec
from pipeline.networks.resnet.networks import Block, Cell


def conv(layer, x):
    return F.conv2d(x, layer.weight, layer.bias, padding=layer.weight.shape[-1] // 2)


def batch_norm(x, norm):
    """From the definition, with the batch's statistics."""
    mean, variance = x.mean(dim=(0, 2, 3), keepdim=True), x.var(dim=(0, 2, 3), keepdim=True, unbiased=False)
    return (x - mean) / (variance + 1e-5).sqrt() * norm.weight[:, None, None] + norm.bias[:, None, None]


def make_cell(*, side, inputs, width):
    return Cell(spec.Cell(width=width, upsample="nearest", shortcut=True), inputs, side, "batch", [])


def test_a_cell_by_hand():
    cell, x = make_cell(side=8, inputs=3, width=5), torch.randn(4, 3, 4, 4)
    torch.nn.init.normal_(cell.norm1.weight)
    h = F.relu(batch_norm(x, cell.norm1)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    first = conv(cell.conv1, h)
    expected = conv(cell.conv2, F.relu(batch_norm(first, cell.norm2)))
    expected = expected + conv(cell.shortcut, x.repeat_interleave(2, 2).repeat_interleave(2, 3))
    torch.testing.assert_close(cell(x), (first, expected))


def test_a_cell_whose_norm_is_batch_norm_can_be_differentiated_twice():
    cell = make_cell(side=4, inputs=2, width=2).double()
    x = torch.randn(3, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: cell(x)[1].tanh(), x, atol=1e-4)


def test_autogans_cells_are_wired_as_found(cell):
    """Nearest, shortcut; bilinear, shortcut, skip from 1; nearest, no shortcut, skips from 1 and 2."""
    g = build_generator(narrow(cell("cifar10", "autogan").network))
    z = torch.randn(3, 128)
    one, two, three = g.cells

    def up(x, side, mode):
        return F.interpolate(x, size=(side, side), mode=mode)

    x0 = F.linear(z, g.to_map.weight, g.to_map.bias).reshape(3, 8, 4, 4)
    h1 = conv(one.conv1, up(F.relu(x0), 8, "nearest"))
    x1 = conv(one.conv2, F.relu(h1)) + conv(one.shortcut, up(x0, 8, "nearest"))
    h2 = conv(two.conv1, up(F.relu(x1), 16, "bilinear")) + conv(two.skips[0], up(h1, 16, "bilinear"))
    x2 = conv(two.conv2, F.relu(h2)) + conv(two.shortcut, up(x1, 16, "bilinear"))
    h3 = conv(three.conv1, up(F.relu(x2), 32, "nearest"))
    h3 = h3 + conv(three.skips[0], up(h1, 32, "nearest")) + conv(three.skips[1], up(h2, 32, "nearest"))
    x3 = conv(three.conv2, F.relu(h3))
    expected = torch.tanh(conv(g.to_rgb, F.relu(batch_norm(x3, g.norm))))
    assert one.norm1(x0) is x0 and three.shortcut is None
    torch.testing.assert_close(g(z), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("downsample", [True, False])
def test_a_block_of_d_by_hand(first, downsample):
    block = Block(spec.Block(width=4, downsample=downsample), 3, first=first, spectral=False)
    x = torch.randn(2, 3, 6, 6)
    assert block.conv1.out_channels == (4 if first else 3)

    def pool(x):
        return x.reshape(2, -1, 3, 2, 3, 2).mean(dim=(3, 5)) if downsample else x

    out = pool(conv(block.conv2, F.relu(conv(block.conv1, x if first else F.relu(x)))))
    shortcut = conv(block.shortcut, pool(x)) if first else pool(conv(block.shortcut, x))
    torch.testing.assert_close(block(x), out + shortcut)


def test_a_block_of_equal_shapes_adds_its_input():
    block = Block(spec.Block(width=3, downsample=False), 3, first=False, spectral=False)
    x = torch.randn(2, 3, 4, 4)
    assert block.shortcut is None
    torch.testing.assert_close(block(x), x + conv(block.conv2, F.relu(conv(block.conv1, F.relu(x)))))


@pytest.mark.parametrize(("preset", "pooling"), [("wgan_gp", "mean"), ("sngan", "sum"), ("autogan", "sum")])
def test_the_head_pools_as_published(cell, preset, pooling):
    network = narrow(cell("cifar10", preset).network)
    d, images = build_discriminator(network), torch.randn(3, 3, 32, 32)
    x = F.relu(nn.Sequential(*d.blocks)(images))
    assert (network.discriminator.pooling, x.shape[2:]) == (pooling, (8, 8))
    weight = d.head.compute() if preset != "wgan_gp" else d.head.weight
    pooled = x.sum(dim=(2, 3)) if pooling == "sum" else x.sum(dim=(2, 3)) / 64
    torch.testing.assert_close(d(images), F.linear(pooled, weight, d.head.bias).flatten(), rtol=1e-4, atol=1e-5)


def narrow(network, width=8):
    """The same networks with `width` channels everywhere."""
    cells = [cell.model_copy(update={"width": width}) for cell in network.generator.cells]
    blocks = [block.model_copy(update={"width": width}) for block in network.discriminator.blocks]
    generator = network.generator.model_copy(update={"width": width, "cells": cells})
    discriminator = network.discriminator.model_copy(update={"blocks": blocks})
    return network.model_copy(update={"generator": generator, "discriminator": discriminator})
