"""Stage `plan`: params.yaml -> plan/, everything checked."""

from pipeline.base.errors import ArgumentParser, command_line
from pipeline.plan.planning import describe_plan, overridden_note, write_plan


@command_line
def main() -> None:
    ArgumentParser(prog="python -m stages.plan", description=__doc__).parse_args()
    print("\n".join([*describe_plan(write_plan()), *overridden_note()]), flush=True)


if __name__ == "__main__":
    main()
