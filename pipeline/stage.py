"""What every stage script starts with: which cell or dataset, and its checked plan file."""

import argparse
from dataclasses import dataclass

from pipeline.strict import Schema, bind, read_yaml


@dataclass(frozen=True, kw_only=True)
class At:
    """The place of a stage: `name` is `<dataset>`, or `<dataset>/<variant>/seed<k>` for a stage of a cell."""

    dataset: str
    name: str


def begin(description: str, folder: str, schema: type[Schema], *, cell: bool) -> tuple[Schema, At]:
    """Parse --dataset (and, for a cell, --variant and --seed), read plan/<folder>/<name>.yaml.

    Errors: `UserError` where the plan file is missing or does not fit `schema`.
    """
    parser = argparse.ArgumentParser(description=description)
    for name in ("dataset", "variant", "seed") if cell else ("dataset",):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    at = At(dataset=given.dataset, name=f"{given.dataset}/{given.variant}/seed{given.seed}" if cell else given.dataset)
    file = f"plan/{folder}/{at.name}.yaml"
    return bind(schema, read_yaml(file), file=file), at
