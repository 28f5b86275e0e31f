"""Weights of the released code written as a run of this project, their networks given."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from pipeline.base.errors import UserError
from pipeline.base.files import atomic_write, check_sha256, expand_home, sha256, write_json, write_text
from pipeline.base.schema import dump
from pipeline.networks.spec import NetworkSpec
from pipeline.released.checkpoint import Side, check_fit, discriminator_side, generator_side, nearest, read_checkpoint
from pipeline.training.config import ImportPlan


class DoesNotFit(UserError):
    """A readable file with another network than was asked for; `generator` is its averaged generator's state dict."""

    def __init__(self, message: str, generator: dict[str, Tensor]):
        super().__init__(message)
        self.generator = generator


def import_run(plan: ImportPlan, out: Path) -> dict[str, Any]:
    """The run of a cell whose variant imports its weights; returns the record that is out/run.json.

    Errors: `UserError` where the file is missing or is not the one that the plan was made for; as `import_networks`.
    """
    path = expand_home(plan.weights)
    check_sha256(path, plan.sha256)
    return import_networks(path, dataset=plan.dataset, specs=plan.networks, out=out)


def import_networks(path: Path, *, dataset: str, specs: list[NetworkSpec], out: Path) -> dict[str, Any]:
    """Write the checkpoint `path`, one of the released networks `specs`, to `out`; returns the record.

    Errors: `UserError` where the file cannot be read, `DoesNotFit` where it is none of them; nothing is written then.
    """
    checkpoint = read_checkpoint(path)
    spec = nearest(specs, checkpoint.average, checkpoint.discriminator)
    ours, theirs = generator_side(spec), discriminator_side(spec)
    files: dict[str, tuple[Side, dict[str, Tensor]]] = {"generator_ema": (ours, checkpoint.average)}
    if checkpoint.generator is not None:
        files["generator"] = (ours, checkpoint.generator)
    if checkpoint.discriminator is not None:
        files["discriminator"] = (theirs, checkpoint.discriminator)
    for name, (side, state) in files.items():
        try:
            check_fit(state, side, what=f"{path}: {name} of {dataset}")
        except UserError as error:
            raise DoesNotFit(str(error), checkpoint.average) from None
    write_text(out / "network.yaml", dump(spec))
    for name, (side, state) in files.items():
        with atomic_write(out / f"{name}.safetensors") as temporary:
            save_file(side.convert(state), temporary)
    record = {
        "status": "ok",
        "kimg": None,  # the file does not say how many images were shown
        "parameters_g": _count(ours, checkpoint.average),
        "parameters_d": None if checkpoint.discriminator is None else _count(theirs, checkpoint.discriminator),
        "imported_from": path.name,
        "imported_sha256": sha256(path),
        "released_epoch": checkpoint.epoch,
        "released_best_fid": checkpoint.best_fid,
        "seconds": None,
        "torch": torch.__version__,
    }
    write_json(out / "run.json", record)
    return record


def _count(side: Side, state: dict[str, Tensor]) -> int:
    running = ("running_mean", "running_var", "num_batches_tracked")
    return sum(state[place.name].numel() for place in side.places.values() if not place.name.endswith(running))
