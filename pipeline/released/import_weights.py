"""Weights of the released code as a run of this project: transgan import-released --dataset cifar10 --weights FILE.pth

The folder that is written can be given to generate, measure and export like a run of our own. Only networks come along:
no history, no optimiser.
"""

import argparse
from pathlib import Path
from typing import Any

from pipeline.base.errors import command_line
from pipeline.base.files import check_output, user_path
from pipeline.plan.config import PARAMS, load
from pipeline.plan.planning import RELEASED, released_specs


def import_weights(path: Path, *, dataset: str, out: Path, params: str = PARAMS) -> dict[str, Any]:
    """Write the released checkpoint `path` of `dataset` as the run `out`; returns the record that is out/run.json.

    Everything is checked before anything is written.
    Errors: `UserError` as for `import_networks`, and where `out` holds something.
    """
    from pipeline.released.import_networks import import_networks  # imports torch

    check_output(out, option="--out", folder=True)
    content = load(params)
    specs = {name: released_specs(content, name) for name in (dataset, *RELEASED)}
    return import_networks(path, dataset=dataset, specs=specs, out=out)


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="transgan import-released", description="Weights of the released TransGAN code as a run of this project."
    )
    parser.add_argument("--dataset", required=True, help=f"which of the released models: {' | '.join(RELEASED)}")
    parser.add_argument("--weights", required=True, type=user_path, help="file of the released code, .pth")
    parser.add_argument("--out", type=user_path, help="folder to write (imported/<dataset>)")
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
