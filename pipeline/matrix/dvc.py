"""dvc as a child process: what it prints is parsed here, what it refuses becomes one line.

`python -m pipeline.matrix.dvc`, the end of `make report`, names the stages whose results are behind.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError, command_line
from pipeline.base.git import plain_environment

DVC = [sys.executable, "-m", "dvc"]
# What dvc says beside its stages, which is in the log: not for a person who waits.
STAGE_LINES = ("Running stage '", "Stage '", "> ", "error: ", "ERROR: ", "  ")  # indented: an error's further lines
CHATTER = (*STAGE_LINES, "Updating lock", "Verifying", "To track", "To enable", "\tgit", "\tdvc", "Use `dvc push")
RESUMABLE = "what was finished is kept, the same command goes on from there"


def stages_begun(output: str) -> list[str]:
    """The stages that dvc has begun, by what it printed."""
    return re.findall(r"^Running stage '(.+)':", output, re.MULTILINE)


def first_error(output: str) -> str:
    """The first error that a stage or dvc printed; what dvc says of a file that it cannot read has no mark of one."""
    marked = re.search(r"^(?:error|ERROR): (.+(?:\n  .+)*)$", output, re.MULTILINE)
    return marked[1] if marked else (output.strip() or "failed").splitlines()[0]


class DvcError(UserError):
    """A dvc command that failed; `output` is what it printed."""

    def __init__(self, message: str, output: str):
        super().__init__(message)
        self.output = output


def environment() -> dict[str, str]:
    """The caller's, in which stages find this Python, and dvc and git name the folder where they run."""
    kept = {name: value for name, value in plain_environment().items() if name != "DVC_ROOT"}
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def dvc(
    *arguments: str,
    root: str | Path = ".",
    show: Callable[[str], None] = lambda line: None,
    variables: Mapping[str, str] | None = None,
    started: Callable[[subprocess.Popen[str]], None] | None = None,
) -> str:
    """Run one dvc command to its end; returns what it printed.

    `show` is handed each line. `variables` are added to the environment. With `started`, which is handed the process,
    it is in a process group of its own.
    Errors: `DvcError` where it fails, with the first reason that it or a stage gave.
    """
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    options: Any = {"cwd": root, "text": True, "errors": "replace", "start_new_session": started is not None, **pipes}
    lines, where = [], environment() | dict(variables or {})
    with subprocess.Popen([*DVC, *arguments], env=where, **options) as process:
        if started is not None:
            started(process)
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            show(line.rstrip("\n"))
    output = "".join(lines)
    if process.returncode:
        error, locks = first_error(output).rstrip("."), Path(root) / ".dvc/tmp/rwlock"
        if "Unable to read RWLock-file" in error and locks.is_file():  # a killed dvc left it half-written
            locks.unlink()
            return dvc(*arguments, root=root, show=show, variables=variables, started=started)
        resumable = f"; {RESUMABLE}" if arguments[0] != "status" else ""
        raise DvcError(f"dvc {' '.join(arguments[:2])}: {error}{resumable}", output)
    return output


def status() -> dict[str, Any]:
    """What has changed since dvc.lock, by stage. Errors: `UserError` for what dvc refuses, as a broken dvc.lock."""
    return dict(json.loads(dvc("status", "--json").splitlines()[-1]))


def behind(changes: dict[str, Any]) -> list[str]:
    """The kinds of stages above the report, by `status`, whose code or settings are not those of their results."""
    kinds = dict.fromkeys(
        stage.partition("@")[0]
        for stage, entries in changes.items()
        for entry in entries
        if isinstance(entry, dict) and "modified" in entry.get("changed deps", {}).values()
    )
    return [kind for kind in kinds if kind != "report"]


def show_stages(line: str) -> None:
    """Print what the stages say, without dvc's own lines; errors are raised at the end."""
    if line and not line.startswith(CHATTER):
        print(line, flush=True)


def push(run: Callable[..., str], stages: list[str]) -> None:
    """`run` is `dvc`. Outputs first, then the run cache: an entry that is in the remote then names outputs that are."""
    run("push", *stages)
    run("push", "--run-cache", *stages)


def config(root: str | Path) -> Any:
    """DVC's own `Config` of a repository."""
    from dvc.config import Config

    return Config(str((Path(root) / ".dvc").absolute()))


def share_cache(clone: Path, cache: Path, source: Path | None = None) -> None:
    """Let `clone` keep DVC's cache in `cache`, and know the remotes of `source`, those that no commit has too."""
    with config(clone).edit("local") as local:
        local["cache"]["dir"] = str(cache.absolute())
        if source is not None:
            settings = config(source)
            local["remote"].update({name: dict(remote) for name, remote in settings["remote"].items()})
            local["core"].update({name: value for name, value in settings["core"].items() if name == "remote"})


def check_remote(root: str | Path = ".") -> str:
    """The address of the default remote. Errors: `UserError` where there is none, or it keeps no run cache."""
    settings = config(root)
    name = settings["core"].get("remote")
    if not name or name not in settings["remote"]:
        raise UserError(
            "no DVC remote to carry results between machines: `dvc remote add --default store /shared/folder`, "
            "or an address of S3, GS, Azure or ssh"
        )
    address = str(settings["remote"][name]["url"])
    if address.startswith(("http://", "https://")):
        why = "http carries no run cache, so a head could not know which cells are trained"
        raise UserError(f"remote {name}: {address}: {why}; use a folder, S3, GS, Azure or ssh")
    return address


@command_line
def main() -> None:
    if kinds := behind(status()):
        print("report: the results are of other code or settings than today's; make repro would run again:", *kinds)


if __name__ == "__main__":
    main()
