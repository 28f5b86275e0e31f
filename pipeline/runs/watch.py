"""Trainings, watched while they train: transgan watch [--text]

Without --text it starts TensorBoard on the curves and pictures that trainings write to .work/events. It needs no
network. With --text it shows a line for each training at work or interrupted, again and again on a terminal. What is
shown is read from work directories, never written.
"""

import argparse
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError, command_line
from pipeline.base.files import read_json
from pipeline.runs.work_dirs import EVENTS, Entry, entries, stored, work_root

CLEAR = "\x1b[H\x1b[J"


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """A training that is at work, or was interrupted. `history` and `machine`: rows as in the run's CSV files."""

    key: str
    cell: str
    running: bool
    kimg: float  # reached, as far as its files say
    planned: float | None  # kimg; None where nothing says
    seconds_per_kimg: float | None
    updated: float  # when its files last said something, seconds since 1970
    plan_sha256: str | None = None  # of the plan file it is trained by
    history: list[dict[str, float]] = field(default_factory=list)
    machine: list[dict[str, float]] = field(default_factory=list)

    @property
    def seconds_left(self) -> float | None:
        """Time that the rest takes at the pace of the last tick; None where the pace is not known."""
        if self.planned is None or self.seconds_per_kimg is None:
            return None
        return max(0.0, self.planned - self.kimg) * self.seconds_per_kimg


def unfinished(root: Path) -> list[Unfinished]:
    """The trainings in the work directories of `root`, sorted by cell."""
    return sorted((_read(entry) for entry in entries(root)), key=lambda one: (one.cell, one.key))


def _read(entry: Entry) -> Unfinished:
    """From the newest checkpoint that can be read, and from progress.json where that is further."""
    saved = _newest(entry.folder)
    history, machine = saved.get("history", []), saved.get("machine", [])
    live: dict[str, Any] = {}
    with suppress(UserError):
        live = read_json(entry.folder / "progress.json")
    pace = machine[-1].get("sec_per_kimg") if machine else None
    return Unfinished(
        key=entry.folder.name,
        cell=saved.get("cell") or live.get("cell") or entry.who.partition("(")[2].rstrip(")") or entry.who,
        running=entry.running,
        kimg=max(saved.get("kimg", 0.0), live.get("kimg", 0.0)),
        planned=live.get("of", saved.get("kimg_planned")),
        seconds_per_kimg=live.get("s_per_kimg", pace),
        updated=max(entry.saved, live.get("updated", 0.0)),
        plan_sha256=saved.get("plan_sha256"),
        history=history,
        machine=machine,
    )


def _newest(folder: Path) -> dict[str, Any]:
    """The content of the newest checkpoint's JSON. A training at work may remove one while it is being read."""
    for path in stored(folder):
        with suppress(UserError):
            return read_json(path)
    return {}


def line(one: Unfinished) -> str:
    """`digits/full/seed0  12.3 of 40.0 kimg  31 %  2.21 s/kimg  61.2 min left  W 1.23  2 s ago  at work`"""
    of = "" if one.planned is None else f" of {one.planned:,.1f}"
    parts = [one.cell, f"{one.kimg:,.1f}{of} kimg"]
    if one.planned:
        parts.append(f"{one.kimg / one.planned:.0%}")
    if one.seconds_per_kimg is not None:
        parts.append(f"{one.seconds_per_kimg:.2f} s/kimg")
    if one.running and one.seconds_left is not None:
        parts.append(f"{one.seconds_left / 60:,.1f} min left")
    if one.history:
        values = [row["wasserstein"] for row in one.history]
        parts.append(f"W {values[-1]:.2f} {sparkline(values)}")
    parts.append(_ago(time.time() - one.updated))
    parts.append("at work" if one.running else "interrupted")
    return "  ".join(parts)


def sparkline(values: list[float], width: int = 24) -> str:
    """A curve as one line of blocks: means over `width` equal parts, from the least to the largest of them."""
    size = max(1, -(-len(values) // width))
    parts = [values[start : start + size] for start in range(0, len(values), size)]
    means = [sum(part) / len(part) for part in parts]
    least, span = min(means), max(means) - min(means)
    return "".join("▁▂▃▄▅▆▇█"[round((mean - least) / span * 7) if span else 0] for mean in means)


def _ago(seconds: float) -> str:
    return f"{seconds:.0f} s ago" if seconds < 120 else f"{seconds / 60:.0f} min ago"


def tensorboard_command(folder: Path, *, host: str, port: int) -> list[str]:
    """Start of TensorBoard on `folder` in this environment's Python."""
    options = ["--logdir", str(folder), "--host", host, "--port", str(port), "--reload_interval", "10"]
    return [sys.executable, "-m", "tensorboard.main", *options]


def text(root: Path) -> str:
    """A line for every training that is not complete."""
    found = unfinished(root)
    return "\n".join(map(line, found)) if found else f"{root}: no training is at work, and none was interrupted"


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(prog="transgan watch", description="Curves and pictures of trainings at work.")
    parser.add_argument("--text", action="store_true", help="a line for each training, no TensorBoard")
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two looks, with --text (2)")
    parser.add_argument("--port", type=int, default=6006, help="of TensorBoard (6006)")
    parser.add_argument("--host", default="localhost", help="that TensorBoard answers to (localhost; 0.0.0.0: anybody)")
    given = parser.parse_args()
    if given.every <= 0:
        raise UserError(f"--every: given {given.every:g}; allowed: seconds, more than 0")
    root = work_root()
    if not given.text:
        folder = root / EVENTS
        folder.mkdir(parents=True, exist_ok=True)
        print(f"watch: TensorBoard on {folder}; Ctrl-C ends it, the trainings go on", flush=True)
        code = subprocess.run(tensorboard_command(folder, host=given.host, port=given.port)).returncode
        if code:
            raise UserError(f"TensorBoard ended with status {code}, see above; another --port may be free")
        return
    while sys.stdout.isatty():
        print(CLEAR + text(root), flush=True)
        time.sleep(given.every)
    print(text(root))


if __name__ == "__main__":
    main()
