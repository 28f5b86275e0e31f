"""Stage `summary`: the mean of the main metric by row -> results/summary.json and results/curves.csv."""

from pipeline.base.errors import ArgumentParser, command_line
from pipeline.matrix.collect import CURVES, SUMMARY, summarise


@command_line
def main() -> None:
    ArgumentParser(prog="python -m stages.summary", description=__doc__).parse_args()
    metric, *rows = summarise().items()
    print(f"summary: {metric[1]}: {', '.join(f'{row} {value:g}' for row, value in rows)} -> {SUMMARY}, {CURVES}")


if __name__ == "__main__":
    main()
