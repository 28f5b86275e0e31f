"""dvc as a child process: what it prints goes on, its error is kept, and a signal stops the training under it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

DVC = [sys.executable, "-m", "dvc"]
ERROR = re.compile(r"^(?:error: |ERROR: )(.+)$")


@dataclass
class Ended:
    """How a dvc command ended: its exit status, the first error that a stage or dvc printed, names of stages run."""

    code: int
    error: str
    ran: list[str]


class DvcRun:
    """One dvc command in a process group of its own. After `stop` a training stores its state and ends."""

    def __init__(
        self, *arguments: str, root: Path, environment: Mapping[str, str], pass_fds: tuple[int, ...] = ()
    ) -> None:
        self.stopped = False
        self.process = subprocess.Popen(
            [*DVC, *arguments],
            cwd=root,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=pass_fds,
        )

    def stop(self) -> None:
        """SIGINT to dvc and its stage, once: dvc waits for the stage, which stores its state.

        A second one would end the stage before it has stored anything.
        """
        if self.stopped:
            return
        self.stopped = True
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)

    def wait(self, show: Callable[[str], None]) -> Ended:
        """Hand every line to `show` until the command has ended."""
        error, ran = "", []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            line = line.rstrip("\n")
            show(line)
            if not error and (found := ERROR.match(line)):
                error = found[1]
            if line.startswith("Running stage '"):
                ran.append(line.split("'")[1])
        return Ended(self.process.wait(), error, ran)


def stage_environment() -> dict[str, str]:
    """The caller's environment, in which stages find this Python and dvc names the folder `root`."""
    kept = {key: value for key, value in os.environ.items() if key != "DVC_ROOT"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return kept | {"PATH": path}
