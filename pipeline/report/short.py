"""The report of an experiment with one cell: its numbers beside those of HEAD, its samples, its curves."""

import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.base.errors import UserError
from pipeline.base.git import ask
from pipeline.plan.config import ReportConfig
from pipeline.report.appendix import settings_of
from pipeline.report.charts import training_curves
from pipeline.report.compare import Snapshot, changed_settings, samples, snapshot
from pipeline.report.content import Content, Section, Table, Text
from pipeline.report.curves import ending
from pipeline.report.formats import duration, number
from pipeline.report.page import write_report
from pipeline.report.paper import name_of
from pipeline.report.results import Results, lower_is_better, protocol_difference


def is_short(results: Results) -> bool:
    """Whether the plan holds a single training."""
    return len(results.cells) == 1


def short_report(results: Results, params: dict[str, Any], config: ReportConfig, out: Path) -> Path:
    """Write the report of the only cell to `out`; returns the path of README.md. Without git it stands alone."""
    cell = results.cells.iloc[0]
    here, figures = Snapshot("this experiment", results, settings_of(params, params.get("conf"))), out / "figures"
    with tempfile.TemporaryDirectory() as scratch:
        try:
            head = snapshot("HEAD", Path(scratch), config.confidence)
        except (UserError, OSError):
            head = Snapshot("HEAD", Results({"datasets": [], "cells": []}, "", ""), {})
        revision = (ask("rev-parse", "--short", "HEAD") or "no commit") if head.params else "no results"
        content: list[Content] = [Text(_cell_text(cell)), beside_head(head, here, cell.dataset, cell.variant)]
        if head.params:
            content.append(changed_settings(head, here))
        if pictures := samples(head, here, cell.dataset, out):
            content.append(pictures)
    history = results.history(cell)
    runs = {cell.variant: [history]} if history is not None else {}
    if curves := training_curves(runs, cell.dataset, figures / f"{cell.dataset}_curves.png", config.dpi):
        content.append(curves)
    section = Section(title=f"{cell.variant} on {name_of(cell.dataset)}", anchor=cell.dataset, content=content)
    text = f"One training beside HEAD ({revision}). One training decides nothing: the report of a matrix has verdicts."
    return write_report("TransGAN: one training", [text], [section], out)


def beside_head(head: Snapshot, here: Snapshot, dataset: str, variant: str) -> Table:
    """A row a metric: this training, the trainings of the same row in HEAD, and where this one lies among them."""
    rows = []
    for metric in here.results.metrics(dataset):
        own, known = (
            here.results.measurement(dataset, variant, metric),
            head.results.measurement(dataset, variant, metric),
        )
        protocols = [side.results.protocol(dataset, metric) for side in (here, head)]
        place = "-"
        if len(own.values) and len(known.values):
            value, low, high = own.values.iloc[0], known.values.min(), known.values.max()
            better = (value < low) == lower_is_better(metric)
            place = "among them" if low <= value <= high else "better than all" if better else "worse than all"
            if odd := protocol_difference(*protocols):
                place = f"not comparable ({odd})"
        spread = f"{number(known.values.min())} to {number(known.values.max())}" if len(known.values) > 1 else "-"
        rows.append(
            {"metric": metric, "here": own.text, "HEAD": known.text, "its trainings": spread, "this one is": place}
        )
    return Table(name=f"{dataset}_beside_head", title="Beside HEAD", frame=pd.DataFrame(rows))


def _cell_text(cell: pd.Series) -> str:
    """What was trained, and how it ended."""
    facts = [f"`{cell.dataset}/{cell.variant}/seed{cell.seed}`", ending(cell.to_dict())]
    facts += [f"{cell.kimg:g} kimg"] if cell.get("kimg") else []
    facts += [duration(cell.seconds)] if cell.get("seconds") else []
    facts += [str(cell.device)] if cell.get("device") else []
    return "; ".join(facts) + "."
