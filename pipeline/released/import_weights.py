"""Weights of the released code as a run of this project: transgan import-released --dataset cifar10 --weights FILE.pth

The folder that is written can be given to generate, measure and export like a run of our own. Only networks come along:
no history, no optimiser.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from pipeline.config import PARAMS
from pipeline.errors import UserError, command_line
from pipeline.files import atomic_write, sha256, write_json, write_text
from pipeline.model.spec import NetworkSpec
from pipeline.released.checkpoint import read_checkpoint
from pipeline.released.layout import (
    DATASETS,
    Side,
    check_fit,
    discriminator_side,
    fitting_datasets,
    generator_side,
    nearest,
    released_specs,
)
from pipeline.schema import dump


class DoesNotFit(UserError):
    """A readable file with another network than was asked for; `generator` is its averaged generator's state dict."""

    def __init__(self, message: str, generator: dict[str, Tensor]):
        super().__init__(message)
        self.generator = generator


def import_weights(path: Path, *, dataset: str, out: Path, params: str = PARAMS) -> dict[str, Any]:
    """Write the released checkpoint `path` of `dataset` as the run `out`; returns the record that is out/run.json.

    Everything is checked before anything is written.
    Errors: `UserError` where the file cannot be read, does not fit (the first tensors that differ are named), or where
    `out` holds something.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: is there already; allowed: a new or empty folder")
    specs = released_specs(dataset, params)
    try:
        return import_networks(path, dataset=dataset, specs=specs, out=out)
    except DoesNotFit as error:
        other = fitting_datasets(error.generator, params)
        hint = f" (it fits {other[0]})" if other and dataset not in other else ""
        raise UserError(f"{error}{hint}") from None


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


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="transgan import-released", description="Weights of the released TransGAN code as a run of this project."
    )
    parser.add_argument("--dataset", required=True, help=f"which of the released models: {' | '.join(DATASETS)}")
    parser.add_argument("--weights", required=True, type=Path, help="file of the released code, .pth")
    parser.add_argument("--out", type=Path, help="folder to write (imported/<dataset>)")
    parser.add_argument("--params", default=PARAMS, help="parameter file (params.yaml)")
    arguments = parser.parse_args()
    out = arguments.out or Path("imported") / arguments.dataset
    record = import_weights(arguments.weights, dataset=arguments.dataset, out=out, params=arguments.params)
    parts = f"generator {record['parameters_g']:,}"
    if record["parameters_d"] is not None:
        parts += f", discriminator {record['parameters_d']:,}"
    print(f"import-released: {arguments.weights} -> {out} ({parts} parameters)")


if __name__ == "__main__":
    main()
