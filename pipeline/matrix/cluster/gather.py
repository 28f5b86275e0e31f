"""What a head sees of its cells, and how it brings them home:

    transgan gather              # or: make gather: a line a state; nothing is changed but the run's inputs
    transgan gather --restore    # the cells that are there: from the remote, without training; then the report

A cell is `there` (its results are in the remote), `running`, `stopped` (its state is stored), `failed` or `missing`.
What is there is read from the remote. The rest is what workers write into the work folder, so a head that does not see
it says `missing`. Two heads may gather at the same time: the remote is only read.
"""

import argparse
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.errors import UserError, command_line
from pipeline.base.files import read_json
from pipeline.base.git import other_libraries, revision
from pipeline.matrix.cluster import states
from pipeline.matrix.cluster.dvc_run import DvcRun, Ended, stage_environment
from pipeline.matrix.cluster.inputs import bring_inputs
from pipeline.matrix.cluster.remote import RemoteCells, check_remote, opened
from pipeline.matrix.cluster.units import CELL_STAGES, Unit, address, read_units

ORDER = ("there", "running", "stopped", "failed", "missing")


@dataclass(frozen=True)
class Seen:
    """A cell as the head sees it: one of ORDER, and one line about it."""

    cell: str
    state: str
    detail: str = ""


def look(units: list[Unit], there: set[str], at: str | None = None) -> list[Seen]:
    """The state of every cell; `there` are those whose results are in the remote, `at` the head's revision.

    What a worker said at another revision, and works on no more, says nothing about this one: its cell is missing.
    """
    progress = states.progress()
    seen = []
    for unit in units:
        trained = progress.get(unit.name)
        reached = f"{trained['kimg']:,.1f} of {trained['of']:,.1f} kimg" if trained else ""
        for cell in unit.cells:
            said = states.read(cell) or states.read(unit.name)
            alive = said is not None and (said.alive or bool(getattr(states.read(unit.name), "alive", False)))
            if cell in there:
                seen.append(Seen(cell, "there"))
            elif said is None:
                seen.append(Seen(cell, "missing"))
            elif alive:
                minutes = (
                    f", {trained['seconds_left'] / 60:,.0f} min left" if trained and trained["seconds_left"] else ""
                )
                seen.append(Seen(cell, "running", f"on {said.host}: {reached or 'no training yet'}{minutes}"))
            elif at is not None and said.revision != at:
                seen.append(Seen(cell, "missing", f"at {said.revision[:12]}, another revision, it was {said.status}"))
            elif said.status == "failed":
                seen.append(Seen(cell, "failed", said.detail))
            elif said.status == "pushed":
                seen.append(Seen(cell, "missing", "its results were pushed, by another plan or into another remote"))
            else:
                ended = said.detail or f"its worker on {said.host} is gone"
                seen.append(Seen(cell, "stopped", f"{ended}{f', at {reached}' if reached else ''}"))
    return seen


def describe(seen: list[Seen]) -> list[str]:
    """A line for all, then one for each cell that is not there."""
    counts = Counter(one.state for one in seen)
    lines = [f"gather: {len(seen)} cells: " + ", ".join(f"{counts[state]} {state}" for state in ORDER if counts[state])]
    lines += [
        f"  {one.state:<8} {one.cell}{f': {one.detail}' if one.detail else ''}"
        for state in ORDER[1:]
        for one in seen
        if one.state == state
    ]
    return lines


def gather(root: Path, *, restore: bool) -> list[Seen]:
    """Look at every cell and, with `restore`, bring home what is there.

    Errors: `UserError` where there is no remote, or the inputs cannot be made.
    """
    bring_inputs(root)
    units = read_units(root)
    with opened(root) as repo:
        check_remote(repo)
        remote = RemoteCells(repo)
        there = {cell for unit in units for cell in unit.cells if remote.holds(cell)}
    seen = look(units, there, revision(root))
    print("\n".join(describe(seen)), flush=True)
    if restore and there:
        bring_home(root, [one.cell for one in seen if one.state == "there"], whole=len(there) == len(seen))
    return seen


def bring_home(root: Path, cells: list[str], *, whole: bool) -> None:
    """Restore `cells` and render the report. `whole`: they are all cells, and everything else is brought up to date.

    Errors: `UserError` where dvc fails. Nothing is trained: only cells that are there are named.
    """
    began = time.monotonic()
    if whole:
        ran = _dvc(root, "repro", "--pull").ran
    else:
        names = [address(stage, cell) for stage in CELL_STAGES for cell in cells]
        ran = _dvc(root, "repro", "--pull", "--single-item", *names).ran
        datasets = sorted({cell.partition("/")[0] for cell in cells})
        references = [f"collect_reference@{dataset}" for dataset in datasets]
        ran += _dvc(root, "repro", "--single-item", *references, "report").ran
    trained = sum(name.startswith("train@") for name in ran)
    print(f"gather: {len(cells)} cells restored in {time.monotonic() - began:,.0f} s, {trained} trained", flush=True)
    for cell in cells:
        libraries = read_json(root / "runs" / cell / "run.json").get("libraries", {})
        marked = [f"{name} {given}" for name, (given, _) in other_libraries(root, libraries).items()]
        if marked:
            print(f"  note: {cell} was trained with other library versions: {', '.join(marked)}", flush=True)


def _dvc(root: Path, *arguments: str) -> Ended:
    ended = DvcRun(*arguments, root=root, environment=stage_environment()).wait(lambda line: None)
    if ended.code:
        raise UserError(
            f"dvc {' '.join(arguments[:2])} failed ({ended.error or 'run it to see why'}); "
            "what was restored is kept, the same command goes on from there"
        )
    return ended


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(prog="transgan gather", description="Which cells are there, and bring them home.")
    parser.add_argument("--restore", action="store_true", help="restore the cells that are there, render the report")
    options = parser.parse_args()
    gather(Path.cwd(), restore=options.restore)


if __name__ == "__main__":
    main()
