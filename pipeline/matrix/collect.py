"""The last step of a cell: cached outputs of other stages copied into results/, which git keeps.

DVC's push and pull move cached outputs between machines, but not what is in git. So numbers and pictures are cached
first, and this step, which costs a fraction of a second, runs again on each machine. It imports nothing heavy.
"""

import shutil
from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.base.files import atomic_write

SERIES = ("progress.csv", "sample_size.csv")  # of measured/<cell>/; where they were asked for
RUN_FILES = ("history.csv", "machine.csv", "run.json")  # of runs/<cell>/; a run that failed early lacks some


def collect_cell(cell: str, root: str | Path = ".") -> int:
    """Copy what measured/, illustrations/ and runs/ hold of `cell`, <dataset>/<variant>/seed<k>.

    The flat metrics.json becomes results/<cell>.json. Everything else lies in results/<cell>/, which is written anew.
    Returns the number of files.
    Errors: `UserError` where the cell was not measured.
    """
    root = Path(root)
    measured, run, pictures = (root / name / cell for name in ("measured", "runs", "illustrations"))
    results = root / "results" / cell
    if results.is_dir():
        shutil.rmtree(results)
    _copy(measured / "metrics.json", results.with_suffix(".json"))
    series = [measured / name for name in SERIES if (measured / name).is_file()]
    files = [measured / "protocol.json", *series, *(run / name for name in RUN_FILES if (run / name).is_file())]
    files += sorted(path for path in pictures.glob("*") if path.suffix in (".png", ".json"))
    for file in files:
        _copy(file, results / file.name)
    return 1 + len(files)


def collect_reference(dataset: str, root: str | Path = ".") -> None:
    """Copy the known answers of `dataset`'s evaluators. Errors: `UserError` where the reference was not built."""
    _copy(
        Path(root) / "reference" / dataset / "known_answers.json", Path(root) / "results" / dataset / "reference.json"
    )


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        raise UserError(f"{source}: no such file; dvc repro makes it")
    with atomic_write(target) as temporary:
        shutil.copyfile(source, temporary)
