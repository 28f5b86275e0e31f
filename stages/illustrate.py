"""Stage `illustrate@<cell>`: what the report's pictures of one cell need, drawn -> illustrations/<cell>/."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported; see stages/train.py

from pipeline.base.errors import command_line
from pipeline.base.stage_cli import begin
from pipeline.metrics.config import IllustratePlan
from pipeline.pictures.illustrate import illustrate_run


@command_line
def main() -> None:
    plan, at = begin(__doc__, "illustrate", IllustratePlan, cell=True)
    names = illustrate_run(
        plan,
        run=f"runs/{at.name}",
        data=f"data/{at.dataset}",
        reference=f"reference/{at.dataset}",
        out=f"illustrations/{at.name}",
    )
    print(f"illustrate: {at.name}: {', '.join(names) or 'nothing to draw'} -> illustrations/{at.name}/", flush=True)


if __name__ == "__main__":
    main()
