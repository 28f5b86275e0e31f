"""Stage `reference@<dataset>`: the evaluator and the real images' side of every metric -> reference/<dataset>/."""

from itertools import islice

import pipeline.base.torch_start  # noqa: F401 (before torch)
from pipeline.base.cell import load_stage_plan
from pipeline.base.errors import command_line
from pipeline.base.run_cache import restore
from pipeline.metrics.config import ReferencePlan
from pipeline.metrics.reference import build_reference

SHOWN = 4  # of the known answers, on the terminal: how many images, and the main metric of one half against the other


@command_line
def main() -> None:
    plan, dataset, _ = load_stage_plan(__doc__, "reference", ReferencePlan, cell=False)
    if restore(f"reference@{dataset}"):
        print(f"reference: restored from the run cache -> reference/{dataset}/", flush=True)
        return
    known = build_reference(plan, data=f"data/{dataset}", out=f"reference/{dataset}")
    first = islice(known.items(), SHOWN)
    shown = ", ".join(f"{name} {value if isinstance(value, str) else format(value, '.4g')}" for name, value in first)
    print(f"reference: {shown} -> reference/{dataset}/", flush=True)


if __name__ == "__main__":
    main()
