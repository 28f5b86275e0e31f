"""What the event files cost: seconds spent on them during a real training, over the seconds of the training.

    python -m benchmarks.events --kimg 4

The demo's cell (digits, full) with as many ticks and grids as the whole demo has in so many kimg. Importing what writes
the files is counted too. Wall time of the training's own thread: nothing is written by another one.
"""

import argparse
import io
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.machine import facts
from pipeline.base.errors import command_line
from pipeline.data.array import read_array
from pipeline.data.prepare import prepare
from pipeline.plan.config import load, resolve_cell
from pipeline.training.config import TrainPlan, effective_settings


def spent_on_events(plan: TrainPlan, folder: Path) -> dict[str, float]:
    """Seconds of the training, of them for event files, and for importing their code (in a process that has not)."""
    images = read_array(folder / "data")  # the data's code is imported before the clock starts
    before = time.perf_counter()
    assert "tensorboard" not in sys.modules
    import tensorboard.summary.writer.record_writer  # noqa: F401  (its import is what is timed)

    imported = time.perf_counter() - before
    from pipeline.runs.checkpoint_schedule import CheckpointSchedule
    from pipeline.runs.events import EventLog
    from pipeline.training.loop import train

    spent = [0.0]

    class Timed(EventLog):
        def copy(self, outcome):
            began = time.perf_counter()
            super().copy(outcome)
            spent[0] += time.perf_counter() - began

    device = torch.device("cpu")
    schedule = CheckpointSchedule(folder / "work", plan, device, "cell", io.StringIO())
    schedule.events = Timed(folder / "events", print)
    began = time.perf_counter()
    train(plan, images, device, schedule)
    return {"training": time.perf_counter() - began, "writing": spent[0], "importing": imported}


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.events", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kimg", type=float, default=4.0, help="thousands of real images (4; the demo: 40)")
    given = parser.parse_args()
    cell = resolve_cell(load(), "digits", "full")
    whole = cell.train.kimg or given.kimg
    share = min(1.0, given.kimg / whole)
    counts = {
        "ticks": max(1, round(cell.train.ticks * share)),
        "snapshots": max(1, round(cell.train.snapshots * share)),
    }
    train = effective_settings(cell.train.model_copy(update={"kimg": given.kimg, **counts}))
    with tempfile.TemporaryDirectory() as name:
        prepare(cell.data, "digits", Path(name) / "data")
        plan = TrainPlan(network=cell.network, train=train, seed=0, code={})
        found = spent_on_events(plan, Path(name))
    # Written as often as in the whole training, imported once in it.
    cost = found["writing"] / found["training"] + found["importing"] / (found["training"] / share)
    print(facts(torch.device("cpu")))
    print(f"{given.kimg:g} kimg, {counts['ticks']} ticks, {counts['snapshots']} grids and one at the start: {found}")
    print(f"share of the whole training, {whole:g} kimg: {cost:.2%}")


if __name__ == "__main__":
    main()
