"""A cell of the matrix, dataset x variant x seed: its plan files, which the stages read, and its DVC addresses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pipeline.base.errors import ArgumentParser, UserError

if TYPE_CHECKING:
    from pipeline.base.schema import Schema

CACHED = ("train", "measure", "illustrate")  # stages of a cell whose outputs DVC carries between machines, in order
STAGES = (*CACHED, "collect")  # every stage of a cell, in order


@dataclass(frozen=True, order=True)
class Cell:
    """One training with its measurements. `str(cell)` is its name, `digits/full/seed1`."""

    dataset: str
    variant: str
    seed: int

    def __str__(self) -> str:
        return f"{self.dataset}/{self.variant}/seed{self.seed}"

    @classmethod
    def parse(cls, name: str) -> Self:
        """The cell of that name. Errors: `UserError` for another form."""
        match = re.fullmatch(r"(\w+)/(\w+)/seed(\d+)", name, flags=re.ASCII)
        if not match:
            raise UserError(f"cell: given {name!r}; allowed: <dataset>/<variant>/seed<number>, as digits/full/seed1")
        return cls(match[1], match[2], int(match[3]))

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """The cell of a record of plan/index.json, or of a row of the report's table of cells."""
        return cls(record["dataset"], record["variant"], int(record["seed"]))

    def plan(self, stage: str, root: str | Path = "plan") -> Path:
        """The plan file of one of the cell's stages."""
        return Path(root) / stage / f"{self}.yaml"

    def address(self, stage: str) -> str:
        """DVC's name of one of the cell's stages: `train@digits-full-1`."""
        return f"{stage}@{self.dataset}-{self.variant}-{self.seed}"


def load_stage_plan(
    description: str | None, folder: str, schema: type[Schema] | Callable[[dict[str, Any]], type[Schema]], *, cell: bool
) -> tuple[Schema, str, str]:
    """Parse --dataset (and, for a cell, --variant and --seed) and read plan/<folder>/<name>.yaml.

    `schema`: that of the file, or a function from the file's content to it. Returns the bound plan, the dataset, and
    the name: `<dataset>`, or `<dataset>/<variant>/seed<k>` for a cell.
    Errors: `UserError` where the plan file is missing or does not fit `schema`.
    """
    parser = ArgumentParser(prog=f"python -m stages.{folder}", description=description)
    for option in ("dataset", "variant", "seed") if cell else ("dataset",):
        parser.add_argument(f"--{option}", required=True)
    given = parser.parse_args()
    name = f"{given.dataset}/{given.variant}/seed{given.seed}" if cell else given.dataset
    from pipeline.base.schema import bind, read_yaml  # pydantic, which steps that only copy files do without

    content = read_yaml(file := f"plan/{folder}/{name}.yaml")
    return bind(schema if isinstance(schema, type) else schema(content), content, file=file), given.dataset, name
