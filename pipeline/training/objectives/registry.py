"""The losses and penalties by name: "module:Class". A new one is one line here.

This file is outside the fingerprint of a training (`pipeline.plan.fingerprint`): a new line trains nothing again.
"""

from importlib import import_module
from typing import Any

LOSSES = {
    "wgan_gp": "pipeline.training.objectives.wasserstein:Wasserstein",
    "hinge": "pipeline.training.objectives.hinge:Hinge",
    "non_saturating": "pipeline.training.objectives.non_saturating:NonSaturating",
    "relativistic": "pipeline.training.objectives.relativistic:Relativistic",
}
PENALTIES = {
    "gradient_norm": "pipeline.training.objectives.gradient_norm:GradientNorm",
    "r1": "pipeline.training.objectives.zero_centred:R1",
    "r2": "pipeline.training.objectives.zero_centred:R2",
    "r1_r2": "pipeline.training.objectives.zero_centred:R1R2",
    "finite_difference": "pipeline.training.objectives.finite_difference:FiniteDifference",
}
NO_PENALTY = "none"


def load(name: str) -> Any:
    """The class that a "module:Class" names."""
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
