"""Plan, results and settings as they are in a revision, an experiment or the workspace, read from git alone."""

import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.base.errors import UserError
from pipeline.base.schema import read_yaml
from pipeline.report.appendix_tables import flat
from pipeline.report.results import load_cells, load_index

WORKSPACE = "workspace"
NEEDED = ("plan", "results", "params.yaml")


@dataclass(frozen=True)
class Snapshot:
    """One side of a comparison: its folder holds plan/, results/ and params.yaml."""

    name: str
    folder: Path
    index: dict[str, Any]
    cells: pd.DataFrame
    params: dict[str, Any]  # flat: dotted key -> value

    @property
    def results(self) -> str:
        return str(self.folder / "results")


def git(*arguments: str) -> str | None:
    """Output of git in the current folder, None where it fails."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def experiments() -> dict[str, str]:
    """Names of DVC's experiments (refs/exps/..) and their commits, oldest first."""
    lines = (
        git("for-each-ref", "--sort=committerdate", "--format=%(refname) %(objectname)", "refs/exps") or ""
    ).splitlines()
    entries = [line.split() for line in lines]
    # refs/exps/<2>/<38>/<name>; queues and running experiments keep theirs in named folders.
    return {
        reference.split("/")[-1]: commit
        for reference, commit in entries
        if len(reference.split("/")) == 5 and len(reference.split("/")[2]) == 2
    }


def snapshot(name: str, scratch: Path) -> Snapshot:
    """Read `name` (a revision, an experiment, or `workspace`), using `scratch` for its files.

    Errors: `UserError` for an unknown name, or a revision without results in git.
    """
    folder = Path(".") if name == WORKSPACE else _extract(name, scratch)
    if not (folder / "plan/index.json").is_file():
        raise UserError(f"{name}: has no plan/index.json; plan/ and results/ have to be committed with it")
    index = load_index(folder / "plan")
    return Snapshot(name, folder, index, load_cells(index, folder / "results"), flat(read_yaml(folder / "params.yaml")))


def _extract(name: str, scratch: Path) -> Path:
    commit = experiments().get(name) or git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if not commit:
        raise UserError(
            f"{name}: no such revision or experiment; `dvc exp list` and `git branch` name them, `{WORKSPACE}` is "
            f"what lies in the folder"
        )
    present = [path for path in NEEDED if git("cat-file", "-e", f"{commit}:{path}") is not None]
    archive = subprocess.run(
        ["git", "archive", "--format=tar", commit, *present], capture_output=True, check=True
    ).stdout
    folder = scratch / commit
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def changed_params(first: Snapshot, second: Snapshot) -> dict[str, tuple[Any, Any]]:
    """Dotted keys whose values differ, with both; `absent` where one side has no such key."""
    keys = dict.fromkeys([*first.params, *second.params])
    pairs = {key: (first.params.get(key, "absent"), second.params.get(key, "absent")) for key in keys}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
