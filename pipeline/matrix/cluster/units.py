"""What a worker is given: a cell, with the cells that are the same training."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.base.errors import UserError, choices
from pipeline.base.files import read_json
from pipeline.base.schema import read_yaml

CACHED = ("train", "measure", "illustrate")  # stages of a cell whose outputs DVC carries between machines, in order
CELL_STAGES = (*CACHED, "collect")
INDEX = Path("plan/index.json")


@dataclass(frozen=True)
class Unit:
    """Cells of one training: `cells[0]` is trained, the others are its twins and copy it. Names: <dataset>/..."""

    cells: tuple[str, ...]
    processes: int = 1  # of the training: one GPU each

    @property
    def name(self) -> str:
        return self.cells[0]

    def stages(self, kinds: tuple[str, ...] = CACHED) -> list[str]:
        """Addresses of the unit's stages, cell by cell."""
        return [address(kind, cell) for cell in self.cells for kind in kinds]


def address(stage: str, cell: str) -> str:
    """DVC's name of a cell's stage: `train@digits-full-0` of `digits/full/seed0`."""
    dataset, variant, seed = cell.split("/")
    return f"{stage}@{dataset}-{variant}-{seed.removeprefix('seed')}"


def read_units(root: str | Path = ".") -> list[Unit]:
    """The units of the plan, in its order. Errors: `UserError` where there is no plan."""
    root = Path(root)
    groups: dict[str, list[str]] = {}
    for cell in read_json(root / INDEX)["cells"]:
        leader = f"{cell['dataset']}/{cell['twin_of'] or cell['variant']}/seed{cell['seed']}"
        groups.setdefault(leader, []).append(f"{cell['dataset']}/{cell['variant']}/seed{cell['seed']}")
    return [Unit(tuple(cells), _processes(root, leader)) for leader, cells in groups.items()]


def find_unit(units: list[Unit], cell: str) -> Unit:
    """The unit that `cell` belongs to. Errors: `UserError` where the plan has no such cell."""
    for unit in units:
        if cell in unit.cells:
            return unit
    raise UserError(f"--cell: given {cell!r}; allowed: {choices([c for unit in units for c in unit.cells], cell)}")


def _processes(root: Path, cell: str) -> int:
    """Of `train.processes`; 1 where the plan does not have it."""
    file = root / "plan/train" / f"{cell}.yaml"
    train = read_yaml(file).get("train", {}) if file.is_file() else {}  # none where a checkpoint is imported
    return int(train.get("processes", 1) or 1)
