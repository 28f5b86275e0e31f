"""The project's folder, found once for a command, and paths as the user typed them."""

import os
from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.base.files import expand_home

MARKS = ("params.yaml", "dvc.yaml")  # a folder that has both is a project
_typed_in: Path | None = None  # the folder the user was in, where that is another one than the project's


def enter_project(command: str, *, needed: bool) -> None:
    """Go to the folder of the project that the current folder belongs to, from any folder inside it.

    Errors: `UserError` where it belongs to none and the command, as `command` says it, needs one.
    """
    global _typed_in
    here = Path.cwd()
    root = next((folder for folder in (here, *here.parents) if all((folder / name).is_file() for name in MARKS)), None)
    if root is None and needed:
        raise UserError(f"{command}: no project here: {here} and the folders above it have no {' and '.join(MARKS)}")
    if root not in (None, here):
        _typed_in = here
        os.chdir(root)


def user_path(text: str) -> Path:
    """A path as it was typed in the user's own folder; argparse takes this as a `type`."""
    path = expand_home(text)
    return path if _typed_in is None else _typed_in / path


def existing_path(text: str) -> str:
    """As `user_path` where something is there; `text` itself otherwise, as it may be a name."""
    return str(user_path(text)) if user_path(text).exists() else text
