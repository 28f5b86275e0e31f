"""A training of a cell by several processes, as a stage: python tests/several.py PLAN DATA OUT NAME"""

import sys

from pipeline.base.errors import command_line
from pipeline.base.schema import bind, read_yaml
from pipeline.runs.run import run_cell
from pipeline.training.config import TrainPlan


@command_line
def main() -> None:
    plan, data, out, name = sys.argv[1:]
    run_cell(bind(TrainPlan, read_yaml(plan), file=plan), data=data, out=out, name=name)


if __name__ == "__main__":
    main()
