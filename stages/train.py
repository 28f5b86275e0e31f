"""Stage `train@<cell>`: both networks of one cell trained, or imported where its plan says so -> runs/<cell>/."""

import os
from pathlib import Path
from typing import Any

import pipeline.base.torch_start  # noqa: F401 (before torch)
from pipeline.base.cell import Cell
from pipeline.base.errors import command_line
from pipeline.base.git import no_revision
from pipeline.base.output import say
from pipeline.base.run_cache import restored
from pipeline.base.stage_cli import load_stage_plan
from pipeline.training.config import ImportPlan, TrainPlan


def schema(content: dict[str, Any]) -> type[TrainPlan] | type[ImportPlan]:
    """What a plan file of this stage is."""
    return ImportPlan if "weights" in content else TrainPlan


@command_line
def main() -> None:
    plan, target = load_stage_plan(__doc__, "train", schema, cell=True)
    if restored(Cell.parse(target.name).address("train")):
        say(f"train: {target.name}: restored from the run cache -> runs/{target.name}/")
        return
    if (why := no_revision()) is not None:
        say(f"train: {target.name}: note: the record will name no revision: {why}")
    from pipeline.released.import_networks import import_run  # torch, which takes seconds
    from pipeline.runs.processes import under_torchrun
    from pipeline.runs.rank import follow_cell
    from pipeline.runs.run import run_cell

    if isinstance(plan, ImportPlan):
        record = import_run(plan, Path("runs") / target.name)
        say(f"train: {target.name}: imported from {record['imported_from']} -> runs/{target.name}/")
        return
    if under_torchrun() and int(os.environ["RANK"]):
        follow_cell(plan, data=f"data/{target.dataset}", out=f"runs/{target.name}", name=target.name)
        return
    record = run_cell(plan, data=f"data/{target.dataset}", out=f"runs/{target.name}", name=target.name)
    origin = f"copied from its twin {record['copied_from']}" if record["copied_from"] else f"{record['seconds']:,.0f} s"
    say(f"train: {target.name}: {record['status']}, {record['kimg']:,.1f} kimg, {origin} -> runs/{target.name}/")


if __name__ == "__main__":
    main()
