"""What a head sees of its cells, and how it brings them home:

    transgan gather              # or: make gather: a line a state; nothing is changed but the plan
    transgan gather --restore    # the cells that are in the remote, without training; then the report

Without --restore it reads what workers wrote into the work folder: a head that does not see that folder says `missing`.
With it DVC looks into the remote, and stages/train.py refuses to train.
"""

from collections import Counter
from pathlib import Path

from pipeline.base.cell import STAGES, Cell
from pipeline.base.errors import ArgumentParser, command_line
from pipeline.base.files import read_json
from pipeline.base.git import ask, other_libraries
from pipeline.base.run_cache import ONLY_RESTORE
from pipeline.matrix.dvc import DvcError, check_remote, dvc, stages_begun
from pipeline.matrix.units import State, Unit, last_report, read_units, state_file, trainings
from pipeline.runs.work_dirs import held


def cell_states(units: list[Unit], at: str | None) -> dict[Cell, tuple[State, str]]:
    """The state of every cell, and a line about it. What a worker that is gone said counts at the revision `at`."""
    states: dict[Cell, tuple[State, str]] = {}
    unfinished = trainings()
    for unit in units:
        training, alive = unfinished.get(str(unit)), held(state_file(unit.cells[0], "lock"))
        reached = f"at {training.kimg:,.1f} of {training.planned or 0:,.1f} kimg" if training else ""
        left = f", {training.seconds_left / 60:,.0f} min left" if training and training.seconds_left else ""
        for cell in unit.cells:
            report = last_report(cell) or last_report(unit.cells[0])
            if not report:
                states[cell] = State.MISSING, ""
            elif alive:
                states[cell] = State.RUNNING, f"on {report['host']}: {reached or 'no training yet'}{left}"
            elif report["revision"] != at:
                states[cell] = State.MISSING, f"{report['state']} at another revision, {report['revision'][:12]}"
            elif report["state"] == State.RUNNING:
                states[cell] = State.STOPPED, f"its worker on {report['host']} is gone {reached}".rstrip()
            else:
                state = State(report["state"])
                states[cell] = state, report["detail"] or ("" if state is State.DONE else reached)
    return states


def describe(states: dict[Cell, tuple[State, str]]) -> list[str]:
    """A line for all, then one for each cell that is not done."""
    counts = Counter(state for state, _ in states.values())
    numbers = ", ".join(f"{counts[state]} {state}" for state in State if counts[state])
    lines = [f"gather: {len(states)} cells: {numbers}"]
    rank = list(State).index
    for cell, (state, detail) in sorted(states.items(), key=lambda item: rank(item[1][0])):
        if state is not State.DONE:
            lines.append(f"  {state:<8} {cell}{f': {detail}' if detail else ''}")
    return lines


def restore(root: Path, units: list[Unit]) -> set[Cell]:
    """Bring home every cell that the remote has, and render the report; returns these cells. Nothing is trained.

    Errors: `UserError` where dvc fails for another reason than a cell that the remote lacks.
    """
    cells = {cell: cell.address("train") for unit in units for cell in unit.cells}
    names = [name for unit in units for name in unit.addresses(STAGES)]
    try:
        output = dvc("repro", "--pull", "--keep-going", *names, root=root, variables={ONLY_RESTORE: "1"})
    except DvcError as error:
        output = error.output
        if not {*cells.values()} & {*stages_begun(output)}:  # no training was refused: a real failure
            raise
    begun = stages_begun(output)
    home = {cell for cell, name in cells.items() if name not in begun and (root / "runs" / str(cell)).is_dir()}
    if home:
        references = sorted({f"collect_reference@{cell.dataset}" for cell in home})
        dvc("repro", "--single-item", *references, "summary", "report", root=root)
    print(f"gather: {len(home)} of {len(cells)} cells restored, 0 trained", flush=True)
    for cell in sorted(home):
        libraries = read_json(root / "results" / str(cell) / "run.json", {}).get("libraries", {})
        if others := other_libraries(root, libraries):
            marked = ", ".join(f"{name} {version}" for name, (version, _) in others.items())
            print(f"  note: {cell} was trained with other library versions: {marked}", flush=True)
    return home


@command_line
def main() -> None:
    parser = ArgumentParser(prog="transgan gather", description="Which cells are there, and bring them home.")
    parser.add_argument("--restore", action="store_true", help="restore the cells of the remote, render the report")
    options, root = parser.parse_args(), Path.cwd()
    check_remote(root)
    dvc("repro", "plan", root=root)
    units = read_units(root)
    print("\n".join(describe(cell_states(units, ask("rev-parse", "HEAD", root=root)))), flush=True)
    if options.restore:
        restore(root, units)
