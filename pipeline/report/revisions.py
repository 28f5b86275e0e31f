"""Two revisions or experiments side by side, and the short report of an experiment with one cell.

A and B: commits, branches, tags, names of experiments, or `workspace`. Reads git alone; trains and restores nothing.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.base.errors import UserError
from pipeline.base.git import ask, git
from pipeline.base.schema import read_yaml
from pipeline.plan.config import CONF, PARAMS
from pipeline.report.appendix import settings_of
from pipeline.report.charts import ending, training_curves
from pipeline.report.decide import Kind, compare_rows
from pipeline.report.document import Content, Figure, Section, Table, caption, write_report
from pipeline.report.drawing import Tile, contact_sheet
from pipeline.report.formats import duration, number
from pipeline.report.paper import name_of
from pipeline.report.pictures import grid
from pipeline.report.results import Results, lower_is_better, protocol_difference

WORKSPACE = "workspace"
IMAGES = 64


class Snapshot(NamedTuple):
    """One side of a comparison: its results, and its settings by key, with the files of conf/."""

    name: str
    results: Results
    params: dict[str, Any]


def snapshot(name: str, scratch: Path) -> Snapshot:
    """Read `name`, with `scratch` for its files. Errors: `UserError` for an unknown name, or one without a plan."""
    folder = Path(".")
    if name != WORKSPACE:
        # DVC keeps an experiment as refs/exps/<2>/<38>/<name>.
        known = ask("for-each-ref", "--sort=-committerdate", "--format=%(objectname)", f"refs/exps/??/*/{name}")
        commit = (known or "").partition("\n")[0] or ask("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        if not commit:
            raise UserError(
                f"{name}: no such revision or experiment; allowed: of git or `dvc exp list`, or {WORKSPACE}"
            )
        folder = scratch / commit
        paths = [p for p in ("plan", "results", PARAMS, CONF) if ask("cat-file", "-e", f"{commit}:{p}") is not None]
        folder.mkdir(parents=True, exist_ok=True)
        git("archive", f"--output={folder}.tar", commit, *paths)
        shutil.unpack_archive(f"{folder}.tar", folder, filter="data")
    if not (folder / "plan/index.json").is_file():
        raise UserError(f"{name}: has no plan/index.json; plan/ and results/ have to be committed with it")
    results = Results.load(folder / "plan", folder / "results")
    return Snapshot(name, results, settings_of(read_yaml(folder / PARAMS), folder / CONF))


def compare(first: Snapshot, second: Snapshot, out: Path, *, title: str = "", head: str = "",
            more: Sequence[Content | None] = ()) -> Path:  # fmt: skip
    """Write the comparison of two snapshots to `out`; returns the path of README.md. `more`: after each data set."""
    title = title or f"{first.name} and {second.name}"
    head = head or f"A is `{first.name}`, B is `{second.name}`. What B does not have is left out."
    sections = [
        Section(name_of(name), name, [differences(first, second, name), samples(first, second, name, out), *more], name)
        for name in second.results.datasets
    ]
    sections.append(Section("Settings that differ", "settings", [changed_settings(first, second)], "Settings"))
    return write_report(title, head, sections, out)


def short_report(results: Results, params: dict[str, Any], out: Path) -> Path:
    """Write the report of a plan's only cell, beside HEAD where that has results; returns the path of README.md."""
    cell = results.cells.iloc[0]
    here = Snapshot("this experiment", results, settings_of(params, params.get("conf")))
    texts: dict[str, Callable[[Any], str]] = {"kimg": "{:g} kimg".format, "seconds": duration, "device": str}
    facts = [f"`{cell.dataset}/{cell.variant}/seed{cell.seed}`", ending(cell.to_dict())]
    facts += [text(cell[name]) for name, text in texts.items() if cell.get(name)]
    with tempfile.TemporaryDirectory() as scratch:
        try:
            other, revision = snapshot("HEAD", Path(scratch)), ask("rev-parse", "--short", "HEAD")
        except (UserError, OSError):
            empty = Results({"datasets": [], "cells": []}, "", "")
            other, revision = Snapshot("HEAD", empty, here.params), "no results"
        head = (
            f"{'; '.join(facts)}.\n\nOne training beside HEAD ({revision}), which is A. One training decides nothing: "
            "the report of a matrix has verdicts."
        )
        curves = training_curves(results, cell.dataset, out / "figures")
        return compare(other, here, out, title="TransGAN: one training", head=head, more=[curves])


def changed_settings(first: Snapshot, second: Snapshot) -> Table:
    """Dotted keys of params.yaml whose values differ, with both; `absent` where one side has no such key."""
    rows = []
    for key in dict.fromkeys([*second.params, *first.params]):
        one, two = (side.params.get(key, "absent") for side in (first, second))
        if one != two:
            rows.append({"key": key, f"A: {first.name}": str(one), f"B: {second.name}": str(two)})
    return Table(name="changed_settings", title=PARAMS, frame=pd.DataFrame(rows))


def differences(first: Snapshot, second: Snapshot, dataset: str) -> Table:
    """Every metric of B's variants in A and B, decided ones first, without equal values and across no two protocols."""
    one, two, rows, same = first.results, second.results, [], 0
    variants = two.variants(dataset)
    for metric in two.metrics(dataset):
        protocols = [side.protocols.get((dataset, metric)) for side in (two, one)]
        odd = protocol_difference(*protocols) if all(protocols) else ""
        values = {f"{k} {v}": list(s.values(dataset, v, metric)) for k, s in (("A", one), ("B", two)) for v in variants}
        lower, pairs = lower_is_better(metric), [(f"B {variant}", f"A {variant}", None) for variant in variants]
        verdicts = compare_rows(values, pairs, lower_is_better=lower)
        for variant, found in zip(variants, verdicts, strict=True):
            had, has = values[f"A {variant}"], values[f"B {variant}"]
            if had == has != []:
                same += 1
                continue
            says = f"not comparable ({odd})" if odd else f"{found.kind}{among(had, has, lower)}" if had and has else "-"
            texts = [side.measurement(dataset, variant, metric).text for side in (one, two)]
            rows.append({"variant": variant, "metric": metric, f"A: {first.name}": texts[0],
                         f"B: {second.name}": texts[1], "B / A": found.ratio_text, "B is": says})  # fmt: skip
    rows.sort(key=lambda row: (row["B is"] == "-", row["B is"].startswith(Kind.OPEN)))
    return Table(name=f"{dataset}_compared", frame=pd.DataFrame(rows), **caption("compared", same=same))


def among(had: list[float], has: list[float], lower: bool) -> str:
    """Where the only training of B lies among those of A: `: better than all of A (10.0 to 14.0)`; '' for several."""
    if len(has) > 1:
        return ""
    low, high = min(had), max(had)
    outside = "better than all" if (has[0] < low) == lower else "worse than all"
    place = "among those" if low <= has[0] <= high else outside
    return f": {place} of A ({number(low)} to {number(high)})"


def samples(first: Snapshot, second: Snapshot, dataset: str, out: Path) -> Figure | None:
    """First samples of the cells of B whose samples changed, and before them those of A where it has the cell."""
    rows = []
    for _, cell in second.results.of(dataset).iterrows():
        one, two = (side.results.sheet(cell, "samples") for side in (first, second))
        if one and two and np.array_equal(one.images, two.images):
            continue
        name = f"{cell.variant}, seed {cell.seed}"
        tiles = [Tile(f"{k}: {name}", grid(s.images[0][:IMAGES])) for k, s in (("A", one), ("B", two)) if s]
        rows += [("", tiles)] if tiles else []
    return contact_sheet(out / f"figures/{dataset}_samples.png", rows, "compared_samples", folded=False,
                         dataset=dataset, first=first.name, second=second.name)  # fmt: skip
