"""Parameters and multiply-adds of the CNN GANs and of TransGAN's four sizes, at full width on the meta device."""

import pytest

from pipeline.generators.describe import describe

CNN = {  # parameters of G and D, forward multiply-adds of both in units of 10^9
    ("cifar10", "wgan_gp"): (1_204_483, 1_053_825, 0.42, 0.27),
    ("cifar10", "sngan"): (4_276_739, 1_053_825, 1.68, 0.27),
    ("cifar10", "autogan"): (4_405_251, 1_053_824, 1.77, 0.27),
    ("cifar10", "stylegan2"): (13_506_963, 13_918_849, 0.69, 0.71),
    ("cifar10", "stylegan2_ada"): (19_947_539, 20_720_641, 4.02, 4.02),
    ("stl10", "sngan"): (4_878_083, 10_141_441, 0.83, 0.36),
    ("stl10", "autogan"): (5_065_731, 1_053_824, 3.97, 0.61),
}
# Widths and depths of Table 4 in the paper's first version; everything else as in the published TransGAN.
SIZES = {"scale_s": 15_529_103, "scale_m": 24_727_431, "scale_l": 49_178_999, "scale_xl": 83_287_407}


@pytest.mark.parametrize(("dataset", "variant"), CNN)
def test_cnn_gans(cell, dataset, variant):
    description = describe(cell(dataset, variant))
    generator, discriminator = description["generator"], description["discriminator"]
    found = (generator["parameters"], discriminator["parameters"])
    assert (*found, *(round(network["forward_flops"] / 2e9, 2) for network in (generator, discriminator))) == CNN[
        dataset, variant
    ]


@pytest.mark.parametrize("variant", SIZES)
def test_sizes_of_transgan(cell, variant):
    assert describe(cell("cifar10", variant))["generator"]["parameters"] == SIZES[variant]


def test_the_largest_size_is_full(cell):
    assert cell("cifar10", "scale_xl").network == cell("cifar10", "full").network
