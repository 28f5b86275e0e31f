"""Weights of the released code written as a run of this project, their networks given."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from pipeline.base.errors import UserError
from pipeline.base.files import atomic_write, check_sha256, expand_home, sha256, write_json, write_text
from pipeline.base.schema import dump
from pipeline.networks.spec import NetworkSpec
from pipeline.released.checkpoint import nearest, read_checkpoint
from pipeline.released.names import differences, from_released, places
from pipeline.training.config import ImportPlan

NAMED = 3  # differences that a refusal names
RUNNING = ("running_mean", "running_var", "num_batches_tracked")  # of batch norms, no parameters


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
        files[name] = from_released(state, fitting)
        parameters[name] = sum(tensor.numel() for key, tensor in files[name].items() if not key.endswith(RUNNING))
    write_text(out / "network.yaml", dump(spec))
    for name, tensors in files.items():
        with atomic_write(out / f"{name}.safetensors") as temporary:
            save_file({key: tensor.float() for key, tensor in tensors.items()}, temporary)
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
