"""What a configuration means for both networks, in plain numbers, before torch is imported.

A spec is canonical: settings that have no effect on a network do not appear in it, so two cells whose specs are equal
have the same networks. The plan stage writes it; the networks are built from nothing else.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, ValidationError, field_validator

from pipeline.base.errors import UserError
from pipeline.base.schema import Strict, allowed
from pipeline.networks.families import FAMILIES, load

Positive = Annotated[int, Field(ge=1)]


class FamilySpec(Strict):
    """One network, resolved. Each family has its own subclass."""

    family: str

    @property
    def batch_statistics(self) -> bool:
        """Whether a result depends on the other images of its batch."""
        return False


class GeneratorSpec(FamilySpec):
    """What every generator has, whatever its family."""

    latent_dim: Positive  # z ~ N(0, I)


class DiscriminatorSpec(FamilySpec):
    """What every discriminator has, whatever its family."""

    @property
    def batch_unit(self) -> int:
        """Batches of training are multiples of it, or smaller: it is the group of a minibatch statistic."""
        return 1


class NetworkSpec(Strict):
    """Both networks of a cell; each may be of another family."""

    resolution: Positive  # pixels a side of an image
    channels: Literal[1, 3]
    generator: SerializeAsAny[GeneratorSpec]
    discriminator: SerializeAsAny[DiscriminatorSpec]

    @field_validator("generator", "discriminator", mode="before")
    @classmethod
    def _of_its_family(cls, content: Any, info: Any) -> Any:
        if not isinstance(content, dict):
            return content
        family = content.get("family")
        if family not in FAMILIES:
            raise ValueError(f"a network whose family is one of {' | '.join(FAMILIES)}")
        schema = getattr(load(family), "GeneratorSpec" if info.field_name == "generator" else "DiscriminatorSpec")
        try:
            return schema.model_validate(content)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            raise ValueError(f"{'.'.join(map(str, problem['loc']))}: {allowed(schema, problem)}") from None

    @property
    def batch_statistics(self) -> bool:
        """Whether a result of either network depends on the other images of its batch."""
        return self.generator.batch_statistics or self.discriminator.batch_statistics


def given_values(settings: Strict) -> dict[str, Any]:
    """The settings that are not null, by name."""
    return {name: value for name, value in settings if value is not None}


class Impossible(UserError):
    """Settings that are fine one by one and do not fit together; `key` is the setting to change."""

    def __init__(self, key: str, given: object, allowed: str):
        super().__init__(f"{key}: given {given!r}; allowed: {allowed}")
        self.key, self.given, self.allowed = key, given, allowed
