"""The losses and penalties by name: "module:Class" (see `pipeline.networks.families`). A new one is one line here.

This file is outside the fingerprint of a training (`pipeline.plan.fingerprint`): a new line trains nothing again.
"""

LOSSES = {
    "wgan_gp": "pipeline.training.losses:Wasserstein",
    "hinge": "pipeline.training.losses:Hinge",
    "non_saturating": "pipeline.training.losses:NonSaturating",
    "relativistic": "pipeline.training.losses:Relativistic",
}
PENALTIES = {
    "gradient_norm": "pipeline.training.penalties:GradientNorm",
    "r1": "pipeline.training.penalties:R1",
    "r2": "pipeline.training.penalties:R2",
    "r1_r2": "pipeline.training.penalties:R1R2",
    "finite_difference": "pipeline.training.penalties:FiniteDifference",
}
NO_PENALTY = "none"
