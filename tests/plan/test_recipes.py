"""Recipes: what the rows of CNN GANs and those beyond the paper resolve to, as published; variants like another."""

from copy import deepcopy

import pytest
from omegaconf import OmegaConf

from pipeline.base.errors import ConfigError
from pipeline.plan.config import ineffective, load, resolve_cell
from repository import ROOT

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


# ---- like another ----
@pytest.fixture
def edited(params):
    """(**dotted keys with __ for a dot) -> the content of params.yaml with these values."""

    def make(**changes):
        content = OmegaConf.create(deepcopy(params))
        for key, value in changes.items():
            OmegaConf.update(content, key.replace("__", "."), value)
        return OmegaConf.to_container(content)

    return make


def test_a_variant_starts_from_another_in_every_table(edited):
    content = edited(
        variants__mine={"like": "wgan_gp", "train": {"lr": 0.5}},
        variants__wgan_gp__train__lr=0.25,
        datasets__cifar10__variants={
            "wgan_gp": {"train": {"lr": 0.375, "beta1": 0.125}},
            "mine": {"train": {"beta2": 0.75}},
        },
        profiles__demo__variants={
            "wgan_gp": {"train": {"ticks": 7, "snapshots": 3}},
            "mine": {"train": {"snapshots": 4}},
        },
    )
    content["profile"] = "demo"
    mine, model = (resolve_cell(content, "cifar10", name) for name in ("mine", "wgan_gp"))
    assert mine.network == model.network
    changed = {"lr": 0.5, "beta2": 0.75, "snapshots": 4}
    assert mine.train == model.train.model_copy(update=changed) and model.train.ticks == 7
    assert (model.train.lr, model.train.beta1, model.train.beta2) == (0.375, 0.125, 0.9)


def test_what_shadows_a_base_key_is_said_of_the_variant_that_sets_it(cell):
    cells = [cell("cifar10", "wgan_gp"), cell("cifar10", "wgan_gp_augment")]
    found = ineffective(cells)
    assert found["train.lr"] == ["variants.wgan_gp"]
    assert found["train.augment.policy"] == ["variants.wgan_gp", "variants.wgan_gp_augment"]


@pytest.mark.parametrize(
    ("like", "allowed"),
    [
        ("wgan_ggp", "(did you mean 'wgan_gp'?)"),
        ("mine", "a variant that is not like another itself"),
        ("wgan_gp_augment", "a variant that is not like another itself"),
        (3, "a valid string"),
    ],
)
def test_a_variant_like_none_is_refused(edited, tmp_path, like, allowed):
    OmegaConf.save(OmegaConf.create(edited(variants__mine={"like": like})), tmp_path / "params.yaml")
    with pytest.raises(ConfigError) as error:
        load(tmp_path / "params.yaml")
    assert error.value.key == "variants.mine.like" and allowed in str(error.value) and "\n" not in str(error.value)


# ---- refusals ----
@pytest.mark.parametrize(
    ("dataset", "mine", "key", "allowed"),
    [
        ("digits", {"like": "wgan_gp", "model": {"window": 4}}, "variants.mine.model.window", "neither network is"),
        (
            "celeba64",
            {"like": "sngan"},
            "variants.sngan.model.generator.preset",
            "images of 8 | 32 | 48 pixels a side, which presets are for",
        ),
        ("stl10", {"like": "stylegan2"}, "variants.stylegan2.model.generator.family", "8 | 16 | 32 | 64 | 128 | 256"),
        ("digits", {"like": "sngan", "train": {"accumulate": 2}}, "variants.mine.train.accumulate", "batch statistics"),
        ("digits", {"like": "stylegan2", "train": {"accumulate": 2}}, "variants.mine.train.accumulate", "1 with"),
        (
            "digits",
            {"like": "stylegan2", "train": {"batch_generator": 6, "batch_discriminator": 6}},
            "variants.mine.train.batch_generator",
            "a multiple of 4",
        ),
        (
            "digits",
            {"like": "sngan", "model": {"discriminator": {"blocks": [{"width": 8, "downsample": True}] * 4}}},
            "variants.mine.model.discriminator.blocks.3.downsample",
            "its map of 1 x 1 has no half",
        ),
        (
            "digits",
            {"like": "autogan", "model": {"generator": {"base_side": 3}}},
            "variants.mine.model.generator.base_side",
            "a side that 2 doublings take to the resolution, 8",
        ),
    ],
)
def test_networks_that_cannot_be_are_refused(edited, dataset, mine, key, allowed):
    with pytest.raises(ConfigError) as error:
        resolve_cell(edited(variants__mine=mine), dataset, "mine")
    assert error.value.key == key and allowed in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "key", "allowed"),
    [
        ({"preset": "biggan"}, "variants.sngan.model.generator.preset", "wgan_gp | sngan | autogan"),
        ({"window": 4}, "variants.sngan.model.generator.window", "latent_dim"),
        ({"cells": [{"width": 8, "upsample": "cubic", "shortcut": True}]}, "upsample", "nearest | bilinear"),
    ],
)
def test_settings_that_a_residual_generator_does_not_have(edited, tmp_path, settings, key, allowed):
    content = edited()
    content["variants"]["sngan"]["model"]["generator"] |= settings
    OmegaConf.save(OmegaConf.create(content), tmp_path / "params.yaml")
    with pytest.raises(ConfigError) as error:
        load(tmp_path / "params.yaml")
    assert error.value.key.endswith(key) and allowed in str(error.value) and "\n" not in str(error.value)


def test_recomputation_is_refused_for_a_family_without_it(edited, monkeypatch):
    import pipeline.networks.resnet.family as family

    content = edited(variants__mine={"like": "sngan", "train": {"recompute": True}})
    assert resolve_cell(content, "digits", "mine").train.recompute
    monkeypatch.delattr(family, "RECOMPUTES")
    with pytest.raises(ConfigError, match="false: networks of the family resnet") as error:
        resolve_cell(content, "digits", "mine")
    assert error.value.key == "variants.mine.train.recompute"


def test_the_repositorys_own_recipes_stand_once():
    content = load(ROOT / "params.yaml")
    assert {name for name, entry in content["variants"].items() if "like" in entry} >= {
        "wgan_gp_augment",
        "autogan_augment",
        "stylegan2_augment",
    }
