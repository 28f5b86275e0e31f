"""Stage `collect_reference@<dataset>`: the evaluator's known answers -> results/<dataset>/reference.json."""

import sys

from pipeline.base.errors import command_line
from pipeline.matrix.collect import collect_reference


@command_line
def main() -> None:
    dataset = sys.argv[1]
    collect_reference(dataset)
    print(f"collect_reference: {dataset} -> results/{dataset}/reference.json", flush=True)


if __name__ == "__main__":
    main()
