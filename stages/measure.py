"""Stage `measure@<cell>`: samples of the averaged generator measured -> measured/<cell>/."""

import pipeline.base.torch_start  # noqa: F401 (before torch)
from pipeline.base.cell import load_stage_plan
from pipeline.base.errors import command_line
from pipeline.metrics.config import MeasurePlan
from pipeline.metrics.measure import measure_run


@command_line
def main() -> None:
    plan, dataset, name = load_stage_plan(__doc__, "measure", MeasurePlan, cell=True)
    result = measure_run(plan, run=f"runs/{name}", reference=f"reference/{dataset}", out=f"measured/{name}")
    shown = ", ".join(f"{metric} {value:.4g}" for metric, value in result.items() if isinstance(value, float))
    print(f"measure: {name}: {result['status']}, {shown} -> measured/{name}/", flush=True)


if __name__ == "__main__":
    main()
