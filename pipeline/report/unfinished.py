"""Trainings of this plan that are not complete, with their curves so far: in a report that is rendered during a run.

A report that `dvc repro` renders comes after all trainings, so it has no such section and is the same bytes each time.
"""

from datetime import datetime
from pathlib import Path

import pandas as pd

from pipeline.base.cell import Cell
from pipeline.base.errors import UserError
from pipeline.base.files import read_json, sha256
from pipeline.report.charts import training_curves
from pipeline.report.content import Content, Section, Table, Text
from pipeline.report.results import Results
from pipeline.runs.unfinished import Unfinished, unfinished
from pipeline.runs.work_dirs import work_root


def unfinished_section(results: Results, folder: Path, dpi: int) -> list[Section]:
    """One section, or none where every training of the plan is complete."""
    names = {str(Cell.of(cell)) for cell in results.index["cells"]}
    found = [one for one in unfinished(work_root()) if one.cell in names and _current(one, results)]
    if not found:
        return []
    rows = [
        {
            "cell": one.cell,
            "state": "at work" if one.process else "interrupted",
            "kimg": f"{one.kimg:,.1f}",
            "kimg planned": None if one.planned is None else f"{one.planned:,.1f}",
            "s/kimg": None if one.seconds_per_kimg is None else f"{one.seconds_per_kimg:.2f}",
            "as of": datetime.fromtimestamp(one.updated).isoformat(sep=" ", timespec="seconds"),
        }
        for one in found
    ]
    runs = {one.cell: [pd.DataFrame(one.history)] for one in found if one.history}
    content: list[Content] = [
        Text("These trainings were not complete when this report was rendered. No other table or mean has them."),
        Table(name="unfinished", title="Trainings that are not complete", frame=pd.DataFrame(rows)),
    ]
    if chart := training_curves(runs, "this plan", folder / "unfinished.png", dpi, "Curves of unfinished trainings"):
        content.append(chart)
    return [Section(title="Unfinished trainings", anchor="unfinished", content=content)]


def _current(one: Unfinished, results: Results) -> bool:
    """Whether it is a training of the plan as it is now, whose result is not there yet.

    Before its first checkpoint a training does not say its plan; then the cell's name has to do.
    """
    cell = Cell.parse(one.cell)
    plan = cell.plan("train", results.plan)
    if not plan.is_file() or one.plan_sha256 not in (sha256(plan), *([None] if one.process else [])):
        return False
    try:
        return bool(read_json(results.folder / str(cell) / "run.json").get("key") != one.folder.name)
    except UserError:
        return True
