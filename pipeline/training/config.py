"""Settings of training, as a person writes them in params.yaml (`train`, and the `train` part of overlays)."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.model.spec import NetworkSpec
from pipeline.strict import Strict

Operation = Literal["translation", "cutout", "color", "erase", "hue", "filter"]
Ratio = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class AugmentConfig(Strict):
    """DiffAug (paper 5.1): operations applied in the order listed, each image of each batch with its own draw."""

    policy: list[Operation]                         # [] = no augmentation
    translation_ratio: Ratio                        # largest shift over the side; 0.2 released code, 0.125 DiffAugment
    cutout_ratio: Ratio                             # side of the square over the image's; 0.5
    cutout_probability: Ratio                       # per batch; 0.3 released code, 1.0 DiffAugment
    erase_range: Annotated[list[Ratio], Field(min_length=2, max_length=2)]  # sides of the rectangle over the image's; 0.2 .. 0.7
    erase_probability: Ratio                        # per batch; 0.3 released code
    hue_probability: Ratio                          # per image; 0.5 released code
    filter_probability: Ratio                       # per image and band; 0.25 released code


class TrainConfig(Strict):
    loss: Literal["wgan_gp", "hinge", "non_saturating"]
    penalty_weight: NotNegative                     # lambda of the gradient penalty; 10
    penalty_target: Positive                        # phi, the norm it pulls to; 1
    penalty_interval: Count                         # penalty every so many D steps, weighted by as much; 1 in the paper
    drift_weight: NotNegative                       # times the squared mean score of real images; 1e-3
    lr: Positive                                    # Adam, G and D; 1e-4
    lr_decay: bool                                  # linear to 0 over the run; off in the released scripts
    beta1: Ratio                                    # 0
    beta2: Ratio                                    # 0.99
    clip_norm: Positive                             # largest global gradient norm, G and D separately; 5
    critic_steps: Count                             # D steps per G step; 4 (STL-10: 5)
    batch_generator: Count                          # images per G step; 128
    batch_discriminator: Count                      # real images per D step; 64
    ema_kimg: Positive                              # half-life of G's weight average, in thousands of real images; 500
    ema_rampup: Positive | None                     # half-life at most this share of the images so far; 0.1; null = off
    flip: bool                                      # random horizontal flips of real images
    augment: AugmentConfig
    kimg: Positive | None = None                    # budget: thousands of real images shown to D ...
    generator_steps: Count | None = None            # ... or, exclusively, G steps (the paper: 500,000)
    ticks: Count                                    # lines of history.csv over the whole run
    snapshots: Count                                # fixed-latent grids over the whole run, beside the first at 0
    snapshot_images: Count                          # images per grid
    threads: Count                                  # CPU threads; part of the setting because sums depend on it
    precision: Literal["fp32", "bf16"]              # of matrix products; weights, norms, losses, penalty norm: always fp32
    execution: Literal["eager", "compiled"]         # compiled: torch.compile, minutes before the first step, then faster
    recompute: bool                                 # activation checkpointing: blocks forget activations, compute them again
    accumulate: Count                               # parts a batch is computed in; the gradient is that of the whole batch


def kimg(train: TrainConfig) -> float:
    """The budget in thousands of real images shown to D, whichever way it was given."""
    if train.kimg is not None:
        return train.kimg
    return train.generator_steps * train.critic_steps * train.batch_discriminator / 1000


class TrainPlan(Strict):
    """All a training run depends on beside its images and its code: the content of plan/train/<cell>.yaml."""

    network: NetworkSpec
    train: TrainConfig
    seed: Annotated[int, Field(ge=0)]


def settled(train: TrainConfig) -> TrainConfig:
    """The same settings with the budget in kimg, whichever way it was given."""
    return train.model_copy(update={"kimg": kimg(train), "generator_steps": None})
