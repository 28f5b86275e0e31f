"""Stage `illustrate@<cell>`: what the report's pictures of one cell need, drawn -> illustrations/<cell>/."""

import pipeline.base.torch_start  # noqa: F401 (before torch)
from pipeline.base.errors import command_line
from pipeline.base.stage_cli import load_stage_plan
from pipeline.metrics.config import IllustratePlan
from pipeline.pictures.illustrate import illustrate_run


@command_line
def main() -> None:
    plan, target = load_stage_plan(__doc__, "illustrate", IllustratePlan, cell=True)
    names = illustrate_run(
        plan,
        run=f"runs/{target.name}",
        data=f"data/{target.dataset}",
        reference=f"reference/{target.dataset}",
        out=f"illustrations/{target.name}",
    )
    print(
        f"illustrate: {target.name}: {', '.join(names) or 'nothing to draw'} -> illustrations/{target.name}/",
        flush=True,
    )


if __name__ == "__main__":
    main()
