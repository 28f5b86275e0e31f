"""A throw-away copy of the repository in which the tests drive the real dvc on the real dvc.yaml."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from settings_files import edit_settings

ROOT = Path(__file__).parent.parent


class Repository:
    """A git and DVC repository with the working tree's files. `dvc` returns (exit status, output)."""

    def __init__(self, folder: Path):
        self.folder = folder
        files = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
        for name in filter(None, files.decode().split("\0")):
            if not name.startswith(("plan/", "results/", "reports/", "docs/", "dvc.lock")) and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes((ROOT / name).read_bytes())
        self.git("init", "--quiet")
        self.git("config", "user.name", "test")
        self.git("config", "user.email", "test@example.invalid")
        self.commit("start")

    def git(self, *arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=self.folder, capture_output=True, text=True, check=True).stdout

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)

    def dvc(self, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            env=self.environment(),
            timeout=600,
        )
        return done.returncode, done.stdout + done.stderr

    def start(self, *arguments: str, log: Path, **variables: str) -> subprocess.Popen:
        """dvc as a process of its own group, which writes to `log`."""
        with open(log, "w") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "dvc", *arguments],
                cwd=self.folder,
                stdout=file,
                stderr=file,
                env=self.environment() | variables,
                start_new_session=True,
            )

    def environment(self) -> dict[str, str]:
        """The caller's, in which stages find this Python and DVC names its own folder."""
        kept = {key: value for key, value in os.environ.items() if key != "DVC_ROOT"}
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONDONTWRITEBYTECODE": "",
        }

    def edit(self, **values: object) -> None:
        """Set keys of params.yaml, dots written as `__`, and of files of conf/ (`conf/variant/full.yaml:train.lr`)."""
        edit_settings(self.folder, {key.replace("__", "."): value for key, value in values.items()})

    def append(self, file: str, text: str = "\n# a comment\n") -> None:
        with open(self.folder / file, "a") as handle:
            handle.write(text)

    def json(self, file: str) -> dict:
        return json.loads((self.folder / file).read_text())


def ran(output: str) -> set[str]:
    """Names of the stages that were run."""
    return set(re.findall(r"^Running stage '(.+)':", output, flags=re.MULTILINE))


def restored(output: str) -> set[str]:
    """Names of the stages whose outputs came from the run cache."""
    return set(re.findall(r"^Stage '(.+)' is cached", output, flags=re.MULTILINE))
