"""dvc as a child process: what it prints is parsed here, what it refuses becomes one line."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError
from pipeline.base.git import plain_environment

DVC = [sys.executable, "-m", "dvc"]
ERROR = re.compile(r"^(?:error|ERROR): (.+)$")
RUNNING = re.compile(r"^Running stage '(.+)':")
# What dvc says beside its stages, which is in the log: not for a person who waits.
CHATTER = re.compile(
    r"^(Running stage '|> |Updating lock|Stage '|Verifying|To (track|enable)|\tgit|\tdvc|Use `dvc push|$)"
)
ON = "what was finished is kept, the same command goes on from there"


@dataclass
class Output:
    """What dvc has printed so far: the stages it began, and the first error that a stage or dvc gave."""

    ran: list[str] = field(default_factory=list)
    error: str = ""
    first: str = ""  # line: what dvc says of a file that it cannot read has no mark of an error

    def read(self, line: str) -> None:
        self.first = self.first or line.strip()
        if found := RUNNING.match(line):
            self.ran.append(found[1])
        elif not self.error and (found := ERROR.match(line)):
            self.error = found[1]


def environment() -> dict[str, str]:
    """The caller's, in which stages find this Python, and dvc and git name the folder where they run."""
    kept = {name: value for name, value in plain_environment().items() if name != "DVC_ROOT"}
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


class DvcError(UserError):
    """A dvc command that failed; `output` has the stages that it ran before."""

    def __init__(self, message: str, output: Output):
        super().__init__(message)
        self.output = output


def dvc(
    *arguments: str,
    root: str | Path = ".",
    show: Callable[[str], None] | None = None,
    variables: Mapping[str, str] | None = None,
    started: Callable[[subprocess.Popen[str]], None] | None = None,
) -> Output:
    """Run one dvc command to its end.

    `show` is handed each line. `variables` are added to the environment. With `started`, which is handed the process,
    it is in a process group of its own.
    Errors: `UserError` where it fails, with the first reason that it or a stage gave.
    """
    output = Output()
    with subprocess.Popen(
        [*DVC, *arguments],
        cwd=root,
        env=environment() | dict(variables or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=started is not None,
    ) as process:
        if started is not None:
            started(process)
        assert process.stdout is not None
        for line in process.stdout:
            output.read(line.rstrip("\n"))
            if show is not None:
                show(line.rstrip("\n"))
    if process.returncode:
        why = (output.error or output.first or "failed").rstrip(".")
        kept = f"; {ON}" if arguments[0] != "status" else ""
        raise DvcError(f"dvc {' '.join(arguments[:2])}: {why}{kept}", output)
    return output


def push(run: Callable[..., Output], stages: list[str]) -> None:
    """`run` is `dvc`. Outputs first, then the run cache: an entry that is in the remote then names outputs that are."""
    for options in ((), ("--run-cache",)):
        run("push", *options, *stages)


def share_cache(clone: Path, cache: Path, source: Path | None = None) -> None:
    """Let `clone` keep DVC's cache in `cache`, and know the remotes of `source`, those that no commit has too."""
    with config(clone).edit("local") as local:
        local["cache"]["dir"] = str(cache.absolute())
        if source is not None:
            known = config(source)
            local["remote"].update({name: dict(settings) for name, settings in known["remote"].items()})
            local["core"].update({name: value for name, value in known["core"].items() if name == "remote"})


def config(root: str | Path) -> Any:
    """DVC's own `Config` of a repository."""
    from dvc.config import Config

    return Config(str((Path(root) / ".dvc").absolute()))


def check_remote(root: str | Path = ".") -> str:
    """The address of the default remote. Errors: `UserError` where there is none, or it keeps no run cache."""
    known = config(root)
    name = known["core"].get("remote")
    if not name or name not in known["remote"]:
        raise UserError(
            "no DVC remote to carry results between machines: `dvc remote add --default store /shared/folder`, "
            "or an address of S3, GS, Azure or ssh"
        )
    address = str(known["remote"][name]["url"])
    if address.startswith(("http://", "https://")):
        raise UserError(
            f"remote {name}: {address}: http carries no run cache, so a head could not know which cells are trained; "
            "use a folder, S3, GS, Azure or ssh"
        )
    return address


def show_stages(line: str) -> None:
    """Print what the stages say, without dvc's own lines; errors are raised at the end."""
    if not CHATTER.match(line) and not ERROR.match(line):
        print(line, flush=True)
