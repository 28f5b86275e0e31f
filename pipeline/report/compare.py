"""Two revisions or experiments side by side, and the short report of an experiment with one cell.

A and B: commits, branches, tags, names of experiments, or `workspace`. Reads git alone; trains and restores nothing.
"""

import io
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.base.errors import UserError
from pipeline.base.git import ask
from pipeline.base.schema import read_yaml
from pipeline.plan.config import CONF, PARAMS, ReportConfig
from pipeline.report.appendix import settings_of
from pipeline.report.charts import training_curves
from pipeline.report.content import Content, Figure, Section, Table, Text
from pipeline.report.curves import ending
from pipeline.report.decide import Kind, Question, compare_rows
from pipeline.report.drawing import Tile, contact_sheet
from pipeline.report.formats import duration, number
from pipeline.report.page import write_report
from pipeline.report.paper import name_of
from pipeline.report.pictures import grid
from pipeline.report.results import Results, lower_is_better, protocol_difference

WORKSPACE = "workspace"
NEEDED = ("plan", "results", PARAMS, CONF)
IMAGES = 64


@dataclass(frozen=True)
class Snapshot:
    """One side of a comparison: its results, and its settings by key, with the files of conf/."""

    name: str
    results: Results
    params: dict[str, Any]


def experiments() -> dict[str, str]:
    """Names of DVC's experiments and their commits: refs/exps/<2>/<38>/<name>, without queues and running ones."""
    listed = ask("for-each-ref", "--sort=committerdate", "--format=%(refname) %(objectname)", "refs/exps") or ""
    entries = [(reference.split("/"), commit) for reference, commit in (line.split() for line in listed.splitlines())]
    return {parts[-1]: commit for parts, commit in entries if len(parts) == 5 and len(parts[2]) == 2}


def snapshot(name: str, scratch: Path, confidence: float = 0.95) -> Snapshot:
    """Read `name` (a revision, an experiment, or `workspace`), using `scratch` for its files.

    Errors: `UserError` for an unknown name, or a revision without results in git.
    """
    folder = Path(".") if name == WORKSPACE else _extracted(name, scratch)
    if not (folder / "plan/index.json").is_file():
        raise UserError(f"{name}: has no plan/index.json; plan/ and results/ have to be committed with it")
    results = Results.load(folder / "plan", folder / "results", confidence)
    return Snapshot(name, results, settings_of(read_yaml(folder / PARAMS), folder / CONF))


def _extracted(name: str, scratch: Path) -> Path:
    commit = experiments().get(name) or ask("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if not commit:
        raise UserError(
            f"{name}: no such revision or experiment; `dvc exp list` and `git branch` name them, `{WORKSPACE}` is what "
            "lies in the folder"
        )
    present = [path for path in NEEDED if ask("cat-file", "-e", f"{commit}:{path}") is not None]
    command = ["git", "archive", "--format=tar", commit, *present]
    archive = subprocess.run(command, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(scratch / commit, filter="data")
    return scratch / commit


def compare(first: Snapshot, second: Snapshot, out: Path) -> Path:
    """Write the comparison of two snapshots to `out`; returns the path of README.md."""
    sections = [
        Section(title=name_of(dataset), anchor=dataset, link=dataset, content=changed(first, second, dataset, out))
        for dataset in second.results.datasets
    ]
    settings: list[Content] = [changed_settings(first, second)]
    sections.append(Section(title="Settings that differ", anchor="settings", link="Settings", content=settings))
    head = f"A is `{first.name}`, B is `{second.name}`. What B does not have is left out."
    return write_report(f"{first.name} and {second.name}", head, sections, out)


def short_report(results: Results, params: dict[str, Any], config: ReportConfig, out: Path) -> Path:
    """Write the report of a plan's only cell beside HEAD to `out`; returns the path of README.md.

    Without git, or results there, it stands alone.
    """
    cell = results.cells.iloc[0]
    here = Snapshot("this experiment", results, settings_of(params, params.get("conf")))
    facts = [f"`{cell.dataset}/{cell.variant}/seed{cell.seed}`", ending(cell.to_dict())]
    facts += [f"{cell.kimg:g} kimg"] if cell.get("kimg") else []
    facts += [duration(cell.seconds)] if cell.get("seconds") else []
    facts += [str(cell.device)] if cell.get("device") else []
    with tempfile.TemporaryDirectory() as scratch:
        try:
            head = snapshot("HEAD", Path(scratch), config.confidence)
            revision, settings = ask("rev-parse", "--short", "HEAD"), [changed_settings(head, here)]
        except (UserError, OSError):
            head = Snapshot("HEAD", Results({"datasets": [], "cells": []}, "", ""), {})
            revision, settings = "no results", []
        content = [Text("; ".join(facts) + "."), *changed(head, here, cell.dataset, out), *settings]
    history, path = results.history(cell), out / f"figures/{cell.dataset}_curves.png"
    runs = {cell.variant: [history]} if history is not None else {}
    if curves := training_curves(runs, cell.dataset, path, config.dpi):
        content.append(curves)
    section = Section(title=f"{cell.variant} on {name_of(cell.dataset)}", anchor=cell.dataset, content=content)
    text = f"One training beside HEAD ({revision}). One training decides nothing: the report of a matrix has verdicts."
    return write_report("TransGAN: one training", text, [section], out)


def changed(first: Snapshot, second: Snapshot, dataset: str, out: Path) -> list[Content]:
    """What changed on a data set: metrics, then samples."""
    pictures = samples(first, second, dataset, out)
    return [differences(first, second, dataset), *([pictures] if pictures else [])]


def changed_settings(first: Snapshot, second: Snapshot) -> Table:
    """Dotted keys of params.yaml whose values differ, with both; `absent` where one side has no such key."""
    keys = dict.fromkeys([*second.params, *first.params])
    pairs = {key: (first.params.get(key, "absent"), second.params.get(key, "absent")) for key in keys}
    rows = [
        {"key": key, f"A: {first.name}": str(one), f"B: {second.name}": str(two)}
        for key, (one, two) in pairs.items()
        if one != two
    ]
    return Table(name="changed_settings", title=PARAMS, frame=pd.DataFrame(rows))


def differences(first: Snapshot, second: Snapshot, dataset: str) -> Table:
    """Every metric of B's variants in A and in B, decided ones first; equal values are left out.

    Values of different protocols are not compared.
    """
    one, two, rows, same = first.results, second.results, [], 0
    variants = two.variants(dataset)
    for metric in two.metrics(dataset):
        protocols = [side.protocol(dataset, metric) for side in (two, one)]
        odd = protocol_difference(*protocols) if all(protocols) else ""
        values = {f"{k} {v}": list(s.values(dataset, v, metric)) for k, s in (("A", one), ("B", two)) for v in variants}
        questions = [Question(f"B {variant}", f"A {variant}") for variant in variants]
        lower = lower_is_better(metric)
        verdicts = compare_rows(values, questions, lower_is_better=lower, confidence=two.confidence)
        for variant, found in zip(variants, verdicts, strict=True):
            had, has = values[f"A {variant}"], values[f"B {variant}"]
            if had == has != []:
                same += 1
                continue
            says = str(found.kind) + among(had, has, lower) if had and has else "-"
            row = {"variant": variant, "metric": metric}
            row |= {f"{k}: {s.name}": s.results.measurement(dataset, variant, metric).text
                    for k, s in (("A", first), ("B", second))}  # fmt: skip
            rows.append(row | {"B / A": found.ratio_text, "B is": f"not comparable ({odd})" if odd else says})
    rows.sort(key=lambda row: (row["B is"] == "-", row["B is"].startswith(Kind.OPEN)))
    note = (
        f"Values that are equal in both and left out: {same}. Verdicts follow the report's rule, all rows of both "
        "sides together; fewer than three trainings a row stay open."
    )
    return Table(name=f"{dataset}_compared", title="What changed", frame=pd.DataFrame(rows), note=note)


def among(had: list[float], has: list[float], lower: bool) -> str:
    """Where the only training of B lies among those of A: `: better than all of A (10.0 to 14.0)`; '' for several."""
    if len(has) > 1:
        return ""
    low, high = min(had), max(had)
    place = (
        "among those" if low <= has[0] <= high else "better than all" if (has[0] < low) == lower else "worse than all"
    )
    return f": {place} of A ({number(low)} to {number(high)})"


def samples(first: Snapshot, second: Snapshot, dataset: str, out: Path) -> Figure | None:
    """First samples of the cells of B whose samples changed, and before them those of A where it has the cell."""
    rows = []
    for _, cell in second.results.of(dataset).iterrows():
        had = bool((first.results.of(dataset, cell.variant).seed == cell.seed).any())
        one = first.results.sheet(cell, "samples") if had else None
        two = second.results.sheet(cell, "samples")
        if one and two and np.array_equal(one.images, two.images):
            continue
        tiles = [
            Tile(f"{letter}: {cell.variant}, seed {cell.seed}", grid(sheet.images[0][:IMAGES]))
            for letter, sheet in (("A", one), ("B", two))
            if sheet
        ]
        rows += [("", tiles)] if tiles else []
    if not rows:
        return None
    path = out / "figures" / f"{dataset}_samples.png"
    contact_sheet(path, rows)
    alt = f"The first samples of every cell of {second.name} on {dataset}, beside those of {first.name}"
    return Figure(title="Samples, uncurated", path=path, alt=alt, note=f"A is {first.name}, B is {second.name}.")
