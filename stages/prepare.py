"""Stage `prepare@<dataset>`: images read, checked and stored once -> data/<dataset>/."""

from pathlib import Path

from pipeline.base.cell import load_stage_plan
from pipeline.base.errors import command_line
from pipeline.data.config import DataConfig
from pipeline.data.prepare import prepare


@command_line
def main() -> None:
    plan, name, _ = load_stage_plan(__doc__, "prepare", DataConfig, cell=False)
    count = prepare(plan, name, f"data/{name}", listing=Path(f"data/{name}.refused.txt"))
    print(f"prepare: {count:,} images of {plan.resolution} x {plan.resolution} -> data/{name}/", flush=True)


if __name__ == "__main__":
    main()
