"""Recipes: what the rows of CNN GANs and those beyond the paper resolve to, as published."""

import pytest

from pipeline.base.errors import ConfigError
from pipeline.plan.config import load, overridden, resolve_cell
from settings_files import ROOT, copy_settings

TABLE = ["full", "no_augment", "wgan_gp", "wgan_gp_augment", "autogan", "autogan_augment", "stylegan2"]
TABLE += ["stylegan2_augment", "sngan"]
KEYS = "loss penalty penalty_weight penalty_interval lr lr_decay beta1 beta2 critic_steps batch_generator"
KEYS = [*KEYS.split(), "batch_discriminator", "generator_steps", "kimg", "ema_kimg", "ema_rampup", "clip_norm", "flip"]
WGAN_GP = ("wgan_gp", "gradient_norm", 10.0, 1, 2e-4, True, 0.0, 0.9, 5, 128, 64, 100_000, None, None, 0.1, None, False)
SNGAN = ("hinge", "none", None, None, 2e-4, True, 0.0, 0.9, 5, 128, 64, 50_000, None, None, 0.1, None, False)
AUTOGAN = ("hinge", "none", None, None, 2e-4, False, 0.0, 0.9, 5, 128, 64, 50_000, None, 221.7, None, None, False)
R1 = ("non_saturating", "r1")
DIFFAUG = (*R1, 0.1, 16, 2e-3, False, 0.0, 0.99, 1, 32, 32, None, 25_000.0, 1000.0, None, None, True)
ADA = (*R1, 0.01, 16, 2.5e-3, False, 0.0, 0.99, 1, 64, 64, None, 100_000.0, 500.0, 0.05, None, False)
DIFFAUGMENT = ["translation", "cutout", "color"]
PUBLISHED = {  # variant: networks, recipe by KEYS, policy
    "wgan_gp": ("resnet", WGAN_GP, []),
    "wgan_gp_augment": ("resnet", WGAN_GP, DIFFAUGMENT),
    "sngan": ("resnet", SNGAN, []),
    "sngan_augment": ("resnet", SNGAN, DIFFAUGMENT),
    "autogan": ("resnet", AUTOGAN, []),
    "autogan_augment": ("resnet", AUTOGAN, DIFFAUGMENT),
    "stylegan2": ("stylegan2", DIFFAUG, []),
    "stylegan2_augment": ("stylegan2", DIFFAUG, ["color", "cutout"]),
    "stylegan2_ada": ("stylegan2", ADA, []),
}


@pytest.fixture(scope="module")
def paper(params):
    """params.yaml under the profile of the published lengths."""
    return {**params, "profile": "paper"}


@pytest.mark.parametrize("variant", PUBLISHED)
def test_a_row_is_trained_as_published(paper, variant):
    cell, (family, recipe, policy) = resolve_cell(paper, "cifar10", variant), PUBLISHED[variant]
    train = cell.train
    expected = dict(zip(KEYS, recipe, strict=True))
    if expected["penalty"] == "none":  # what nothing reads may be anything
        expected = {key: value for key, value in expected.items() if not key.startswith("penalty_")}
    if expected["ema_kimg"] is None:
        del expected["ema_rampup"]
    assert {key: getattr(train, key) for key in expected} == expected
    assert (cell.network.generator.family, cell.network.discriminator.family) == (family, family)
    assert (train.augment.policy, train.drift_weight, train.keep_generator_gradients) == (policy, 0.0, False)
    assert train.anneal is None


def test_autogans_average_is_0_999_per_step_of_320_images(cell):
    train = cell("cifar10", "autogan").train
    images = train.critic_steps * train.batch_discriminator
    assert 0.5 ** (images / (train.ema_kimg * 1000)) == pytest.approx(0.999, abs=1e-6)


def test_stylegan2s_cutout_is_diffaugments_own(cell):
    augment = cell("cifar10", "stylegan2_augment").train.augment
    assert (augment.cutout_ratio, augment.cutout_probability, augment.groups) == (0.5, 1.0, 1)


@pytest.mark.parametrize("dataset", ["cifar10", "digits"])
@pytest.mark.parametrize("variant", TABLE)
def test_the_augmentation_table_resolves(cell, dataset, variant):
    assert cell(dataset, variant).train.penalty_weight >= 0


@pytest.mark.parametrize("variant", ["wgan_gp", "wgan_gp_augment", "sngan", "autogan", "autogan_augment"])
def test_the_residual_gans_resolve_at_48(cell, variant):
    assert cell("stl10", variant).network.resolution == 48


HYBRIDS = {
    "no_augment": ("transgan", "transgan"),
    "autogan": ("resnet", "resnet"),
    "autogan_g_transformer_d": ("resnet", "transgan"),
    "transformer_g_autogan_d": ("transgan", "resnet"),
}


@pytest.mark.parametrize("dataset", ["digits", "cifar10", "stl10"])
@pytest.mark.parametrize("variant", HYBRIDS)
def test_the_four_combinations_with_autogan(cell, dataset, variant):
    row = cell(dataset, variant)
    assert (row.network.generator.family, row.network.discriminator.family) == HYBRIDS[variant]
    assert row.train.augment.policy == []
    whole = {"transgan": cell(dataset, "no_augment").network, "resnet": cell(dataset, "autogan").network}
    assert row.network.generator == whole[HYBRIDS[variant][0]].generator
    assert row.network.discriminator == whole[HYBRIDS[variant][1]].discriminator


BEYOND = {
    "relativistic": {
        "loss": "relativistic",
        "penalty": "r1_r2",
        "penalty_weight": 0.05,
        "lr": 2e-4,
        "beta1": 0.0,
        "beta2": 0.9,
        "critic_steps": 1,
        "clip_norm": None,
    },
    "lazy_penalty": {"penalty_interval": 16},
    "finite_difference_penalty": {"penalty": "finite_difference", "penalty_weight": 1.0, "penalty_interval": 8},
    "one_critic_step": {
        "loss": "non_saturating",
        "penalty": "r1",
        "penalty_weight": 0.01,
        "lr": 2e-4,
        "beta1": 0.5,
        "beta2": 0.99,
        "critic_steps": 1,
    },
    "long_ema": {"ema_kimg": 2000.0},
}


@pytest.mark.parametrize("variant", BEYOND)
def test_a_row_beyond_the_paper_keeps_fulls_networks(cell, variant):
    row, full = cell("cifar10", variant), cell("cifar10", "full")
    assert row.network == full.network and row.train != full.train
    assert {key: getattr(row.train, key) for key in BEYOND[variant]} == BEYOND[variant]


def test_what_moves_in_them(cell):
    anneal = cell("cifar10", "relativistic").train.anneal
    assert (anneal.share, anneal.penalty_weight, anneal.lr, anneal.beta2) == (0.08, 0.005, 5e-5, 0.99)  # 20 of 250 Mimg
    assert cell("cifar10", "one_critic_step").train.augment.policy == ["color", "translation"]
    assert cell("cifar10", "long_ema").train.ema_kimg == 4 * cell("cifar10", "full").train.ema_kimg


def test_what_overrides_a_base_key_is_the_file_of_the_variant_that_sets_it(cell):
    found = overridden([cell("cifar10", "wgan_gp"), cell("cifar10", "wgan_gp_augment")])
    assert found["train.lr"] == ["conf/variant/wgan_gp.yaml"]
    assert found["train.augment.policy"] == ["conf/variant/wgan_gp.yaml", "conf/variant/wgan_gp_augment.yaml"]


# ---- refusals ----
@pytest.mark.parametrize(
    ("dataset", "mine", "place", "allowed"),
    [
        (
            "digits",
            {"like": "wgan_gp", "model": {"window": 4}},
            "params.yaml: variants.mine.model.window",
            "neither network",
        ),
        (
            "celeba64",
            {"like": "sngan"},
            "conf/variant/sngan.yaml: model.generator.resnet.preset",
            "images of 8 | 32 | 48 pixels a side, which presets are for",
        ),
        (
            "stl10",
            {"like": "stylegan2"},
            "conf/variant/stylegan2.yaml: model.generator.family",
            "8 | 16 | 32 | 64 | 128 | 256",
        ),
        (
            "digits",
            {"like": "sngan", "train": {"accumulate": 2}},
            "params.yaml: variants.mine.train.accumulate",
            "batch statistics",
        ),
        (
            "digits",
            {"like": "stylegan2", "train": {"accumulate": 2}},
            "params.yaml: variants.mine.train.accumulate",
            "1 with",
        ),
        (
            "digits",
            {"like": "stylegan2", "train": {"batch_generator": 6, "batch_discriminator": 6}},
            "params.yaml: variants.mine.train.batch_generator",
            "a multiple of 4",
        ),
        (
            "digits",
            {
                "like": "sngan",
                "model": {"discriminator": {"resnet": {"blocks": [{"width": 8, "downsample": True}] * 4}}},
            },
            "params.yaml: variants.mine.model.discriminator.resnet.blocks.3.downsample",
            "its map of 1 x 1 has no half",
        ),
        (
            "digits",
            {"like": "autogan", "model": {"generator": {"resnet": {"base_side": 3}}}},
            "params.yaml: variants.mine.model.generator.resnet.base_side",
            "a side that 2 doublings take to the resolution, 8",
        ),
    ],
)
def test_networks_that_cannot_be_are_refused(params, dataset, mine, place, allowed):
    with pytest.raises(ConfigError) as error:
        resolve_cell({**params, "variants": {"mine": mine}}, dataset, "mine")
    assert str(error.value).startswith(f"{place}: given ")
    assert allowed in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "key", "allowed"),
    [
        ({"preset": "biggan"}, "preset", "wgan_gp | sngan | autogan"),
        ({"window": 4}, "window", "latent_dim"),
        (
            {"cells": [{"width": 8, "upsample": "cubic", "shortcut": True}]},
            "cells.0.upsample",
            "nearest | bilinear",
        ),
    ],
)
def test_settings_that_a_residual_generator_does_not_have(tmp_path, settings, key, allowed):
    params = copy_settings(tmp_path, {"conf/variant/sngan.yaml:model.generator.resnet": settings})
    with pytest.raises(ConfigError) as error:
        load(params)
    assert str(error.value).startswith(f"conf/variant/sngan.yaml: model.generator.resnet.{key}: given ")
    assert allowed in str(error.value) and "\n" not in str(error.value)


def test_recomputation_is_refused_for_a_family_without_it(params, monkeypatch):
    import pipeline.networks.resnet.spec as family

    content = {**params, "variants": {"mine": {"like": "sngan", "train": {"recompute": True}}}}
    assert resolve_cell(content, "digits", "mine").train.recompute
    monkeypatch.delattr(family, "RECOMPUTES")
    with pytest.raises(ConfigError, match="false: networks of the family resnet") as error:
        resolve_cell(content, "digits", "mine")
    assert error.value.key == "variants.mine.train.recompute"


def test_rows_that_start_from_another_recipe_do_so_in_their_defaults():
    for name in ("wgan_gp", "autogan", "sngan", "stylegan2"):
        assert f"defaults:\n- {name}\n- _self_\n" in (ROOT / f"conf/variant/{name}_augment.yaml").read_text()
