"""The common start of the stage scripts: which cell or dataset a stage is for, and its checked plan file."""

import argparse
from dataclasses import dataclass
from typing import Any, overload

from pipeline.base.schema import Schema, bind, read_yaml


@dataclass(frozen=True, kw_only=True)
class StageTarget:
    """What a stage is for: `name` is `<dataset>`, or `<dataset>/<variant>/seed<k>` for a stage of a cell."""

    dataset: str
    name: str


@overload
def load_stage_plan(
    description: str | None, folder: str, schema: type[Schema], *, cell: bool
) -> tuple[Schema, StageTarget]: ...
@overload
def load_stage_plan(description: str | None, folder: str, schema: Any, *, cell: bool) -> tuple[Any, StageTarget]: ...
def load_stage_plan(description: str | None, folder: str, schema: Any, *, cell: bool) -> tuple[Any, StageTarget]:
    """Parse --dataset (and, for a cell, --variant and --seed) and read plan/<folder>/<name>.yaml.

    `schema`: that of the file, or a function from the file's content to it.
    Errors: `UserError` where the plan file is missing or does not fit `schema`.
    """
    parser = argparse.ArgumentParser(description=description)
    for name in ("dataset", "variant", "seed") if cell else ("dataset",):
        parser.add_argument(f"--{name}", required=True)
    given = parser.parse_args()
    target = StageTarget(
        dataset=given.dataset, name=f"{given.dataset}/{given.variant}/seed{given.seed}" if cell else given.dataset
    )
    file = f"plan/{folder}/{target.name}.yaml"
    content = read_yaml(file)
    return bind(schema if isinstance(schema, type) else schema(content), content, file=file), target
