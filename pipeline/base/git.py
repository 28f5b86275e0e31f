"""The git revision, changes that no revision names, and versions of libraries. Without torch: importing it is quick."""

import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline.base.errors import UserError

SETTINGS = ("params.yaml", "conf")
CODE = ("pipeline", "stages", *SETTINGS, "dvc.yaml", "requirements.txt")
LIBRARIES = ("torch", "numpy", "dvc", "scikit-learn", "torch-fidelity", "clean-fid")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)


def git(*arguments: str, root: str | Path = ".") -> str | None:
    """What git prints; None where it fails or is absent."""
    try:
        return subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=120
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def revision(root: str | Path = ".") -> str | None:
    """The commit that is checked out; None without a repository or a commit."""
    return git("rev-parse", "HEAD", root=root)


def changes(root: str | Path = ".", *, aside: tuple[str, ...] = ()) -> str | None:
    """Changes of code and settings that no commit has, as `git status` lists them; None without a repository.

    `aside`: entries of CODE that are not looked at.
    """
    return git("status", "--porcelain", "--", *(path for path in CODE if path not in aside), root=root)


def installed(name: str) -> str:
    """Version of an installed package, or `absent`."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def other_libraries(root: str | Path = ".", found: dict[str, str] | None = None) -> dict[str, tuple[str, str]]:
    """Libraries whose version is not the one that requirements.txt pins: {name: (version, pinned)}.

    `found` has the versions to look at ({name: version}); without it, those that are installed here.

    Every clone at one revision has the same pins, so this compares machines. Builds for other hardware (`+cu128`) are
    the same version.
    """
    pins: dict[str, set[str]] = {}
    for name, pinned in PIN.findall((Path(root) / "requirements.txt").read_text(encoding="utf-8")):
        pins.setdefault(name, set()).add(pinned)
    versions = {name: installed(name) for name in LIBRARIES} if found is None else found
    return {
        name: (given, " or ".join(sorted(pins[name])))
        for name, given in versions.items()
        if name in pins and given.partition("+")[0] not in {pin.partition("+")[0] for pin in pins[name]}
    }


def check_clean(root: str | Path = ".") -> str:
    """The revision of a clone without changes. Errors: `UserError` where there is none, or it has changes."""
    at, found = revision(root), changes(root)
    if at is None or found is None:
        raise UserError(f"{root}: no git repository with a commit; results must name the revision they come from")
    if found:
        raise UserError(
            f"{Path(root).absolute()}: has changes that no commit has ({found.split()[-1]}): commit or undo them; "
            "results must name the revision they come from"
        )
    return at


def check_libraries(root: str | Path = ".") -> None:
    """Errors: `UserError` where libraries are not those that the revision pins."""
    others = other_libraries(root)
    if others:
        text = ", ".join(f"{name} {found} instead of {pinned}" for name, (found, pinned) in others.items())
        raise UserError(
            f"other library versions than requirements.txt pins: {text}; run `make setup`, or allow them with "
            "--other-libraries: run.json then says which they were, and `transgan gather` marks the results"
        )
