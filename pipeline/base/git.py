"""The git revision, changes that no revision names, and versions of libraries. Without torch: importing it is quick."""

import os
import re
import shutil
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipeline.base.errors import UserError

SETTINGS = ("params.yaml", "conf")
CODE = ("pipeline", "stages", *SETTINGS, "dvc.yaml", "requirements.txt")
LIBRARIES = ("torch", "numpy", "dvc", "scikit-learn", "torch-fidelity", "clean-fid")
HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)


def plain_environment() -> dict[str, str]:
    """The caller's, without what a git hook sets: GIT_DIR there names one repository, whatever the folder."""
    return {name: value for name, value in os.environ.items() if name not in HOOKS}


def git(*arguments: str, root: str | Path = ".") -> str:
    """What git prints. Errors: `UserError` with git's own line where it fails, or is not installed."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, env=plain_environment(), capture_output=True, text=True, timeout=600
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(f"git {arguments[0]}: {error}") from None
    if done.returncode:
        raise UserError(f"git {arguments[0]} in {Path(root).absolute()}: {' '.join(done.stderr.split())}")
    return done.stdout.strip()


def ask(*arguments: str, root: str | Path = ".") -> str | None:
    """What git prints; None where it fails."""
    with suppress(UserError):
        return git(*arguments, root=root)
    return None


def no_revision(root: str | Path = ".") -> str | None:
    """Why git names no commit here, in its own words: no repository, none yet, a clone of another owner. Else None."""
    try:
        git("rev-parse", "--verify", "HEAD", root=root)
    except UserError as error:
        return str(error)
    return None


def changes(root: str | Path = ".", *, aside: tuple[str, ...] = ()) -> str | None:
    """Changes of CODE, without `aside`, that no commit has, as `git status` lists them; None where git refuses."""
    return ask("status", "--porcelain", "--", *(path for path in CODE if path not in aside), root=root)


def clone_at(source: str | Path, folder: Path, revision: str) -> None:
    """`folder` as a clone of `source` at `revision`, made where there is none; changes of tracked files in it are lost.

    Errors: `UserError` where `source` cannot be cloned or lacks the revision.
    """
    if not (folder / ".git").is_dir():
        # Under another name until it is whole: a clone that was killed leaves a .git too.
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        for path in (folder, unfinished):
            shutil.rmtree(path, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        git("clone", "--quiet", "--no-checkout", str(source), str(unfinished), root=folder.parent)
        unfinished.rename(folder)
    for left in (folder / ".git").glob("*.lock"):  # of a git that was killed: this clone is the caller's
        left.unlink()
    for fetched in ([], ["HEAD"]):  # the second is for a source that is on no branch
        if ask("cat-file", "-e", f"{revision}^{{commit}}", root=folder) is None:
            git("fetch", "--quiet", "origin", *fetched, root=folder)
    git("checkout", "--quiet", "--force", "--detach", revision, root=folder)


def installed(name: str) -> str:
    """Version of an installed package, or `absent`."""
    with suppress(PackageNotFoundError):
        return version(name)
    return "absent"


def other_libraries(root: str | Path = ".", versions: dict[str, str] | None = None) -> dict[str, tuple[str, str]]:
    """Libraries whose version is not the one that requirements.txt pins: {name: (version, pinned)}.

    `versions`: those to look at ({name: version}); without it, those that are installed here. Every clone at one
    revision has the same pins, so this compares machines. Builds for other hardware (`+cu128`) are the same version.
    """
    pinned: dict[str, list[str]] = {}
    for name, pin in PIN.findall((Path(root) / "requirements.txt").read_text(encoding="utf-8")):
        pinned.setdefault(name, []).append(pin)
    versions = {name: installed(name) for name in LIBRARIES} if versions is None else versions
    return {
        name: (given, " or ".join(sorted(pinned[name])))
        for name, given in versions.items()
        if name in pinned and given.partition("+")[0] not in pinned[name]
    }


def check_clean(root: str | Path = ".", *, any_libraries: bool = False) -> str:
    """The revision of a clone. Errors: `UserError` where there is none, or changes, or other libraries than it pins."""
    revision, changed = ask("rev-parse", "HEAD", root=root), changes(root)
    if revision is None or changed is None:
        raise UserError(f"results must name the revision they come from: {no_revision(root)}")
    if changed:
        raise UserError(f"{Path(root).absolute()}: uncommitted changes ({changed.split()[-1]}): commit or undo them")
    if others := {} if any_libraries else other_libraries(root):
        text = ", ".join(f"{name} {version} instead of {pinned}" for name, (version, pinned) in others.items())
        raise UserError(f"other libraries than requirements.txt pins: {text}; `make setup`, or allow --other-libraries")
    return revision
