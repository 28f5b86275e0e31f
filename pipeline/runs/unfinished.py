"""Trainings that are at work or were interrupted: transgan unfinished [--remove KEY|all]

They are listed, or their work directories removed. What is shown is what each training writes to its progress.json.
"""

import argparse
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError, command_line
from pipeline.base.files import read_json
from pipeline.runs.work_dirs import held, holder, lock, remove_folder, work_root


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """A training that is at work, or was interrupted. `history`: rows as in the run's CSV file."""

    folder: Path
    process: str | None  # `process 123`, that is at work; None where it was interrupted
    cell: str
    kimg: float  # reached at its last tick or checkpoint
    planned: float | None  # kimg; None where nothing says
    seconds_per_kimg: float | None
    seconds_left: float | None  # at that pace
    updated: float  # seconds since 1970
    plan_sha256: str | None  # of the plan file it is trained by
    history: list[dict[str, float]] = field(default_factory=list)

    def line(self) -> str:
        """`digits/full/seed0  12.3 of 40.0 kimg (31%)  2.21 s/kimg  61.2 min left  W 1.23  2 s ago  interrupted`"""
        parts = [self.cell, f"{self.kimg:,.1f} kimg"]
        if self.planned:
            parts[1] = f"{self.kimg:,.1f} of {self.planned:,.1f} kimg ({self.kimg / self.planned:.0%})"
        if self.seconds_per_kimg is not None:
            parts.append(f"{self.seconds_per_kimg:.2f} s/kimg")
        if self.process and self.seconds_left is not None:
            parts.append(f"{self.seconds_left / 60:,.1f} min left")
        if self.history:
            parts.append(f"W {self.history[-1]['wasserstein']:.2f}")
        seconds = max(0.0, time.time() - self.updated)  # a clock that was put back is behind its files
        parts.append(f"{seconds:.0f} s ago" if seconds < 120 else f"{seconds / 60:.0f} min ago")
        return "  ".join([*parts, f"at work: {self.process}" if self.process else "interrupted"])


def unfinished(root: Path) -> list[Unfinished]:
    """The trainings in the work directories of `root`, sorted by cell."""
    found = [_read(path.parent) for path in root.glob("*/lock")]
    return sorted((one for one in found if one is not None), key=lambda one: (one.cell, one.folder.name))


def _read(folder: Path) -> Unfinished | None:
    """None where the training has just ended, and its directory is gone."""
    seen: dict[str, Any] = {}
    with suppress(UserError):
        seen = read_json(folder / "progress.json")
    try:
        process, _, cell = holder(folder / "lock").partition(" (")
        return Unfinished(
            folder=folder,
            process=process if held(folder / "lock") else None,
            cell=seen.get("cell") or cell.rstrip(")") or process,
            kimg=seen.get("kimg", 0.0),
            planned=seen.get("of"),
            seconds_per_kimg=seen.get("s_per_kimg"),
            seconds_left=seen.get("seconds_left"),
            updated=seen.get("updated", folder.stat().st_mtime),
            plan_sha256=seen.get("plan_sha256"),
            history=seen.get("history", []),
        )
    except FileNotFoundError:
        return None


def remove(root: Path, key: str) -> list[Unfinished]:
    """Remove the directory whose key begins with `key`, or `all`; returns what was removed.

    Errors: `UserError` where none or more than one fits, or a training that runs is named; `all` leaves those alone.
    """

    def refuse(who: str) -> None:
        raise UserError(f"--remove: {one.folder.name[:12]} is in use by {who}; end it first")

    every = unfinished(root)
    found = [one for one in every if (not one.process if key == "all" else one.folder.name.startswith(key))]
    if key != "all" and len(found) != 1:
        raise UserError(
            f"--remove: given {key!r}; allowed: all, or the beginning of one key that is listed ({len(found)} begin so)"
        )
    for one in found:
        with lock(one.folder / "lock", "being removed", refuse):
            remove_folder(one.folder)
    return found


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="transgan unfinished", description="Work directories of unfinished trainings: listed, or removed."
    )
    parser.add_argument(
        "--remove", metavar="KEY|all", help="remove one by (the beginning of) its key, or all that no training uses"
    )
    given, root = parser.parse_args().remove, work_root()
    found = unfinished(root) if given is None else remove(root, given)
    for one in found:
        size = 0
        for path in one.folder.glob("*"):
            with suppress(FileNotFoundError):  # a training at work removes some
                size += path.stat().st_size
        end = f"{size / 2**20:,.1f} MiB" if given is None else "-> removed"
        print(f"{one.folder.name[:12]}: {one.line()}  {end}")
    if not found:
        print(f"{root}: {'no unfinished trainings' if given is None else 'nothing to remove'}")


if __name__ == "__main__":
    main()
