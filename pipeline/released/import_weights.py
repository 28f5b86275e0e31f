"""Weights of the released code as a run of this project: transgan import-released --dataset cifar10 --weights FILE.pth

The folder that is written can be given to generate, measure and export like a run of our own. Only networks come along:
no history, no optimiser.
"""

from pathlib import Path
from typing import Any

from pipeline.base.errors import ArgumentParser, command_line
from pipeline.base.files import check_output, user_path
from pipeline.plan.config import PARAMS, load
from pipeline.plan.planning import RELEASED, released_specs


def import_weights(path: Path, *, dataset: str, out: Path, params: str = PARAMS) -> dict[str, Any]:
    """Write the released checkpoint `path` of `dataset` as the run `out`; returns the record that is out/run.json.

    Errors: `UserError` as for `import_networks`, and where `out` holds something.
    """
    from pipeline.released.checkpoint import import_networks  # torch, which help does without

    check_output(out, option="--out", folder=True)
    content = load(params)
    specs = {name: released_specs(content, name) for name in (dataset, *RELEASED)}
    return import_networks(path, dataset=dataset, specs=specs, out=out)


@command_line
def main() -> None:
    about = "Weights of the released TransGAN code as a run of this project."
    parser = ArgumentParser(prog="transgan import-released", description=about)
    parser.add_argument("--dataset", required=True, help=f"which of the released models: {' | '.join(RELEASED)}")
    parser.add_argument("--weights", required=True, type=user_path, help="file of the released code, .pth")
    parser.add_argument("--out", type=user_path, help="folder to write (imported/<dataset>)")
    given = parser.parse_args()
    out = given.out or Path("imported") / given.dataset
    record = import_weights(given.weights, dataset=given.dataset, out=out)
    sizes = {"generator": record["parameters_g"], "discriminator": record["parameters_d"]}
    parts = ", ".join(f"{name} {size:,}" for name, size in sizes.items() if size is not None)
    print(f"import-released: {given.weights} -> {out} ({parts} parameters)")
