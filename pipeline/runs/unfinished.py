"""Trainings that are at work or were interrupted: transgan unfinished [--remove KEY|all]

They are listed, or their work directories removed. What is shown is read from those directories, never written.
"""

import argparse
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError, command_line
from pipeline.base.files import read_json
from pipeline.runs.work_dirs import held, holder, lock, remove_folder, stored, work_root


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """A training that is at work, or was interrupted. `history` and `machine`: rows as in the run's CSV files."""

    folder: Path
    cell: str
    process: str | None  # `process 123`, that is at work; None where it was interrupted
    kimg: float  # reached, as far as its files say
    planned: float | None  # kimg; None where nothing says
    seconds_per_kimg: float | None
    updated: float  # when its files last said something, seconds since 1970
    plan_sha256: str | None  # of the plan file it is trained by
    history: list[dict[str, float]] = field(default_factory=list)
    machine: list[dict[str, float]] = field(default_factory=list)

    @property
    def seconds_left(self) -> float | None:
        """Time that the rest takes at the pace of the last tick; None where the pace is not known."""
        if self.planned is None or self.seconds_per_kimg is None:
            return None
        return max(0.0, self.planned - self.kimg) * self.seconds_per_kimg

    def line(self) -> str:
        """`digits/full/seed0  12.3 of 40.0 kimg  31%  2.21 s/kimg  61.2 min left  W 1.23  2 s ago  interrupted`"""
        of = "" if self.planned is None else f" of {self.planned:,.1f}"
        parts = [self.cell, f"{self.kimg:,.1f}{of} kimg"]
        if self.planned:
            parts.append(f"{self.kimg / self.planned:.0%}")
        if self.seconds_per_kimg is not None:
            parts.append(f"{self.seconds_per_kimg:.2f} s/kimg")
        if self.process and self.seconds_left is not None:
            parts.append(f"{self.seconds_left / 60:,.1f} min left")
        if self.history:
            values = [row["wasserstein"] for row in self.history]
            parts.append(f"W {values[-1]:.2f} {sparkline(values)}")
        seconds = max(0.0, time.time() - self.updated)  # a clock that was put back is behind its files
        parts.append(f"{seconds:.0f} s ago" if seconds < 120 else f"{seconds / 60:.0f} min ago")
        return "  ".join([*parts, f"at work: {self.process}" if self.process else "interrupted"])


def sparkline(values: list[float], width: int = 24) -> str:
    """A curve as one line of blocks: means over `width` equal parts, from the least to the largest of them."""
    size = max(1, -(-len(values) // width))
    parts = [values[start : start + size] for start in range(0, len(values), size)]
    means = [sum(part) / len(part) for part in parts]
    least, span = min(means), max(means) - min(means)
    return "".join("▁▂▃▄▅▆▇█"[round((mean - least) / span * 7) if span else 0] for mean in means)


def unfinished(root: Path) -> list[Unfinished]:
    """The trainings in the work directories of `root`, sorted by cell."""
    found = [_read(path.parent) for path in sorted(root.glob("*/lock"))]
    return sorted((one for one in found if one is not None), key=lambda one: (one.cell, one.folder.name))


def _read(folder: Path) -> Unfinished | None:
    """From the newest checkpoint that can be read, and from progress.json where that is further.

    A training at work may remove a file, or at its end the directory, while it is read; then None.
    """
    saved: dict[str, Any] = {}
    live: dict[str, Any] = {}
    for path in stored(folder):
        with suppress(UserError):
            saved = read_json(path)
            break
    with suppress(UserError):
        live = read_json(folder / "progress.json")
    history, machine = saved.get("history", []), saved.get("machine", [])
    try:
        process, _, cell = (holder(folder / "lock") or "unknown").partition(" (")
        return Unfinished(
            folder=folder,
            cell=saved.get("cell") or live.get("cell") or cell.rstrip(")") or process,
            process=process if held(folder / "lock") else None,
            kimg=max(saved.get("kimg", 0.0), live.get("kimg", 0.0)),
            planned=live.get("of", saved.get("kimg_planned")),
            seconds_per_kimg=live.get("s_per_kimg", machine[-1].get("sec_per_kimg") if machine else None),
            updated=max(saved.get("saved", folder.stat().st_mtime), live.get("updated", 0.0)),
            plan_sha256=saved.get("plan_sha256"),
            history=history,
            machine=machine,
        )
    except FileNotFoundError:
        return None


def _size(folder: Path) -> int:
    """Bytes of its files. A training at work may remove one meanwhile."""
    size = 0
    for path in folder.glob("*"):
        with suppress(FileNotFoundError):
            size += path.stat().st_size
    return size


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
    if given is None:
        for one in (found := unfinished(root)):
            print(f"{one.folder.name[:12]}: {_size(one.folder) / 2**20:,.1f} MiB  {one.line()}")
    else:
        for one in (found := remove(root, given)):
            print(f"{one.folder.name[:12]}: {one.line()} -> removed")
    if not found:
        print(f"{root}: {'no unfinished trainings' if given is None else 'nothing to remove'}")


if __name__ == "__main__":
    main()
