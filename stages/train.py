"""Stage `train@<cell>`: both networks of one cell trained, or imported where its plan says so -> runs/<cell>/."""

import os

# Threads that wait give their core back: beside other jobs, spinning ones made a step ten times as long. Read once, by
# the first import of torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pathlib import Path
from typing import Any

from pipeline.base.cell import Cell
from pipeline.base.errors import command_line
from pipeline.base.run_cache import restored
from pipeline.base.stage_cli import begin
from pipeline.training.config import ImportPlan, TrainPlan


def schema(content: dict[str, Any]) -> type[TrainPlan] | type[ImportPlan]:
    """What a plan file of this stage is."""
    return ImportPlan if "weights" in content else TrainPlan


@command_line
def main() -> None:
    plan, at = begin(__doc__, "train", schema, cell=True)
    if restored(Cell.parse(at.name).address("train")):
        print(f"train: {at.name}: restored from the run cache -> runs/{at.name}/", flush=True)
        return
    from pipeline.released.import_networks import import_run  # torch, which takes seconds
    from pipeline.runs.group import under_torchrun
    from pipeline.runs.rank import follow_cell
    from pipeline.runs.run import run_cell

    if isinstance(plan, ImportPlan):
        record = import_run(plan, Path("runs") / at.name)
        print(f"train: {at.name}: imported from {record['imported_from']} -> runs/{at.name}/", flush=True)
        return
    if under_torchrun() and int(os.environ["RANK"]):
        follow_cell(plan, data=f"data/{at.dataset}", out=f"runs/{at.name}", name=at.name)
        return
    record = run_cell(plan, data=f"data/{at.dataset}", out=f"runs/{at.name}", name=at.name)
    origin = f"copied from its twin {record['copied_from']}" if record["copied_from"] else f"{record['seconds']:,.0f} s"
    print(f"train: {at.name}: {record['status']}, {record['kimg']:,.1f} kimg, {origin} -> runs/{at.name}/", flush=True)


if __name__ == "__main__":
    main()
