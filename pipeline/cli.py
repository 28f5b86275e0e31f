"""The command `transgan`: one table of subcommands, each a module of its own that also runs as `python -m <module>`.

A new subcommand is one line of COMMANDS. Its module is imported only when the subcommand is called.
"""

import importlib
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from pipeline.base.errors import UserError, choices, command_line

DISTRIBUTION = "transgan-pipeline"


@dataclass(frozen=True)
class Command:
    """A subcommand: `main`, a function without arguments in `module` that reads sys.argv, and one line of help."""

    module: str
    help: str
    main: str = "main"


COMMANDS = {
    "describe": Command("pipeline.generators.describe", "stages, parameters and FLOPs of a cell's networks"),
    "generate": Command("pipeline.commands.generate", "pictures, arrays and videos of a trained generator"),
    "measure": Command("pipeline.commands.measure_images", "FID, KID and the like of images from anywhere"),
    "export": Command(
        "pipeline.generators.export", "a trained generator as a torch.export program or a released checkpoint"
    ),
    "import-released": Command("pipeline.released.import_weights", "weights of the released code as a run"),
    "publish": Command("pipeline.matrix.publish", "train a run of published/ and keep its results there"),
    "repro": Command("pipeline.matrix.repro", "dvc repro, with several trainings at a time"),
    "worker": Command("pipeline.matrix.cluster.worker", "train, measure and push one cell, in a clone of its own"),
    "submit": Command("pipeline.matrix.cluster.submit", "hand the cells that are missing to SLURM or Ray"),
    "gather": Command("pipeline.matrix.cluster.gather", "which cells are there, and bring them home"),
    "compare": Command("pipeline.report.compare", "two revisions or experiments side by side"),
    "watch": Command("pipeline.runs.watch", "trainings at work: TensorBoard, or lines on the terminal"),
    "unfinished": Command("pipeline.runs.work_dirs", "interrupted trainings that can go on"),
}


def usage() -> str:
    """The help text: every subcommand with its line."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: transgan <command> [options]",
            "",
            *lines,
            "",
            "transgan <command> --help says more about one of them.",
        ]
    )


@command_line
def main() -> None:
    """Run the subcommand that sys.argv names. Errors: `UserError` for an unknown name; those of the subcommand."""
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(usage())
        return
    if name == "--version":
        try:
            print(version(DISTRIBUTION))
        except PackageNotFoundError:
            raise UserError(f"{DISTRIBUTION} is not installed: make setup, or pip install --no-deps -e .") from None
        return
    if name not in COMMANDS:
        raise UserError(f"transgan: given {name!r}; allowed: {choices(COMMANDS, name)}")
    command = COMMANDS[name]
    sys.argv = [f"transgan {name}", *rest]
    getattr(importlib.import_module(command.module), command.main)()


if __name__ == "__main__":
    main()
