"""Parameters and multiply-adds of the full-width networks, against figures computed from the released definitions."""

import pytest

from pipeline.generators.describe import describe, lines


@pytest.fixture(scope="module")
def released(cell):
    return lambda dataset: describe(cell(dataset, "full", released=True))


@pytest.mark.parametrize(
    ("dataset", "generator", "discriminator"),
    [("cifar10", 83_312_495, 10_210_400), ("stl10", 168_466_623, 10_341_536), ("church256", 205_291_952, 17_754_569)],
)
def test_parameters_equal_the_released_definitions(released, dataset, generator, discriminator):
    description = released(dataset)
    assert description["generator"]["parameters"] == generator
    assert description["discriminator"]["parameters"] == discriminator


@pytest.mark.parametrize(
    ("dataset", "generator", "discriminator"),
    [("cifar10", 5.39, 1.35), ("stl10", 18.55, 3.38), ("church256", 101.0, 31.9)],
)
def test_multiply_adds_equal_the_released_definitions(released, dataset, generator, discriminator):
    description = released(dataset)
    assert description["generator"]["forward_flops"] / 2e9 == pytest.approx(generator, rel=4e-3)
    assert description["discriminator"]["forward_flops"] / 2e9 == pytest.approx(discriminator, rel=4e-3)


def test_layer_norm_variant_is_the_released_cifar_generator(cell):
    assert describe(cell("cifar10", "layer_norm"))["generator"]["parameters"] == 83_312_495


def test_the_generator_at_256_is_the_released_one(cell):
    stages = describe(cell("church256", "full"))["generator"]["stages"]
    assert [(stage["upsample"], stage["blocks"][0]["width"]) for stage in stages] == [
        ("none", 1024), ("bicubic", 1024), ("bicubic", 1024),
        ("pixel_shuffle", 256), ("pixel_shuffle", 64), ("pixel_shuffle", 16),
    ]  # fmt: skip


@pytest.mark.parametrize("dataset", ["cifar10", "stl10", "celeba64", "celeba128", "celebahq256", "church256"])
@pytest.mark.parametrize(
    "variant",
    ["standard_attention", "nystrom_attention", "axis_attention", "grid_attention", "multiscale", "full", "batch_norm"],
)
def test_every_geometry_builds_and_runs_on_meta(cell, dataset, variant):
    resolved = cell(dataset, variant)
    description = describe(resolved)
    assert description["generator"]["forward_flops"] > 1e9
    text = lines(description)
    assert any(f"{description['generator']['parameters']:,}" in line for line in text)


def test_attention_kinds_have_equal_parameters_without_relative_position(cell):
    kinds = ["standard_attention", "nystrom_attention", "axis_attention", "grid_attention"]
    counts = {describe(cell("church256", kind))["generator"]["parameters"] for kind in kinds}
    assert len(counts) == 1


def test_sparse_attention_costs_less_than_standard_at_256(cell):
    flops = {
        kind: describe(cell("church256", kind))["generator"]["forward_flops"]
        for kind in ("standard_attention", "nystrom_attention", "axis_attention", "grid_attention")
    }
    assert all(flops[kind] < flops["standard_attention"] for kind in flops if kind != "standard_attention")
