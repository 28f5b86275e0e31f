"""Settings of the two networks, as a person writes them: `model` in params.yaml and in the files of conf/.

`model.generator.family` says of which family the generator is, `model.generator.<family>` what it is set to there. So a
variant that names another family needs not undo what a data set sets for the usual one.
"""

from typing import Any, Literal

from pydantic import create_model

from pipeline.base.schema import Strict
from pipeline.networks.families import FAMILIES, load
from pipeline.networks.transgan.spec import SharedSettings

NETWORKS = ("generator", "discriminator")


def _choice(network: str) -> Any:
    """Schema of `model.<network>`: the name of a family, and settings under the names of families."""
    settings = {name: (getattr(load(name), f"{network.capitalize()}Settings"), None) for name in FAMILIES}
    fields: dict[str, Any] = {"family": (Literal[tuple(FAMILIES)], ...), **settings}
    return create_model(f"{network.capitalize()}Choice", __base__=Strict, **fields)


GeneratorChoice = _choice("generator")
DiscriminatorChoice = _choice("discriminator")


class ModelConfig(SharedSettings):
    """`model`: TransGAN's settings for both networks, then each network's family and settings."""

    generator: GeneratorChoice  # type: ignore[valid-type]
    discriminator: DiscriminatorChoice  # type: ignore[valid-type]
