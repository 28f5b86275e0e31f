"""Weights of the released code as a run of this project: transgan import-released --dataset cifar10 --weights FILE.pth

The folder that is written can be given to generate, measure and export like a run of our own. Only networks come along:
no history, no optimiser.
"""

import argparse
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError, command_line
from pipeline.base.files import (
    atomic_write,
    check_output,
    check_sha256,
    expand_home,
    sha256,
    user_path,
    write_json,
    write_text,
)
from pipeline.base.schema import dump
from pipeline.networks.spec import NetworkSpec
from pipeline.plan.config import PARAMS, load
from pipeline.plan.planning import RELEASED, released_specs
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


def import_weights(path: Path, *, dataset: str, out: Path, params: str = PARAMS) -> dict[str, Any]:
    """Write the released checkpoint `path` of `dataset` as the run `out`; returns the record that is out/run.json.

    Errors: `UserError` as for `import_networks`, and where `out` holds something.
    """
    check_output(out, option="--out", folder=True)
    content = load(params)
    specs = {name: released_specs(content, name) for name in (dataset, *RELEASED)}
    return import_networks(path, dataset=dataset, specs=specs, out=out)


def import_networks(path: Path, *, dataset: str, specs: dict[str, list[NetworkSpec]], out: Path) -> dict[str, Any]:
    """Write the checkpoint `path`, one of the networks released for `dataset`, to `out`; returns the record.

    Errors: `UserError` where the file cannot be read, or is none of them; the first tensors that differ are named, and
    another dataset of `specs` whose networks it is. Nothing is written then.
    """
    import torch
    from safetensors.torch import save_file

    from pipeline.released.checkpoint import nearest, read_checkpoint
    from pipeline.released.names import differences, places

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
        files[name] = {ours: state[at.name].reshape(at.ours).contiguous() for ours, at in fitting.items()}
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


@command_line
def main() -> None:
    about = "Weights of the released TransGAN code as a run of this project."
    parser = argparse.ArgumentParser(prog="transgan import-released", description=about)
    parser.add_argument("--dataset", required=True, help=f"which of the released models: {' | '.join(RELEASED)}")
    parser.add_argument("--weights", required=True, type=user_path, help="file of the released code, .pth")
    parser.add_argument("--out", type=user_path, help="folder to write (imported/<dataset>)")
    parser.add_argument("--params", default=PARAMS, help="parameter file (params.yaml)")
    given = parser.parse_args()
    out = given.out or Path("imported") / given.dataset
    record = import_weights(given.weights, dataset=given.dataset, out=out, params=given.params)
    sizes = {"generator": record["parameters_g"], "discriminator": record["parameters_d"]}
    parts = ", ".join(f"{name} {size:,}" for name, size in sizes.items() if size is not None)
    print(f"import-released: {given.weights} -> {out} ({parts} parameters)")


if __name__ == "__main__":
    main()
