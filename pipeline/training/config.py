"""Settings of training, as a person writes them in params.yaml (`train`, and the `train` part of overlays).

This file is outside the fingerprint of a training (`pipeline.plan.fingerprint`), whose plan holds the values: a new
line of `LOSSES` or `PENALTIES` trains nothing again.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.base.schema import Strict
from pipeline.networks.spec import NetworkSpec

# Name -> "module:attribute", as `pipeline.networks.families` reads it.
LOSSES = {
    "wgan_gp": "pipeline.training.objectives:WASSERSTEIN",
    "hinge": "pipeline.training.objectives:HINGE",
    "non_saturating": "pipeline.training.objectives:NON_SATURATING",
    "relativistic": "pipeline.training.objectives:RELATIVISTIC",
}
PENALTIES = {
    "gradient_norm": "pipeline.training.objectives:GRADIENT_NORM",
    "r1": "pipeline.training.objectives:R1",
    "r2": "pipeline.training.objectives:R2",
    "r1_r2": "pipeline.training.objectives:R1_R2",
    "finite_difference": "pipeline.training.objectives:FINITE_DIFFERENCE",
}
NO_PENALTY = "none"
LossName: Any = Literal[tuple(LOSSES)]
PenaltyName: Any = Literal[(*PENALTIES, NO_PENALTY)]

Operation = Literal["translation", "cutout", "color", "erase", "hue", "filter"]
Ratio = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Range = Annotated[list[Ratio], Field(min_length=2, max_length=2)]  # [smallest, largest]


class AugmentConfig(Strict):
    """DiffAug (paper 5.1): operations applied in the order listed, each image of each batch with its own draw."""

    policy: list[Operation]  # [] = no augmentation
    groups: Count | None  # parts of a batch for which cutout and erase decide apart; released code: GPUs, 8
    translation_ratio: Ratio | None  # largest shift over the side; 0.2 released code, 0.125 DiffAugment
    cutout_ratio: Ratio | None  # side of the square over the image's; 0.5
    cutout_probability: Ratio | None  # per batch; 0.3 released code, 1.0 DiffAugment
    erase_range: Range | None  # sides of the rectangle over the image's; 0.2 .. 0.7
    erase_probability: Ratio | None  # per batch; 0.3 released code
    hue_probability: Ratio | None  # per image; 0.5 released code
    filter_probability: Ratio | None  # per image and band; 0.25 released code


# Settings of the augmentation -> the operations that read them: the one they are named after, groups apart.
READ_BY = {"groups": ("cutout", "erase")} | {
    name: (name.partition("_")[0],) for name in AugmentConfig.model_fields if "_" in name
}


class AnnealConfig(Strict):
    """Cosine from the setting's value to the one given here, over the first `share` of the run (R3GAN, appendix)."""

    share: Annotated[float, Field(gt=0, le=1)]  # of the whole run; R3GAN: 20 of 250 million images
    penalty_weight: NotNegative | None = None  # null: stays
    lr: Positive | None = None
    beta2: Ratio | None = None


class TrainConfig(Strict):
    """Settings of a training, as a person writes them under `train`."""

    loss: LossName  # wgan_gp (the paper) | hinge | non_saturating | relativistic
    # on D's slope: gradient_norm (WGAN-GP, the paper) | r1 | r2 | r1_r2 | finite_difference | none
    penalty: PenaltyName
    penalty_weight: NotNegative  # lambda of gradient_norm, 10; gamma of the others
    penalty_target: Positive | None  # phi, the norm that gradient_norm pulls to; 1
    penalty_interval: Count | None  # penalty every so many D steps, weighted by as much; 1 in the paper
    drift_weight: NotNegative  # times the squared mean score of real images; 1e-3
    lr: Positive  # Adam, G and D; 1e-4
    lr_decay: bool  # linear to 0 over the run; off in the released scripts
    beta1: Ratio  # 0
    beta2: Ratio  # 0.99
    clip_norm: Positive | None  # largest global gradient norm, G and D separately; 5; null = no clipping
    critic_steps: Count  # D steps per G step; 4 (STL-10: 5)
    batch_generator: Count  # images per G step; 128
    batch_discriminator: Count  # real images per D step; 64
    keep_generator_gradients: bool  # released code: D's gradients of a G step are added to the next D step
    ema_kimg: Positive | None  # half-life of G's weight average, in thousands of real images; 500; null = no average
    ema_rampup: Positive | None  # half-life at most this share of the images so far; 0.1; null = off
    ema_clock: Literal["real_images", "released"]  # released: one D batch per G step is counted, whatever critic_steps
    flip: bool  # random horizontal flips of real images
    images: Count | None = None  # training images that are used, drawn once for all seeds; null: all
    augment: AugmentConfig
    kimg: Positive | None = None  # budget: thousands of real images shown to D ...
    generator_steps: Count | None = None  # ... or, exclusively, G steps (the paper: 500,000)
    anneal: AnnealConfig | None  # values that move over the first part of a run (R3GAN); null = none
    ticks: Count  # lines of history.csv over the whole run
    snapshots: Count  # fixed-latent grids over the whole run, beside the first at 0
    snapshot_images: Count  # images per grid
    weight_snapshots: Annotated[int, Field(ge=0)]  # averaged generators kept over the whole run, for curves of a metric
    threads: Count  # CPU threads; part of the setting because sums depend on it
    processes: Count = 1  # that share a batch, one GPU each; what is trained is the same but for the order of sums
    # of matrix products (and convolutions); weights, norms, losses, penalty norm are always fp32. fp32 is strict, tf32
    # rounds the factors to 10 bits on a GPU and is fp32 on a CPU, bf16 to 7 bits.
    precision: Literal["fp32", "tf32", "bf16"]
    # compiled: torch.compile, minutes before the first step, then faster; compiled_graphs: CUDA graphs too, needs a GPU
    execution: Literal["eager", "compiled", "compiled_graphs"]
    recompute: bool  # activation checkpointing: blocks forget activations, compute them again
    # Parts a batch is computed in; the gradient is that of the whole batch. auto: 1, doubled while the first iteration
    # does not fit into memory.
    accumulate: Count | Literal["auto"]

    @property
    def parts(self) -> int:
        """Parts a batch is computed in; `auto` begins with one."""
        return 1 if self.accumulate == "auto" else self.accumulate


def kimg(train: TrainConfig) -> float:
    """The budget in thousands of real images shown to D, whichever way it was given."""
    return train.kimg or (train.generator_steps or 0) * train.critic_steps * train.batch_discriminator / 1000


def effective_settings(train: TrainConfig) -> TrainConfig:
    """The settings that a training depends on: the budget in kimg, and null for whatever nothing reads.

    Two trainings with equal effective settings are the same training.
    """
    policy, anneal = set(train.augment.policy), train.anneal
    unread = [name for name, operations in READ_BY.items() if not policy & set(operations)]
    clocks_agree = train.ema_kimg is None or train.critic_steps == 1  # they count the same images
    changes: dict[str, object] = {
        "kimg": kimg(train),
        "generator_steps": None,
        "augment": train.augment.model_copy(update=dict.fromkeys(unread)),
        "ema_rampup": None if train.ema_kimg is None else train.ema_rampup,
        "ema_clock": "real_images" if clocks_agree else train.ema_clock,
    }
    if train.penalty == NO_PENALTY or not (train.penalty_weight or (anneal and anneal.penalty_weight)):
        anneal = anneal and anneal.model_copy(update={"penalty_weight": None})
        changes |= {"penalty": NO_PENALTY, "penalty_weight": 0.0, "penalty_target": None, "penalty_interval": None}
    elif train.penalty != "gradient_norm":
        changes["penalty_target"] = None
    if anneal and {anneal.penalty_weight, anneal.lr, anneal.beta2} == {None}:
        anneal = None
    return train.model_copy(update=changes | {"anneal": anneal})


def same_training(train: TrainConfig) -> TrainConfig:
    """`train` without what decides how fast it is and how much memory it takes, and not what is trained."""
    return train.model_copy(update={"processes": 1, "accumulate": train.parts})


class TrainPlan(Strict):
    """All a training run depends on beside its images: the content of plan/train/<cell>.yaml.

    `code`: a digest per module that computes (`pipeline.plan.fingerprint`).
    """

    network: NetworkSpec
    train: TrainConfig
    seed: Annotated[int, Field(ge=0, lt=2**64)]
    code: dict[str, str]


class ImportPlan(Strict):
    """All that an import depends on: the content of plan/train/<cell>.yaml in place of a `TrainPlan`."""

    dataset: str
    weights: str  # path of the checkpoint
    sha256: str  # of the file, as `plan` found it
    networks: list[NetworkSpec]  # those that were released for the dataset; the file is one of them
