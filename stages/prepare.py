"""Stage `prepare@<dataset>`: images read, checked and stored once -> data/<dataset>/."""

from pathlib import Path

from pipeline.base.errors import command_line
from pipeline.base.stage_cli import load_stage_plan
from pipeline.data.config import DataConfig
from pipeline.data.prepare import prepare


@command_line
def main() -> None:
    plan, target = load_stage_plan(__doc__, "prepare", DataConfig, cell=False)
    count = prepare(plan, target.name, f"data/{target.name}", listing=Path(f"data/{target.name}.refused.txt"))
    print(f"prepare: {count:,} images of {plan.resolution} x {plan.resolution} -> data/{target.name}/", flush=True)


if __name__ == "__main__":
    main()
