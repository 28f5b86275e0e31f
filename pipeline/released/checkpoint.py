"""Files of the released code, read without running any code that is in them."""

import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.base.errors import UserError
from pipeline.released.names import learned

# best_fid is a numpy number. These make one and can do nothing else; older versions of numpy name the first otherwise.
SCALAR: Any = np.float64(0).__reduce__()[0]
NUMPY: list[Any] = [
    (SCALAR, "numpy.core.multiarray.scalar"),
    (SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
]
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
        with torch.serialization.safe_globals(NUMPY):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        # torch's text goes on for lines and recommends to load unsafely.
        reason = next((line for line in str(error).splitlines() if "GLOBAL" in line or "Unsupported" in line), "")
        raise UserError(f"{path}: holds more than numbers, or is damaged; not loaded {reason}".strip()) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{path}: damaged or no checkpoint ({reason})") from None


def _state(content: Any, path: Path, key: str) -> dict[str, Tensor]:
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"{path}: {key} is no state dict")
    return learned(content)
