"""Trainings of this plan that are not complete, with their curves so far: in a report that is rendered during a run.

A report that `dvc repro` renders comes after all trainings, so it has no such section and is the same bytes each time.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from pipeline.base.errors import UserError
from pipeline.base.files import read_json, sha256
from pipeline.report.curves import CURVES, KIMG, LOGARITHMIC, MOST_LINES
from pipeline.report.drawing import Chart, Panel, draw, style
from pipeline.report.sections import Block, Section
from pipeline.report.tables import Table
from pipeline.runs.unfinished import Unfinished, unfinished
from pipeline.runs.work_dirs import work_root


def section(index: dict[str, Any], figures: Path, dpi: int, *, plan: str, results: str) -> list[Section]:
    """One section, or none where every training of the plan is complete."""
    found = of_plan(unfinished(work_root()), index, plan, results)
    if not found:
        return []
    groups = [found[start : start + MOST_LINES] for start in range(0, len(found), MOST_LINES)]
    charts = [_curves(group, figures / f"unfinished{number or ''}.png", dpi) for number, group in enumerate(groups)]
    text = ["These trainings were not complete when this report was rendered. No other table or mean has them."]
    blocks: list[Block] = [_table(found), *(chart for chart in charts if chart)]
    return [Section(title="Unfinished trainings", anchor="unfinished", text=text, blocks=blocks)]


def of_plan(found: list[Unfinished], index: dict[str, Any], plan: str, results: str) -> list[Unfinished]:
    """Those of `found` that are trainings of the plan, as it is now, and whose result is not there yet."""
    names = {f"{cell['dataset']}/{cell['variant']}/seed{cell['seed']}" for cell in index["cells"]}
    return [one for one in found if one.cell in names and _planned(one, plan) and one.key != _trained(one, results)]


def _planned(one: Unfinished, plan: str) -> bool:
    """Before its first checkpoint a training does not say its plan; then the cell's name has to do."""
    file = Path(plan) / "train" / f"{one.cell}.yaml"
    return file.is_file() and one.plan_sha256 in (sha256(file), *([None] if one.running else []))


def _trained(one: Unfinished, results: str) -> str | None:
    """Key of the cell's result."""
    try:
        return read_json(Path(results) / one.cell / "run.json").get("key")
    except UserError:
        return None


def _table(found: list[Unfinished]) -> Table:
    rows = [
        {
            "cell": one.cell,
            "state": "at work" if one.running else "interrupted",
            "kimg": f"{one.kimg:,.1f}",
            "kimg planned": "-" if one.planned is None else f"{one.planned:,.1f}",
            "s/kimg": "-" if one.seconds_per_kimg is None else f"{one.seconds_per_kimg:.2f}",
            "as of": datetime.fromtimestamp(one.updated).isoformat(sep=" ", timespec="seconds"),
        }
        for one in found
    ]
    return Table(name="unfinished", title="Trainings that are not complete", frame=pd.DataFrame(rows))


def _curves(found: list[Unfinished], path: Path, dpi: int) -> Chart | None:
    """The same panels as of complete trainings; None where no training has reached its first tick and checkpoint."""
    histories = {one.cell: pd.DataFrame(one.history) for one in found if one.history}
    columns = [column for column in CURVES if any(column in history for history in histories.values())]
    if not columns:
        return None

    def panel(column: str) -> Panel:
        def draw_panel(axis: Axes) -> None:
            own = [history for history in histories.values() if column in history]
            for index, history in enumerate(histories.values()):
                if column in history:
                    axis.plot(history.kimg, history[column], **style(index, marked=max(1, len(history) // 6)))
            if column in LOGARITHMIC and all((history[column] > 0).all() for history in own):
                axis.set_yscale("log")
            axis.set_xlabel(KIMG)
            axis.set_ylabel(CURVES[column])

        return draw_panel

    alt = f"Training curves so far of {', '.join(histories)} against kimg."
    return draw(
        path, [panel(column) for column in columns], title="Curves of unfinished trainings", alt=alt, dpi=dpi,
        labels=list(histories), note="Up to each training's newest checkpoint.",
    )  # fmt: skip
