"""Stage `train@<cell>`: both networks of one cell trained, or imported where its plan says so -> runs/<cell>/."""

from pathlib import Path
from typing import Any

import pipeline.base.torch_start  # noqa: F401 (before torch)
from pipeline.base.cell import Cell, load_stage_plan
from pipeline.base.errors import command_line
from pipeline.base.files import say
from pipeline.base.git import no_revision
from pipeline.base.run_cache import restore
from pipeline.training.config import ImportPlan, TrainPlan


def schema(content: dict[str, Any]) -> type[TrainPlan] | type[ImportPlan]:
    """What a plan file of this stage is."""
    return ImportPlan if "weights" in content else TrainPlan


@command_line
def main() -> None:
    plan, dataset, name = load_stage_plan(__doc__, "train", schema, cell=True)
    if restore(Cell.parse(name).address("train")):
        say(f"train: {name}: restored from the run cache -> runs/{name}/")
        return
    if (why := no_revision()) is not None:
        say(f"train: {name}: note: the record will name no revision: {why}")
    if isinstance(plan, ImportPlan):
        from pipeline.released.checkpoint import import_run

        record = import_run(plan, Path("runs") / name)
        say(f"train: {name}: imported from {record['imported_from']} -> runs/{name}/")
        return
    from pipeline.runs.run import run_cell  # torch, which takes seconds

    record = run_cell(plan, data=f"data/{dataset}", out=f"runs/{name}", name=name)
    origin = f"copied from its twin {record['copied_from']}" if record["copied_from"] else f"{record['seconds']:,.0f} s"
    say(f"train: {name}: {record['status']}, {record['kimg']:,.1f} kimg, {origin} -> runs/{name}/")


if __name__ == "__main__":
    main()
