"""Trained networks kept in the repository, found by name, offline.

    pretrained/<dataset>/<variant>/             of the demo, about 1 MB each: digits/full
    published/<name>/networks/<variant>/        of published runs (pipeline.matrix.publish): faces32/full

    python -m pipeline.generators.pretrained digits/full digits/no_augment  copies runs to pretrained/ (make pretrained)

A folder holds what drawing needs (generator_ema.safetensors, network.yaml), the training's record (run.json) and a
model card (README.md). The run is that of the smallest seed. A repository is no place for large networks: MOST is the
limit.
"""

import argparse
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from pipeline.base.errors import UserError, choices, command_line
from pipeline.base.files import atomic_write, write_text
from pipeline.generators.card import model_card

ROOT = Path(__file__).parent.parent.parent
PRETRAINED = ROOT / "pretrained"
PUBLISHED = ROOT / "published"
KEPT = "networks"  # in the folder of a published run
NETWORKS = "network.yaml"
FILES = (NETWORKS, "generator_ema.safetensors", "run.json")
MOST = 12 * 2**20  # bytes of all networks under pretrained/ together, and of those of one published run


def find_run(run_or_name: str | Path) -> Path:
    """The folder that a run's path or the name of a kept network means; a path that exists comes first.

    Errors: `UserError` that lists the names there are.
    """
    path = Path(run_or_name)
    if (path / NETWORKS).is_file():
        return path
    found = kept_networks()
    if str(run_or_name) in found:
        return found[str(run_or_name)]
    kept = f"one of {choices(found, run_or_name)}" if found else "published; pretrained/ has none"
    raise UserError(f"{run_or_name}: no finished run here ({NETWORKS} is missing), and no network {kept}")


def kept_networks() -> dict[str, Path]:
    """Name -> folder of every network that the repository holds, in the order of the names."""
    demo = {f"{path.parts[-3]}/{path.parts[-2]}": path.parent for path in PRETRAINED.glob(f"*/*/{NETWORKS}")}
    places = PUBLISHED.glob(f"*/{KEPT}/*/{NETWORKS}")
    runs = {f"{path.parts[-4]}/{path.parts[-2]}": path.parent for path in places}
    return dict(sorted((runs | demo).items()))


def publish(cells: Sequence[str], runs: Path = Path("runs"), results: Path = Path("results")) -> list[Path]:
    """Copy the run of each cell's smallest seed to pretrained/, with a model card; returns the folders.

    Errors: `UserError` where a cell has no finished run, and where all networks together would exceed MOST.
    """
    found = {cell: _smallest_seed(cell, runs) for cell in cells}
    others = [place.parent for place in PRETRAINED.glob(f"*/*/{NETWORKS}")]
    before = sum(size(place) for place in others if place.relative_to(PRETRAINED).as_posix() not in found)
    total = before + sum(size(run) for run in found.values())
    if total > MOST:
        raise UserError(f"{PRETRAINED}: {total / 2**20:.1f} MiB; allowed: {MOST / 2**20:.0f} MiB of networks in all")
    for cell, run in found.items():
        keep(run, PRETRAINED / cell, name=cell, cell=cell, results=results / cell / run.name)
    return [PRETRAINED / cell for cell in found]


def keep(run: Path, place: Path, *, name: str, cell: str, results: Path) -> None:
    """Copy what drawing needs of `run`, a run of `cell`, to `place`, with a card that calls the network `name`."""
    for file in FILES:
        with atomic_write(place / file) as temporary:
            shutil.copyfile(run / file, temporary)
    write_text(place / "README.md", model_card(run, cell=cell, name=name, results=results))


def size(folder: Path) -> int:
    """Bytes of what is kept of a run."""
    return sum((folder / name).stat().st_size for name in FILES if (folder / name).is_file())


def _smallest_seed(cell: str, runs: Path) -> Path:
    if not re.fullmatch(r"\w+/\w+", cell):
        raise UserError(f"{cell}: given as the name of a cell; allowed: <dataset>/<variant>")
    seeds = sorted((runs / cell).glob("seed*"), key=lambda path: int(path.name.removeprefix("seed")))
    for run in seeds:
        if all((run / name).is_file() for name in FILES):
            return run
    raise UserError(f"{runs / cell}: no finished run with a generator; `make repro` makes those of the matrix")


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.generators.pretrained",
        description="Copy finished runs to pretrained/, with a model card each.",
    )
    parser.add_argument("cells", nargs="+", metavar="DATASET/VARIANT", help="cells; the smallest seed of each")
    for folder in publish(parser.parse_args().cells):
        print(f"pretrained: {folder.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
