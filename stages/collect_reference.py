"""Stage `collect_reference@<dataset>`: the evaluator's known answers -> results/<dataset>/reference.json."""

from pipeline.base.errors import ArgumentParser, command_line
from pipeline.matrix.collect import collect_reference


@command_line
def main() -> None:
    parser = ArgumentParser(prog="python -m stages.collect_reference", description=__doc__)
    parser.add_argument("dataset")
    dataset = parser.parse_args().dataset
    collect_reference(dataset)
    print(f"collect_reference: {dataset} -> results/{dataset}/reference.json", flush=True)


if __name__ == "__main__":
    main()
