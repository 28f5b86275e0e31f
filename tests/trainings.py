"""Fixtures of a training of seconds: the networks of the digits cells, settings of its own, noise for images.

The settings are the recipe common to the released scripts with small batches; params.yaml may be tuned without a word
here.
"""

import math

import numpy as np
import pytest

from pipeline.data.array import write_dataset
from pipeline.plan.fingerprint import fingerprint
from pipeline.training.config import AugmentConfig, TrainConfig, TrainPlan

AUGMENT = AugmentConfig(
    policy=["translation", "cutout", "color"],
    groups=1,
    translation_ratio=0.2,
    cutout_ratio=0.5,
    cutout_probability=0.3,
    erase_range=[0.2, 0.7],
    erase_probability=0.3,
    hue_probability=0.5,
    filter_probability=0.25,
)
TRAIN = TrainConfig(
    loss="wgan_gp",
    penalty="gradient_norm",
    penalty_weight=10.0,
    penalty_target=1.0,
    penalty_interval=1,
    drift_weight=0.001,
    lr=0.001,
    lr_decay=False,
    beta1=0.0,
    beta2=0.99,
    clip_norm=5.0,
    critic_steps=1,
    keep_generator_gradients=False,
    batch_generator=8,
    batch_discriminator=8,
    ema_kimg=10.0,
    ema_rampup=0.1,
    ema_clock="real_images",
    flip=True,
    augment=AUGMENT,
    kimg=0.064,
    anneal=None,
    ticks=4,
    snapshots=2,
    snapshot_images=8,
    weight_snapshots=0,
    threads=1,
    precision="fp32",
    execution="eager",
    recompute=False,
    accumulate=1,
)


@pytest.fixture(scope="session")
def augmentation():
    """(**changes) -> augmentation settings."""
    return lambda **changes: AUGMENT.model_copy(update=changes)


@pytest.fixture(scope="session")
def settings():
    """(**changes) -> training settings: 8 iterations of 8 images, 4 ticks, 2 snapshots unless changed."""
    return lambda **changes: TRAIN.model_copy(update=changes)


@pytest.fixture(scope="session")
def plan(cell, settings):
    """(variant, seed, **changes of the training settings) -> plan."""

    def make(variant: str = "full", seed: int = 0, **changes) -> TrainPlan:
        network, train = cell("digits", variant).network, settings(**changes)
        return TrainPlan(network=network, train=train, seed=seed, code=fingerprint(network, train))

    return make


@pytest.fixture(scope="session")
def images():
    """50 images of noise, (50, 1, 8, 8) uint8."""
    return np.random.default_rng(0).integers(0, 256, (50, 1, 8, 8), dtype=np.uint8)


@pytest.fixture(scope="session")
def data(tmp_path_factory, images):
    """A prepared dataset of those images."""
    folder = tmp_path_factory.mktemp("data") / "digits"
    write_dataset(folder, images, None, {"split": "all"})
    return folder


@pytest.fixture(scope="session")
def uniform():
    """Whether outcomes counted so often can be equally likely: Pearson's statistic within 5 sigma of its mean."""

    def test(counts) -> bool:
        counts = np.asarray(counts, dtype=float)
        free = len(counts) - 1
        return ((counts - counts.mean()) ** 2 / counts.mean()).sum() < free + 5 * math.sqrt(2 * free)

    return test
