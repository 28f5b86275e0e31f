"""The arithmetic of a training, from its networks' forward passes and its recipe: to compare at equal cost."""

from typing import Any

from pipeline.report import paper

# Passes of D's size per image that a penalty costs: its forward pass, the gradient with respect to the image, and the
# backward pass through both (1 + 1 + 4). Finite differences take two forward and two backward passes (2 + 4).
PENALTY_PASSES = {"gradient_norm": 6, "r1": 6, "r2": 6, "r1_r2": 12, "finite_difference": 6, "none": 0}


def forward_flops(dataset: str, variant: str) -> tuple[float, float] | None:
    """Computed FLOP of G and of D for one image forward; None for networks that were not computed."""
    computed = paper.packaged("cost_geometry.csv")
    found = computed[(computed.dataset == dataset) & (computed.variant == variant)]
    if found.empty:
        return None
    return float(found.iloc[0].flops_g), float(found.iloc[0].flops_d)


def flops_per_kimg(flops: tuple[float, float] | None, train: dict[str, Any] | None) -> float | None:
    """FLOP of a training per thousand real images shown to D; None where networks or recipe are not known.

    A D step: fakes (one pass of G), real and fake images forward and backward (3 passes each), the penalty every so
    many steps. A G step: G forward and backward (3), D forward and the gradient of its input (2). Counted this way, the
    shares of the released CIFAR-10 recipe agree with measured ones: penalty 27 %, G step 30 %, D 26 %, fakes 17 %.
    """
    if flops is None or not train or train["penalty"] not in PENALTY_PASSES:
        return None
    (g, d), batch, batch_g = flops, train["batch_discriminator"], train["batch_generator"]
    passes = PENALTY_PASSES[train["penalty"]] / (train["penalty_interval"] or 1)
    critic = batch * (g + 6 * d + passes * d)
    generator = batch_g * (3 * g + 2 * d)
    return float(critic + generator / train["critic_steps"]) / batch * 1000
