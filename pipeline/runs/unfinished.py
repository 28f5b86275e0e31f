"""Trainings that are at work or were interrupted: listed or removed (transgan unfinished), or watched (transgan watch).

What is shown is what each training writes: lines by its progress.json, TensorBoard by its curves and pictures in
.work/events. Neither needs a network.
"""

import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.errors import ArgumentParser, UserError, choices, command_line
from pipeline.base.files import add_number, read_json
from pipeline.runs.work_dirs import EVENTS, discard, held, holder, work_root

EVERY = 2.0  # seconds between two looks
CLEAR = "\x1b[H\x1b[J"


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """A training that is at work, or was interrupted; all but the first two fields are those of its progress.json."""

    folder: Path
    process: str | None  # `process 123`, that is at work; None where it was interrupted
    cell: str
    updated: float  # seconds since 1970
    kimg: float = 0.0  # reached at its last tick or checkpoint
    planned: float | None = None  # kimg
    seconds_per_kimg: float | None = None  # of its last tick
    seconds_left: float | None = None  # at that pace

    def line(self) -> str:
        """`digits/full/seed0  12.3 of 40.0 kimg (31%)  2.21 s/kimg  61.2 min left  2 s ago  interrupted`"""
        parts = [self.cell, f"{self.kimg:,.1f} kimg"]
        if self.planned:
            parts[1] = f"{self.kimg:,.1f} of {self.planned:,.1f} kimg ({self.kimg / self.planned:.0%})"
        if self.seconds_per_kimg is not None:
            parts.append(f"{self.seconds_per_kimg:.2f} s/kimg")
        if self.process and self.seconds_left is not None:
            parts.append(f"{self.seconds_left / 60:,.1f} min left")
        seconds = max(0.0, time.time() - self.updated)  # a clock that was put back is behind its files
        parts.append(f"{seconds:.0f} s ago" if seconds < 120 else f"{seconds / 60:.0f} min ago")
        return "  ".join([*parts, f"at work: {self.process}" if self.process else "interrupted"])


def unfinished(root: Path) -> list[Unfinished]:
    """The trainings in the work directories of `root`, sorted by cell."""
    trainings = []
    for path in root.glob("*/lock"):
        with suppress(FileNotFoundError):  # a training that has just ended, whose directory is gone
            process, _, cell = holder(path).partition(" (")
            facts: dict[str, Any] = {"cell": cell.rstrip(")") or process, "updated": path.parent.stat().st_mtime}
            with suppress(UserError):
                facts |= read_json(path.parent / "progress.json")
            facts = {name: value for name, value in facts.items() if name in Unfinished.__dataclass_fields__}
            trainings.append(Unfinished(folder=path.parent, process=process if held(path) else None, **facts))
    return sorted(trainings, key=lambda one: (one.cell, one.folder.name))


def remove(root: Path, key: str) -> list[Unfinished]:
    """Remove the directory whose key begins with `key`, or `all`; returns what was removed.

    Errors: `UserError` where none or more than one fits, or a training that runs is named; `all` leaves those alone.
    """
    every = unfinished(root)
    chosen = [one for one in every if (not one.process if key == "all" else one.folder.name.startswith(key))]
    if key != "all":
        if len(chosen) != 1:
            keys = choices((one.folder.name[:12] for one in every), key) or "there are none"
            raise UserError(f"--remove: given {key!r}; allowed: all, or the beginning of exactly one key: {keys}")
        if chosen[0].process:
            raise UserError(f"--remove: {chosen[0].folder.name[:12]} is in use by {chosen[0].process}; end it first")
    for one in chosen:
        discard(one.folder.name)
    return chosen


@command_line
def main() -> None:
    about = "Work directories of unfinished trainings: listed, or removed."
    parser = ArgumentParser(prog="transgan unfinished", description=about)
    which = "remove one by (the beginning of) its key, or all that no training uses"
    parser.add_argument("--remove", metavar="KEY|all", help=which)
    key, root = parser.parse_args().remove, work_root()
    trainings = unfinished(root) if key is None else remove(root, key)
    for one in trainings:
        size = 0
        for path in one.folder.glob("*"):
            with suppress(FileNotFoundError):  # a training at work removes some
                size += path.stat().st_size
        print(f"{one.folder.name[:12]}: {one.line()}  {f'{size / 2**20:,.1f} MiB' if key is None else '-> removed'}")
    if not trainings:
        print(f"{root}: {'no unfinished trainings' if key is None else 'nothing to remove'}")


@command_line
def watch() -> None:
    """Trainings, watched while they train: TensorBoard, or a line for each, again and again on a terminal."""
    parser = ArgumentParser(prog="transgan watch", description="Curves and pictures of trainings at work.")
    parser.add_argument("--text", action="store_true", help="a line for each training, no TensorBoard")
    add_number(parser, "--port", 0, default=6006, help="of TensorBoard (6006)")
    parser.add_argument("--host", default="localhost", help="that TensorBoard answers to (localhost; 0.0.0.0: anybody)")
    given, root = parser.parse_args(), work_root()
    while given.text:
        lines = [one.line() for one in unfinished(root)]
        text = "\n".join(lines) or f"{root}: no training is at work, and none was interrupted"
        print(f"{CLEAR if sys.stdout.isatty() else ''}{text}", flush=True)
        if not sys.stdout.isatty():
            return
        time.sleep(EVERY)
    try:  # TensorBoard would print a line of its own first
        socket.create_server((given.host, given.port)).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"--port: given {given.port}; allowed: a free port of {given.host} ({error})") from None
    folder = root / EVENTS
    folder.mkdir(parents=True, exist_ok=True)
    print(f"watch: TensorBoard on {folder}; Ctrl-C ends it, the trainings go on", flush=True)
    options = ["--logdir", str(folder), "--host", given.host, "--port", str(given.port), "--reload_interval", "10"]
    if code := subprocess.run([sys.executable, "-m", "tensorboard.main", *options]).returncode:
        raise UserError(f"TensorBoard ended with status {code}, see above")
