"""The last steps of a cell and of the matrix: cached outputs of other stages copied into results/, which git keeps.

DVC's push and pull move cached outputs between machines, but not what is in git. So numbers and pictures are cached
first, and these steps, which cost a fraction of a second, run again on each machine. They import nothing heavy.
"""

import csv
import re
import shutil
from pathlib import Path
from statistics import fmean
from typing import Any

from pipeline.base.cell import Cell
from pipeline.base.errors import UserError
from pipeline.base.files import atomic_write, read_json, write_json, write_text
from pipeline.runs.work_dirs import work_root

SERIES = ("progress.csv", "sample_size.csv")  # of measured/<cell>/; where they were asked for
RECORD, HISTORY, MACHINE = "run.json", "history.csv", "machine.csv"
DIGITS = 7  # of a number in results/: the others differ between machines of one kind
SUMMARY, CURVES = "results/summary.json", "results/curves.csv"


def collect_cell(cell: Cell, root: str | Path = ".") -> int:
    """Copy what measured/, illustrations/ and runs/ hold of `cell`; returns the number of files.

    The flat metrics.json becomes results/<cell>.json. Everything else lies in results/<cell>/, from which files that no
    stage makes any more are removed. results/<cell>/run.json is the run's own, with the record of its training added.
    Errors: `UserError` where the cell was not measured.
    """
    root = Path(root)
    measured, run = cell.measured(root / "measured"), cell.run(root / "runs")
    results = cell.results(root / "results")
    numbers = read_json(_there(measured / "metrics.json"))
    record, machine = training_record(run, results)
    if record.get("cell", str(cell)) != str(cell):  # a twin, whose training was copied
        record["copied_from"] = record["cell"]
    files = [_there(measured / "protocol.json"), *(measured / name for name in SERIES), run / HISTORY]
    files += [path for path in cell.illustrations(root / "illustrations").glob("*") if path.suffix in (".png", ".json")]
    files = [file for file in files if file.is_file()]
    for stale in set(results.glob("*")) - {results / name for name in (*(file.name for file in files), MACHINE)}:
        stale.unlink()
    for file in files:
        with atomic_write(results / file.name) as temporary:
            shutil.copyfile(file, temporary)
    write_json(results / RECORD, record)
    (results / MACHINE).unlink(missing_ok=True)
    if machine is not None:
        write_text(results / MACHINE, machine)
    write_json(results.with_suffix(".json"), _rounded(numbers))
    return 2 + len(files) + (machine is not None)


def training_record(run: Path, results: Path) -> tuple[dict[str, Any], str | None]:
    """run.json with the record of the training (seconds, memory, machine), and the text of its machine.csv.

    A run has one key on all machines of one kind. Where `results` already has a record of that key, it is kept: the
    numbers are the same, and git shows no change. Else it is what the training left in the work folder, if it was here.
    """
    facts = read_json(_there(run / RECORD))
    kept = read_json(results / RECORD) if (results / RECORD).is_file() else {}
    source, record = results, {name: value for name, value in kept.items() if name not in facts}
    if not record or kept.get("key") != facts.get("key"):
        source = work_root() / "records" / str(facts.get("key"))
        record = read_json(source / "record.json") if (source / "record.json").is_file() else {}
    machine = source / MACHINE
    return facts | record, machine.read_text(encoding="utf-8") if machine.is_file() else None


def collect_reference(dataset: str, root: str | Path = ".") -> None:
    """Copy the known answers of `dataset`'s evaluators. Errors: `UserError` where the reference was not built."""
    answers = read_json(_there(Path(root) / "reference" / dataset / "known_answers.json"))
    write_json(Path(root) / "results" / dataset / "reference.json", _rounded(answers))


def summarise(root: str | Path = ".") -> dict[str, Any]:
    """Write results/summary.json, what `dvc exp show` and `dvc metrics show` list, and results/curves.csv, their plots.

    Both have the first metric of each data set, as a mean over seeds: by row, and by row and kimg. Of several data sets
    the row's name is <dataset>/<variant>. A cell without a value is left out.
    """
    root = Path(root)
    index = read_json(root / "plan/index.json")
    several = len(index["datasets"]) > 1
    metrics: list[str] = []
    points: dict[tuple[str, float], list[float]] = {}
    ends: dict[str, list[float]] = {}
    for cell in map(Cell.of, index["cells"]):
        measured = cell.measured(root / "measured")
        metric = next(iter(read_json(_there(measured / "protocol.json"))["metrics"]))
        metrics += [metric] if metric not in metrics else []
        numbers = read_json(_there(measured / "metrics.json"))
        row = f"{cell.dataset}/{cell.variant}" if several else cell.variant
        if isinstance(numbers.get(metric), float):
            ends.setdefault(row, []).append(numbers[metric])
            for kimg, value in (*_progress(measured / "progress.csv", metric), (numbers["kimg"], numbers[metric])):
                points.setdefault((row, kimg), []).append(value)
    summary = {"metric": ", ".join(metrics), **_rounded({row: fmean(values) for row, values in ends.items()}, 4)}
    write_json(root / SUMMARY, summary)
    curves = _rounded({point: fmean(values) for point, values in points.items()}, 4)
    lines = [f"{row},{kimg:g},{value}" for (row, kimg), value in curves.items()]
    write_text(root / CURVES, "\n".join(["row,kimg,distance", *lines, ""]))
    return summary


def _progress(file: Path, metric: str) -> list[tuple[float, float]]:
    """(kimg, value) of a curve, where it was measured; a metric of another count stands for it."""
    if not file.is_file():
        return []
    kind = re.split(r"[^a-z]", metric)[0]
    with open(file, encoding="utf-8", newline="") as lines:
        return [
            (float(row["kimg"]), float(row[name]))
            for row in csv.DictReader(lines)
            if (name := metric if metric in row else next((key for key in row if key.startswith(kind)), ""))
        ]


def _rounded(numbers: dict[Any, Any], digits: int = DIGITS) -> dict[Any, Any]:
    return {key: float(f"{one:.{digits}g}") if isinstance(one, float) else one for key, one in numbers.items()}


def _there(file: Path) -> Path:
    if not file.is_file():
        raise UserError(f"{file}: no such file; dvc repro makes it")
    return file
