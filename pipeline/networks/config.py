"""Settings of the two networks, as a person writes them in params.yaml (`model`, and the `model` part of overlays)."""

from typing import Annotated, Any

from pydantic import AfterValidator

from pipeline.base.errors import choices
from pipeline.networks.families import FAMILIES
from pipeline.networks.transgan.config import SharedSettings


def _known(settings: dict[str, Any]) -> dict[str, Any]:
    family = settings.get("family")
    if family is not None and family not in FAMILIES:
        raise ValueError(f"a family of networks: {choices(FAMILIES, family)}")
    return settings


NetworkSettings = Annotated[dict[str, Any], AfterValidator(_known)]  # checked against its family's own schema later


class ModelConfig(SharedSettings):
    """`model` in params.yaml: TransGAN's settings for both networks, then each network's family and settings."""

    generator: NetworkSettings
    discriminator: NetworkSettings
