"""Initial weights of the residual GANs: spreads by layer, as published."""

import math

import pytest
import torch
from torch import nn

from pipeline.networks.interface import build_discriminator, build_generator


@pytest.fixture(scope="module")
def networks(cell):
    """variant -> both networks at full width."""

    def build(variant):
        torch.manual_seed(0)
        spec = cell("cifar10", variant).network
        return {"g": build_generator(spec), "d": build_discriminator(spec)}

    return build


@pytest.mark.parametrize(
    ("variant", "gain", "biases"),
    [("wgan_gp", math.sqrt(2), 0.0), ("sngan", math.sqrt(2), 0.0), ("autogan", 1.0, None)],
)
def test_convolutions_follow_their_scheme(networks, variant, gain, biases):
    """He for 3 x 3 convolutions inside blocks; Glorot for shortcuts, skips and RGB; AutoGAN: Glorot throughout."""
    for network in networks(variant).values():
        for name, layer in network.named_modules():
            if isinstance(layer, nn.Conv2d):
                area = layer.kernel_size[0] ** 2
                inside = name.endswith(("conv1", "conv2"))
                spread = (gain if inside else 1.0) * math.sqrt(2 / (area * (layer.in_channels + layer.out_channels)))
                assert inside == (area == 9 and "to_rgb" not in name)
                assert layer.weight.std().item() == pytest.approx(spread, rel=0.1), name
                assert layer.weight.abs().max().item() <= math.sqrt(3) * spread * (1 + 1e-5)  # uniform
                if biases is not None:
                    assert not layer.bias.any()


@pytest.mark.parametrize("variant", ["wgan_gp", "sngan"])
def test_linear_layers_are_glorot_too(networks, variant):
    for network in networks(variant).values():
        for layer in (module for module in network.modules() if isinstance(module, nn.Linear)):
            spread = math.sqrt(2 / (layer.in_features + layer.out_features))
            assert layer.weight.std().item() == pytest.approx(spread, rel=0.2)


def test_autogans_only_batch_norm_starts_around_1(networks):
    norms = [module for module in networks("autogan")["g"].modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 1 and not norms[0].bias.any()
    assert norms[0].weight.mean().item() == pytest.approx(1.0, abs=0.01)
    assert norms[0].weight.std().item() == pytest.approx(0.02, rel=0.2)


def test_spectral_norm_is_near_from_the_first_score(networks):
    for variant in ("sngan", "autogan"):
        for name, layer in networks(variant)["d"].named_modules():
            if hasattr(layer, "u"):
                norm = torch.linalg.matrix_norm(layer.compute().detach().flatten(1), 2).item()
                assert norm == pytest.approx(1.0, abs=0.1), name
