"""The released networks of each dataset, and the test of whether a state dict is one of them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.base.errors import UserError
from pipeline.networks.interface import build_discriminator, build_generator
from pipeline.networks.spec import NetworkSpec
from pipeline.released.names import Place, differences, discriminator_places, from_released, generator_places

SHOWN = 3  # differences that a refusal names


@dataclass(frozen=True, kw_only=True)
class Side:
    """One network: our tensors' shapes, and their places in the released layout."""

    shapes: dict[str, torch.Size]
    places: dict[str, Place]

    def convert(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """A learned released state dict that fits, in our names and shapes, float32."""
        return {name: tensor.float() for name, tensor in from_released(state, self.places, self.shapes).items()}


def nearest(
    specs: list[NetworkSpec], average: dict[str, Tensor], discriminator: dict[str, Tensor] | None
) -> NetworkSpec:
    """The networks whose generator differs least from a learned state dict, with noise where the files have it."""
    noisy = [with_noise(spec, average, discriminator) for spec in specs]
    return min(noisy, key=lambda spec: len(differences(average, generator_side(spec).places)))


def with_noise(spec: NetworkSpec, average: dict[str, Tensor], discriminator: dict[str, Tensor] | None) -> NetworkSpec:
    """The networks with per-token noise where the files have its strengths: the code of June 2021 had none at 256."""
    generator: Any = spec.generator
    stages = [_noisy_stage(stage, _has_noise(average)) for stage in generator.stages]
    update = {"generator": generator.model_copy(update={"stages": stages})}
    if discriminator is not None:
        other: Any = spec.discriminator
        noise = _has_noise(discriminator)
        stages = [_noisy_stage(stage, noise) for stage in other.stages]
        last = other.cls.model_copy(update={"noise": noise})
        update["discriminator"] = other.model_copy(update={"stages": stages, "cls": last})
    return spec.model_copy(update=update)


def generator_side(spec: NetworkSpec) -> Side:
    """Our generator's tensors and the released names of each, without allocating them."""
    with torch.device("meta"):
        network = build_generator(spec)
        return Side(shapes=_shapes(network), places=generator_places(network, spec))


def discriminator_side(spec: NetworkSpec) -> Side:
    """Our discriminator's tensors and the released names of each, without allocating them."""
    with torch.device("meta"):
        network = build_discriminator(spec)
        return Side(shapes=_shapes(network), places=discriminator_places(network, spec))


def check_fit(state: dict[str, Tensor], side: Side, *, what: str) -> None:
    """Errors: `UserError` in one line, with the first tensors that differ."""
    found = differences(state, side.places)
    if not found:
        return
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    raise UserError(f"{what}: does not fit: {'; '.join(found[:SHOWN])}{more}")


def _has_noise(state: dict[str, Tensor]) -> bool:
    return any(name.endswith("noise_strength_1") for name in state)


def _noisy_stage(stage: Any, noise: bool) -> Any:
    blocks = [block.model_copy(update={"noise": noise}) for block in stage.blocks]
    return stage.model_copy(update={"blocks": blocks})


def _shapes(network: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in network.state_dict().items()}
