"""Files of the released code: read without running code that is in them, and fitted to the networks they may be."""

import pickle
import re
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.base.errors import UserError
from pipeline.networks.interface import build_discriminator, build_generator
from pipeline.networks.spec import NetworkSpec
from pipeline.released.names import (
    Place,
    differences,
    discriminator_places,
    from_released,
    generator_places,
    learned,
)

# best_fid is a numpy number. These make one and can do nothing else; older versions of numpy name the first otherwise.
SCALAR: Any = np.float64(0).__reduce__()[0]
NUMPY: list[Any] = [
    (SCALAR, "numpy.core.multiarray.scalar"),
    (SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
]
NAMED = 3  # differences that a refusal names
AVERAGE, TRAINED, DISCRIMINATOR = "avg_gen_state_dict", "gen_state_dict", "dis_state_dict"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state dicts of a released file: released names, without `module.`, learned tensors alone."""

    average: dict[str, Tensor]  # the weight-averaged generator, or the only one
    generator: dict[str, Tensor] | None
    discriminator: dict[str, Tensor] | None
    epoch: int | None  # of D, as the released code counts
    best_fid: float | None  # of the released code's own measurement during training


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a released file: its dict of training state, or the bare state dict of a generator.

    Errors: `UserError` in one line for a file that is missing, damaged, holds code, or holds something else.
    """
    content = _load(path)
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path}: holds {type(content).__name__}; allowed: a released checkpoint or a state dict")
    if all(isinstance(value, Tensor) for value in content.values()):
        return Checkpoint(
            average=_state(content, path, "file"), generator=None, discriminator=None, epoch=None, best_fid=None
        )
    states = {
        key: _state(content[key], path, key)
        for key in (AVERAGE, TRAINED, DISCRIMINATOR)
        if content.get(key) is not None
    }
    if AVERAGE not in states and TRAINED not in states:
        given = ", ".join(map(str, list(content)[:6]))
        raise UserError(f"{path}: holds {given}; allowed: a dict with {AVERAGE} or {TRAINED}, or a state dict")
    epoch, best = content.get("epoch"), content.get("best_fid")
    return Checkpoint(
        average=states.get(AVERAGE, states.get(TRAINED, {})),
        generator=states.get(TRAINED),
        discriminator=states.get(DISCRIMINATOR),
        epoch=int(epoch) if isinstance(epoch, int | float) else None,
        best_fid=float(best) if isinstance(best, int | float | np.number) else None,
    )


def _load(path: Path) -> Any:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with torch.serialization.safe_globals(NUMPY), warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        # torch's own text goes on for lines and advises to load unsafely or to allow what the file asks for.
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"it asks for {code[1]}" if code else "it is no checkpoint, or damaged"
        raise UserError(f"{path}: holds more than numbers; not loaded: {reason}") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{path}: damaged or no checkpoint ({reason})") from None


def _state(content: Any, path: Path, key: str) -> dict[str, Tensor]:
    """The learned tensors of a state dict. Errors: `UserError` where it is none."""
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    ):
        raise UserError(f"{path}: {key} is no state dict (tensors by name)")
    return learned(content)


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
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    raise UserError(f"{what}: does not fit: {'; '.join(found[:NAMED])}{more}")


def _has_noise(state: dict[str, Tensor]) -> bool:
    return any(name.endswith("noise_strength_1") for name in state)


def _noisy_stage(stage: Any, noise: bool) -> Any:
    blocks = [block.model_copy(update={"noise": noise}) for block in stage.blocks]
    return stage.model_copy(update={"blocks": blocks})


def _shapes(network: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in network.state_dict().items()}
