"""Stage `evaluate@<cell>`: the averaged generator sampled and measured -> results/<cell>.json."""

from pipeline.errors import command_line
from pipeline.metrics.config import EvaluatePlan
from pipeline.metrics.evaluate import evaluate_run
from pipeline.stage import begin


@command_line
def main() -> None:
    plan, at = begin(__doc__, "evaluate", EvaluatePlan, cell=True)
    result = evaluate_run(
        plan,
        run=f"runs/{at.name}",
        data=f"data/{at.dataset}",
        reference=f"reference/{at.dataset}",
        metrics=f"results/{at.name}.json",
        pictures=f"results/{at.name}",
    )
    shown = ", ".join(f"{name} {value:.4g}" for name, value in result.items() if isinstance(value, float))
    print(f"evaluate: {at.name}: {result['status']}, {shown} -> results/{at.name}.json", flush=True)


if __name__ == "__main__":
    main()
