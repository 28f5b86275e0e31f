"""Stage `prepare@<dataset>`: images read, checked and stored once -> data/<dataset>/."""

from pipeline.base.errors import command_line
from pipeline.base.stage_cli import begin
from pipeline.data.config import DataConfig
from pipeline.data.prepare import prepare


@command_line
def main() -> None:
    plan, at = begin(__doc__, "prepare", DataConfig, cell=False)
    count = prepare(plan, at.name, f"data/{at.name}")
    print(f"prepare: {count:,} images of {plan.resolution} x {plan.resolution} -> data/{at.name}/", flush=True)


if __name__ == "__main__":
    main()
