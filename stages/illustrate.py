"""Stage `illustrate@<cell>`: what the report's pictures of one cell need, drawn -> illustrations/<cell>/."""

import pipeline.base.torch_start  # noqa: F401 (before torch)
from pipeline.base.cell import load_stage_plan
from pipeline.base.errors import command_line
from pipeline.metrics.extractors.registry import IllustratePlan
from pipeline.pictures.illustrate import illustrate_run


@command_line
def main() -> None:
    plan, dataset, name = load_stage_plan(__doc__, "illustrate", IllustratePlan, cell=True)
    drawn = illustrate_run(
        plan,
        run=f"runs/{name}",
        data=f"data/{dataset}",
        reference=f"reference/{dataset}",
        out=f"illustrations/{name}",
    )
    print(
        f"illustrate: {name}: {', '.join(drawn) or 'nothing to draw'} -> illustrations/{name}/",
        flush=True,
    )


if __name__ == "__main__":
    main()
