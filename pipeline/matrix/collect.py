"""The last steps of a cell and of the matrix: cached outputs of other stages copied into results/, which git keeps.

DVC's push and pull move cached outputs between machines, but not what is in git. So numbers and pictures are cached
first, and these steps, which cost a fraction of a second, run again on each machine. Importing them is quick.
"""

import re
from pathlib import Path
from typing import Any

from pipeline.base.cell import Cell
from pipeline.base.files import atomic_write, read_json, write_json, write_text
from pipeline.runs.work_dirs import read_record, record_folder

MEASURED = ("protocol.json", "progress.csv")  # of measured/<cell>/, where they were asked for
RECORD, MACHINE = "run.json", "machine.csv"
DIGITS = 7  # of a number in results/: the others differ between machines of one kind
SUMMARY, CURVES = "results/summary.json", "results/curves.csv"


def collect_cell(cell: Cell, root: str | Path = ".") -> int:
    """Copy what measured/, illustrations/ and runs/ hold of `cell`; returns the number of files.

    The flat metrics.json becomes results/<cell>.json. Everything else lies in results/<cell>/, from which files that no
    stage makes any more are removed. results/<cell>/run.json is the run's own, with the record of its training added.
    Errors: `UserError` where the cell was not measured.
    """
    root = Path(root)
    measured, results = root / "measured" / str(cell), root / "results" / str(cell)
    numbers = read_json(measured / "metrics.json")
    record, machine = training_record(root / "runs" / str(cell), results)
    if record.get("cell", str(cell)) != str(cell):  # a twin, whose training was copied
        record["copied_from"] = record["cell"]
    pictures = (root / "illustrations" / str(cell)).glob("*")
    sources = [*(measured / name for name in MEASURED), root / "runs" / str(cell) / "history.csv"]
    sources += [path for path in pictures if path.suffix in (".png", ".json")]
    files = {path.name: path.read_bytes() for path in sources if path.is_file()} | machine
    for stale in results.glob("*"):
        if stale.name not in {*files, RECORD}:
            stale.unlink()
    for name, content in files.items():
        with atomic_write(results / name) as temporary:
            temporary.write_bytes(content)
    write_json(results / RECORD, record)
    write_json(results.with_suffix(".json"), _rounded(numbers))
    return len(files) + 2


def training_record(run: Path, results: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """run.json with the record of the training (seconds, memory, machine), and machine.csv by its name, if any.

    A run has one key on all machines of one kind. Where `results` already has a record of that key, it is kept: the
    numbers are the same, and git shows no change. Else it is what the training left in the work folder, if it was here.
    """
    facts = read_json(run / RECORD)
    kept = read_json(results / RECORD, {})
    source, record = results, {name: value for name, value in kept.items() if name not in facts}
    if not record or kept.get("key") != facts.get("key"):
        source, record = record_folder(str(facts.get("key"))), read_record(str(facts.get("key")))
    machine = source / MACHINE
    return facts | record, {MACHINE: machine.read_bytes()} if machine.is_file() else {}


def collect_reference(dataset: str, root: str | Path = ".") -> None:
    """Copy the known answers of `dataset`'s evaluators. Errors: `UserError` where the reference was not built."""
    answers = read_json(Path(root) / "reference" / dataset / "known_answers.json")
    write_json(Path(root) / "results" / dataset / "reference.json", _rounded(answers))


def summarise(root: str | Path = ".") -> dict[str, Any]:
    """Write results/summary.json, what `dvc exp show` and `dvc metrics show` list, and results/curves.csv, their plots.

    Both have the first metric of each data set, as a mean over seeds: by row, and by row and kimg. Of several data sets
    the row's name is <dataset>/<variant>. A cell without a value is left out.
    """
    import pandas as pd

    root = Path(root)
    index = read_json(root / "plan/index.json")
    metrics, points, ends = [], [], []
    for cell in map(Cell.of, index["cells"]):
        measured = root / "measured" / str(cell)
        metric = next(iter(read_json(measured / "protocol.json")["metrics"]))
        metrics.append(metric)
        numbers = read_json(measured / "metrics.json")
        row = cell.variant if len(index["datasets"]) == 1 else f"{cell.dataset}/{cell.variant}"
        if isinstance(numbers.get(metric), float):
            curve = pd.read_csv(file) if (file := measured / "progress.csv").is_file() else pd.DataFrame()
            kind = re.split(r"[^a-z]", metric)[0]  # a metric of another count stands for it
            name = metric if metric in curve else next((name for name in curve if name.startswith(kind)), None)
            points += [(row, f"{kimg:g}", value) for kimg, value in curve[["kimg", name]].to_numpy()] if name else []
            points.append((row, f"{numbers['kimg']:g}", numbers[metric]))
            ends.append((row, numbers[metric]))
    means = pd.DataFrame(ends, columns=["row", "value"]).groupby("row", sort=False)["value"].mean()
    summary = {"metric": ", ".join(dict.fromkeys(metrics)), **_rounded(means.to_dict(), 4)}
    write_json(root / SUMMARY, summary)
    curves = pd.DataFrame(points, columns=["row", "kimg", "distance"]).groupby(["row", "kimg"], sort=False).mean()
    write_text(root / CURVES, curves.to_csv(float_format="%.4g"))
    return summary


def _rounded(numbers: dict[Any, Any], digits: int = DIGITS) -> dict[Any, Any]:
    return {key: float(f"{one:.{digits}g}") if isinstance(one, float) else one for key, one in numbers.items()}
