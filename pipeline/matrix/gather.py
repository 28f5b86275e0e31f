"""What a head sees of its cells, and how it brings them home:

    transgan gather              # or: make gather: a line a state; nothing is changed but the plan
    transgan gather --restore    # the cells that are in the remote, without training; then the report

Without --restore it reads what workers wrote into the work folder: a head that does not see that folder says `missing`.
With it DVC looks into the remote, and stages/train.py refuses to train.
"""

import argparse
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from pipeline.base.cell import STAGES, Cell
from pipeline.base.errors import command_line
from pipeline.base.files import read_json
from pipeline.base.git import other_libraries, revision
from pipeline.base.run_cache import ONLY_RESTORE
from pipeline.matrix.dvc import DvcError, check_remote, dvc
from pipeline.matrix.units import State, Unit, last_word, progress, read_units, state_file
from pipeline.runs.work_dirs import held


class Seen(NamedTuple):
    """A cell as the head sees it, and one line about it."""

    cell: Cell
    state: State
    detail: str = ""


def look(units: list[Unit], at: str | None) -> list[Seen]:
    """The state of every cell. What a worker that is gone said at another revision than `at` does not count."""
    found, seen = progress(), []
    for unit in units:
        trained, alive = found.get(str(unit)), held(state_file(unit.cells[0], "lock"))
        reached = f"at {trained['kimg']:,.1f} of {trained['of']:,.1f} kimg" if trained else ""
        left = f", {trained['seconds_left'] / 60:,.0f} min left" if trained and trained["seconds_left"] else ""
        for cell in unit.cells:
            said = last_word(cell) or last_word(unit.cells[0])
            if said is None:
                seen.append(Seen(cell, State.MISSING))
            elif alive:
                seen.append(Seen(cell, State.RUNNING, f"on {said.host}: {reached or 'no training yet'}{left}"))
            elif said.revision != at:
                seen.append(Seen(cell, State.MISSING, f"{said.state} at another revision, {said.revision[:12]}"))
            elif said.state is State.RUNNING:
                seen.append(Seen(cell, State.STOPPED, f"its worker on {said.host} is gone {reached}".rstrip()))
            else:
                seen.append(Seen(cell, said.state, said.detail or ("" if said.state is State.DONE else reached)))
    return seen


def describe(seen: list[Seen]) -> list[str]:
    """A line for all, then one for each cell that is not done."""
    counts = Counter(one.state for one in seen)
    lines = [f"gather: {len(seen)} cells: " + ", ".join(f"{counts[state]} {state}" for state in State if counts[state])]
    return lines + [
        f"  {one.state:<8} {one.cell}{f': {one.detail}' if one.detail else ''}"
        for state in State
        for one in seen
        if one.state is state and state is not State.DONE
    ]


def restore(root: Path, units: list[Unit]) -> set[Cell]:
    """Bring home every cell that the remote has, and render the report; returns these cells. Nothing is trained.

    Errors: `UserError` where dvc fails for another reason than a cell that the remote lacks.
    """
    cells = [cell for unit in units for cell in unit.cells]
    names = [cell.address(stage) for cell in cells for stage in STAGES]
    try:
        output = dvc("repro", "--pull", "--keep-going", *names, root=root, variables={ONLY_RESTORE: "1"})
    except DvcError as error:
        output = error.output
        if not {cell.address("train") for cell in cells} & set(output.ran):  # no training was refused: a real failure
            raise
    home = {cell for cell in cells if cell.address("train") not in output.ran and cell.run(root / "runs").is_dir()}
    datasets = sorted({cell.dataset for cell in home})
    if home:
        last = [*(f"collect_reference@{dataset}" for dataset in datasets), "summary", "report"]
        dvc("repro", "--single-item", *last, root=root)
    print(f"gather: {len(home)} of {len(cells)} cells restored, 0 trained", flush=True)
    for cell in sorted(home):
        record = cell.results(root / "results") / "run.json"
        libraries = read_json(record).get("libraries", {}) if record.is_file() else {}
        marked = [f"{name} {given}" for name, (given, _) in other_libraries(root, libraries).items()]
        if marked:
            print(f"  note: {cell} was trained with other library versions: {', '.join(marked)}", flush=True)
    return home


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(prog="transgan gather", description="Which cells are there, and bring them home.")
    parser.add_argument("--restore", action="store_true", help="restore the cells of the remote, render the report")
    options, root = parser.parse_args(), Path.cwd()
    check_remote(root)
    dvc("repro", "plan", root=root)
    units = read_units(root)
    print("\n".join(describe(look(units, revision(root)))), flush=True)
    if options.restore:
        restore(root, units)


if __name__ == "__main__":
    main()
