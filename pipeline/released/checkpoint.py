"""Files of the released code: read without running code that is in them, and fitted to the networks they may be."""

import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.base.errors import UserError
from pipeline.networks.spec import NetworkSpec
from pipeline.released.names import STATES, State, differences, learned, places

# best_fid is a numpy number. These make one and can do nothing else; older versions of numpy name the first otherwise.
SCALAR: Any = np.float64(0).__reduce__()[0]
NUMPY: list[Any] = [
    (SCALAR, "numpy.core.multiarray.scalar"),
    (SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
]


def read_checkpoint(path: Path) -> tuple[dict[str, State], dict[str, Any]]:
    """Read a released file: its dict of training state, or the bare state dict of a generator.

    Returns its networks by the names of our files, learned tensors alone, and what else the record says of it.
    generator_ema is always there: the weight-averaged generator, or the only one.
    Errors: `UserError` in one line for a file that is missing, damaged, holds code, or holds something else.
    """
    content, average = _load(path), STATES["generator_ema"]
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path}: holds {type(content).__name__}; allowed: a released checkpoint or a state dict")
    if all(isinstance(value, Tensor) for value in content.values()):
        content = {average: content}
    states = {}
    for name, key in STATES.items():
        state = content.get(key)
        if state is None:
            continue
        if not isinstance(state, dict) or not all(
            isinstance(tensor, str) and isinstance(value, Tensor) for tensor, value in state.items()
        ):
            raise UserError(f"{path}: {key} is no state dict (tensors by name)")
        states[name] = learned(state)
    if not {"generator_ema", "generator"} & states.keys():
        given, other = ", ".join(map(str, list(content)[:6])), STATES["generator"]
        raise UserError(f"{path}: holds {given}; allowed: a dict with {average} or {other}, or a state dict")
    states.setdefault("generator_ema", states.get("generator", {}))
    epoch, best = content.get("epoch"), content.get("best_fid")
    return states, {
        "released_epoch": int(epoch) if isinstance(epoch, int | float) else None,  # of D, as the released code counts
        # Of the released code's own measurement during training.
        "released_best_fid": float(best) if isinstance(best, int | float | np.number) else None,
    }


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


def nearest(specs: list[NetworkSpec], states: dict[str, State]) -> tuple[NetworkSpec, list[str]]:
    """The networks whose generator differs least from the checkpoint's, and what differs; none: it fits.

    They have per-token noise where the file has its strengths: the code of June 2021 had none at 256 pixels.
    """
    found, average = [], states["generator_ema"]
    for spec in specs:
        update = {"generator": _with_noise(spec.generator, average)}
        if "discriminator" in states:
            update["discriminator"] = _with_noise(spec.discriminator, states["discriminator"])
        spec = spec.model_copy(update=update)
        found.append((spec, differences(average, places(spec, discriminator=False))))
    return min(found, key=lambda one: len(one[1]))


def _with_noise(network: Any, state: State) -> Any:
    update = {"noise": any(name.endswith("noise_strength_1") for name in state)}
    stages = [
        stage.model_copy(update={"blocks": [block.model_copy(update=update) for block in stage.blocks]})
        for stage in network.stages
    ]
    last = {"cls": network.cls.model_copy(update=update)} if hasattr(network, "cls") else {}
    return network.model_copy(update={"stages": stages, **last})
