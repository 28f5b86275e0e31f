"""Trained networks kept in the repository: pretrained/<dataset>/<variant>/, about 1 MB each, found by name, offline.

    python -m pipeline.pretrained digits/full digits/no_augment     publishes finished runs there (make pretrained)

A folder holds what drawing needs (generator_ema.safetensors, network.yaml), the training's record (run.json) and a
model card (README.md). The run is that of the smallest seed. A repository is no place for large networks: MOST is the
limit.
"""

import argparse
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import UserError, choices, command_line
from pipeline.files import atomic_write, write_text
from pipeline.model_card import model_card

ROOT = Path(__file__).parent.parent
PRETRAINED = ROOT / "pretrained"
NETWORKS = "network.yaml"
FILES = (NETWORKS, "generator_ema.safetensors", "run.json")
MOST = 12 * 2**20  # bytes of all published networks together


def find_run(run_or_name: str | Path) -> Path:
    """The folder that a run's path or the name of a published network means; a path that exists comes first.

    Errors: `UserError` that lists the names there are.
    """
    path = Path(run_or_name)
    if (path / NETWORKS).is_file():
        return path
    named = PRETRAINED / path
    if re.fullmatch(r"\w+/\w+", str(run_or_name)) and (named / NETWORKS).is_file():
        return named
    known = names()
    published = f"one of {choices(known, run_or_name)}" if known else "published; pretrained/ has none"
    raise UserError(f"{run_or_name}: no finished run here ({NETWORKS} is missing), and no network {published}")


def names() -> list[str]:
    """The published networks, as `<dataset>/<variant>`."""
    return sorted(path.parent.relative_to(PRETRAINED).as_posix() for path in PRETRAINED.glob(f"*/*/{NETWORKS}"))


def publish(cells: Sequence[str], runs: Path = Path("runs"), results: Path = Path("results")) -> list[Path]:
    """Copy the run of each cell's smallest seed to pretrained/, with a model card; returns the folders.

    Errors: `UserError` where a cell has no finished run, and where all networks together would exceed MOST.
    """
    found = {cell: _smallest_seed(cell, runs) for cell in cells}
    kept = sum(_size(PRETRAINED / name) for name in names() if name not in found)
    size = kept + sum(_size(run) for run in found.values())
    if size > MOST:
        raise UserError(f"{PRETRAINED}: {size / 2**20:.1f} MiB; allowed: {MOST / 2**20:.0f} MiB of networks in all")
    for cell, run in found.items():
        for name in FILES:
            with atomic_write(PRETRAINED / cell / name) as temporary:
                shutil.copyfile(run / name, temporary)
        card = model_card(run, cell=cell, results=results / cell / run.name)
        write_text(PRETRAINED / cell / "README.md", card)
    return [PRETRAINED / cell for cell in found]


def _smallest_seed(cell: str, runs: Path) -> Path:
    if not re.fullmatch(r"\w+/\w+", cell):
        raise UserError(f"{cell}: given as the name of a cell; allowed: <dataset>/<variant>")
    seeds = sorted((runs / cell).glob("seed*"), key=lambda path: int(path.name.removeprefix("seed")))
    for run in seeds:
        if all((run / name).is_file() for name in FILES):
            return run
    raise UserError(f"{runs / cell}: no finished run with a generator; `make repro` makes those of the matrix")


def _size(folder: Path) -> int:
    return sum((folder / name).stat().st_size for name in FILES if (folder / name).is_file())


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.pretrained", description="Copy finished runs to pretrained/, with a model card each."
    )
    parser.add_argument("cells", nargs="+", metavar="DATASET/VARIANT", help="cells; the smallest seed of each")
    for folder in publish(parser.parse_args().cells):
        print(f"pretrained: {folder.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
