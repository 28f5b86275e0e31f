"""The state of an unfinished training on disk: exact to the bit, written whole or not at all, never trusted unchecked.

A checkpoint is a pair: `step-<n>.pt` holds the state (tensors, numbers and text, no code: `weights_only`), and
`step-<n>.json` the key of the training and the hash of the state. The JSON is written last. The newest two are kept.
"""

import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from pipeline.base.errors import UserError
from pipeline.base.files import atomic_write, check_sha256, read_json, sha256, write_json
from pipeline.runs.work_dirs import stored
from pipeline.training.loop import Outcome

GENERATIONS = 2
NETWORKS = ("generator", "ema", "discriminator", "optimizer_g", "optimizer_d")
# Fields of an Outcome that are stored as they are.
FACTS = ("status", "detail", "kimg", "history", "machine", "grids_kimg", "step", "seconds", "resumed", "processes")


def capture(outcome: Outcome, device: torch.device) -> dict[str, Any]:
    """All that a run goes on from: networks, average, optimisers, random number generators, what was collected so far.

    The order of the real images is a function of seed and position, and the position is a function of the step.
    """
    networks = outcome.networks
    random = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        random["cuda"] = torch.cuda.get_rng_state(device)
    return {
        "states": {name: getattr(networks, name).state_dict() for name in NETWORKS},
        "random": random,
        # What a G step left in D for the next D step, where the setting `keep_generator_gradients` is on.
        "gradients": {n: p.grad for n, p in networks.discriminator.named_parameters() if p.grad is not None},
        "last_good": outcome.last_good,
        "scalars": {name: torch.stack(values) for name, values in outcome.scalars.items()},
        "grids": [torch.from_numpy(grid) for grid in outcome.grids],
        "facts": {name: getattr(outcome, name) for name in FACTS},
    }


def put_back(outcome: Outcome, state: dict[str, Any], device: torch.device) -> None:
    """Make `outcome`, of a freshly begun run, and the random number generators what they were at `capture`."""
    for name, content in state["states"].items():
        getattr(outcome.networks, name).load_state_dict(content)
    for name, parameter in outcome.networks.discriminator.named_parameters():
        kept = state["gradients"].get(name)
        parameter.grad = None if kept is None else kept.to(device)
    outcome.last_good = [{name: one.to(device) for name, one in weights.items()} for weights in state["last_good"]]
    outcome.scalars = {name: list(values.to(device).unbind()) for name, values in state["scalars"].items()}
    outcome.grids = [grid.numpy() for grid in state["grids"]]
    for name, value in state["facts"].items():
        setattr(outcome, name, value)
    torch.set_rng_state(state["random"]["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["random"]["cuda"], device)


def save(folder: Path, state: dict[str, Any], *, key: str, step: int) -> None:
    """Write a generation and remove those before the one before it.

    Errors: OSError where the disk does not take it; older generations are then untouched.
    """
    stem = folder / f"step-{step:09d}"
    with atomic_write(stem.with_suffix(".pt")) as temporary:
        with open(temporary, "wb") as file:
            try:
                torch.save(state, file)
            except RuntimeError as error:  # torch's own words about the file, not the disk's
                raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None
        digest = sha256(temporary)
    write_json(stem.with_suffix(".json"), {"key": key, "step": step, "saved": time.time(), "state_sha256": digest})
    for path in stored(folder)[GENERATIONS:]:
        path.unlink()
        path.with_suffix(".pt").unlink(missing_ok=True)


def save_weights(path: Path, state: dict[str, Tensor]) -> None:
    """A network's state dict as one safetensors file."""
    with atomic_write(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, temporary)


def load(folder: Path, key: str, say: Callable[[str], None]) -> dict[str, Any] | None:
    """The newest checkpoint that is whole and of this very training: the content of its JSON, and its `state`.

    What is passed over (damaged, without its other half, of another training) is said, and why. None where nothing
    usable is left.
    """
    paths = stored(folder)
    for path in paths:
        try:
            content, file = read_json(path), path.with_suffix(".pt")
            if content["key"] != key:
                raise UserError(f"{path}: of another training (key {content['key'][:12]}, this one is {key[:12]})")
            check_sha256(file, content["state_sha256"])
            return {**content, "state": torch.load(file, map_location="cpu", weights_only=True)}
        except (UserError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
            say(f"checkpoint not used: {path.stem}: {' '.join(str(error).split())}")
    if paths:
        say("no checkpoint can be used; training starts from the beginning")
    return None
