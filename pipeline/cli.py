"""The command `transgan`: one table of subcommands, each a module of its own.

A new subcommand is one line of COMMANDS. Its module is imported only when the subcommand is called. Every subcommand
finds the project's folder from any folder inside it.
"""

import sys
from importlib.metadata import PackageNotFoundError, version
from pkgutil import resolve_name
from typing import NamedTuple

from pipeline.base.errors import UserError, choices, command_line
from pipeline.base.files import enter_project

DISTRIBUTION = "transgan-pipeline"


class Command(NamedTuple):
    """A subcommand: a function ("module:name") that reads sys.argv, and words for its help."""

    function: str
    help: str  # one line
    example: str  # arguments
    anywhere: bool = False  # whether it also works outside a project


COMMANDS = {
    "list": Command(
        "pipeline.commands.list_names:main", "variants, data sets and trained networks by name", "networks"
    ),
    "describe": Command(
        "pipeline.generators.describe:main", "stages, parameters and FLOPs of a cell's networks", "--dataset cifar10"
    ),
    "generate": Command(
        "pipeline.commands.generate:main",
        "pictures, arrays and videos of a trained generator",
        "--pretrained digits/full --n 64 --out grid.png",
        anywhere=True,
    ),
    "measure": Command(
        "pipeline.commands.measure:main",
        "FID, KID and the like of images from anywhere",
        "--images samples/ --against cifar10 --json measured.json",
        anywhere=True,
    ),
    "export": Command(
        "pipeline.generators.export:main",
        "a trained generator as a torch.export program or a released checkpoint",
        "--pretrained digits/full --out generator.pt2",
        anywhere=True,
    ),
    "import-released": Command(
        "pipeline.released.import_weights:main",
        "weights of the released code as a run",
        "--dataset cifar10 --weights cifar_checkpoint.pth",
    ),
    "publish": Command(
        "pipeline.matrix.publish:main",
        "train a run of published/ and keep its results there",
        "faces32_relativistic --data /path/to/faces.zip",
    ),
    "repro": Command("pipeline.matrix.repro:main", "dvc repro, with several trainings at a time", "--jobs 2"),
    "worker": Command(
        "pipeline.matrix.worker:main",
        "train, measure and push one cell, in a clone",
        "--cell digits/full/seed1",
        anywhere=True,  # with --source it makes a clone
    ),
    "submit": Command(
        "pipeline.matrix.submit:main",
        "hand the cells that are missing to SLURM or Ray",
        "--engine slurm -- --partition=gpu",
    ),
    "gather": Command("pipeline.matrix.gather:main", "which cells are there, and bring them home", "--restore"),
    "compare": Command("pipeline.report.compare:main", "two revisions or experiments side by side", "HEAD workspace"),
    "watch": Command(
        "pipeline.runs.unfinished:watch", "trainings at work: TensorBoard, or lines on the terminal", "--text"
    ),
    "unfinished": Command("pipeline.runs.unfinished:main", "interrupted trainings that can go on", "--remove all"),
}


@command_line
def main() -> None:
    """Run the subcommand that sys.argv names.

    Errors: `UserError` for an unknown name, and outside a project for a command that needs one; those of the command.
    """
    name, *rest = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        width = max(map(len, COMMANDS))
        lines = [f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items()]
        last = "transgan <command> --help says more about one of them."
        print("usage: transgan <command> [options]", "", *lines, "", last, sep="\n")
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
    help_asked = bool({"-h", "--help"} & {*rest})
    if not help_asked:
        enter_project(f"transgan {name}", needed=not command.anywhere)
    try:
        resolve_name(command.function)()
    finally:
        if help_asked:
            print(f"\nexample:\n  transgan {name} {command.example}")


if __name__ == "__main__":
    main()
