"""Files of the released code: read without running code in them, fitted to the networks they may be, made runs."""

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
from pipeline.base.files import check_sha256, expand_home, sha256, write_json, write_text
from pipeline.base.schema import dump
from pipeline.networks.spec import NetworkSpec
from pipeline.released.names import STATES, State, differences, learned, places
from pipeline.runs.checkpoint import save_weights
from pipeline.training.config import ImportPlan

# best_fid is a numpy number. These make one and can do nothing else; older versions of numpy name the first otherwise.
SCALAR: Any = np.float64(0).__reduce__()[0]
NUMPY: list[Any] = [(SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
NUMPY += [np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType]
NAMED = 3  # differences that a refusal names
RUNNING = ("running_mean", "running_var", "num_batches_tracked")  # of batch norms, no parameters


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
    for name, state in ((name, content[key]) for name, key in STATES.items() if content.get(key) is not None):
        tensors = state.items() if isinstance(state, dict) else [(None, None)]
        if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in tensors):
            raise UserError(f"{path}: {STATES[name]} is no state dict (tensors by name)")
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
    found = []
    for spec in specs:
        for network, name in (("generator", "generator_ema"), ("discriminator", "discriminator")):
            if name in states:
                spec = spec.model_copy(update={network: _with_noise(getattr(spec, network), states[name])})
        found.append((spec, differences(states["generator_ema"], places(spec, discriminator=False))))
    return min(found, key=lambda one: len(one[1]))


def _with_noise(network: Any, state: State) -> Any:
    update = {"noise": any(name.endswith("noise_strength_1") for name in state)}
    blocks = [[block.model_copy(update=update) for block in stage.blocks] for stage in network.stages]
    stages = [stage.model_copy(update={"blocks": own}) for stage, own in zip(network.stages, blocks, strict=True)]
    last = {"cls": network.cls.model_copy(update=update)} if hasattr(network, "cls") else {}
    return network.model_copy(update={"stages": stages, **last})


def import_run(plan: ImportPlan, out: Path) -> dict[str, Any]:
    """The run of a cell whose variant imports its weights; returns the record that is out/run.json.

    Errors: `UserError` where the file is missing or is not the one that the plan was made for; as `import_networks`.
    """
    path = expand_home(plan.weights)
    check_sha256(path, plan.sha256)
    return import_networks(path, dataset=plan.dataset, specs={plan.dataset: plan.networks}, out=out)


def import_networks(path: Path, *, dataset: str, specs: dict[str, list[NetworkSpec]], out: Path) -> dict[str, Any]:
    """Write the checkpoint `path`, one of the networks released for `dataset`, to `out`; returns the record.

    Errors: `UserError` where the file cannot be read, or is none of them; the first tensors that differ are named, and
    another dataset of `specs` whose networks it is. Nothing is written then.
    """
    states, about = read_checkpoint(path)
    spec, misfits = nearest(specs[dataset], states)
    files, parameters = {}, {}
    for name, state in states.items():
        fitting = places(spec, discriminator=name == "discriminator")
        if found := differences(state, fitting):
            more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
            others = [other for other in specs if misfits and not nearest(specs[other], states)[1]]
            hint = f" (it fits {others[0]})" if others else ""
            raise UserError(f"{path}: {name} of {dataset}: does not fit: {'; '.join(found[:NAMED])}{more}{hint}")
        files[name] = {ours: state[at.name].reshape(at.ours) for ours, at in fitting.items()}
        parameters[name] = sum(tensor.numel() for key, tensor in files[name].items() if not key.endswith(RUNNING))
    write_text(out / "network.yaml", dump(spec))
    for name, tensors in files.items():
        save_weights(out / f"{name}.safetensors", {key: tensor.float() for key, tensor in tensors.items()})
    record = {
        "status": "ok",
        "kimg": None,  # the file does not say how many images were shown
        "parameters_g": parameters["generator_ema"],
        "parameters_d": parameters.get("discriminator"),
        "imported_from": path.name,
        "imported_sha256": sha256(path),
        **about,
        "seconds": None,
        "torch": torch.__version__,
    }
    write_json(out / "run.json", record)
    return record
