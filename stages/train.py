"""Stage `train@<cell>`: both networks of one cell trained -> runs/<cell>/."""

from pipeline.errors import command_line
from pipeline.stage import begin
from pipeline.training.config import TrainPlan
from pipeline.training.run import run_cell


@command_line
def main() -> None:
    plan, at = begin(__doc__, "train", TrainPlan, cell=True)
    record = run_cell(plan, data=f"data/{at.dataset}", out=f"runs/{at.name}", name=at.name)
    origin = f"copied from its twin {record['copied_from']}" if record["copied_from"] else f"{record['seconds']:,.0f} s"
    print(f"train: {at.name}: {record['status']}, {record['kimg']:,.1f} kimg, {origin} -> runs/{at.name}/", flush=True)


if __name__ == "__main__":
    main()
