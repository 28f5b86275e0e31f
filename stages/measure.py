"""Stage `measure@<cell>`: samples of the averaged generator measured -> measured/<cell>/."""

import pipeline.base.torch_start  # noqa: F401 (before torch)
from pipeline.base.errors import command_line
from pipeline.base.stage_cli import load_stage_plan
from pipeline.metrics.config import MeasurePlan
from pipeline.metrics.measure import measure_run


@command_line
def main() -> None:
    plan, target = load_stage_plan(__doc__, "measure", MeasurePlan, cell=True)
    result = measure_run(
        plan, run=f"runs/{target.name}", reference=f"reference/{target.dataset}", out=f"measured/{target.name}"
    )
    shown = ", ".join(f"{name} {value:.4g}" for name, value in result.items() if isinstance(value, float))
    print(f"measure: {target.name}: {result['status']}, {shown} -> measured/{target.name}/", flush=True)


if __name__ == "__main__":
    main()
