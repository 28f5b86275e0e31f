"""Two revisions or experiments side by side, and the short report of an experiment with one cell.

A and B: commits, branches, tags, names of experiments, or `workspace`. Reads git alone; trains and restores nothing.
"""

import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.base.errors import UserError
from pipeline.base.git import ask
from pipeline.base.schema import read_yaml
from pipeline.plan.config import CONF, PARAMS
from pipeline.report.appendix import settings_of
from pipeline.report.content import Content, Figure, Section, Table
from pipeline.report.decide import Kind, Question, compare_rows
from pipeline.report.drawing import Tile, contact_sheet
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
    sections = []
    for dataset in second.results.datasets:
        content: list[Content] = [differences(first, second, dataset)]
        if pictures := samples(first, second, dataset, out):
            content.append(pictures)
        sections.append(Section(title=name_of(dataset), anchor=dataset, link=dataset, content=content))
    changed = [changed_settings(first, second)]
    sections.append(Section(title="Settings that differ", anchor="settings", link="Settings", content=[*changed]))
    head = [f"A is `{first.name}`, B is `{second.name}`. What B does not have is left out."]
    return write_report(f"{first.name} and {second.name}", head, sections, out)


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
        questions = [Question(variant=f"B {variant}", base=f"A {variant}") for variant in variants]
        verdicts = compare_rows(values, questions, lower_is_better=lower_is_better(metric), confidence=two.confidence)
        for variant, found in zip(variants, verdicts, strict=True):
            if values[f"A {variant}"] == values[f"B {variant}"] != []:
                same += 1
                continue
            says = str(found.kind)
            if found.kind == Kind.OPEN:
                says = "open" if min(found.seeds) else "-"
            rows.append(
                {
                    "variant": variant,
                    "metric": metric,
                    f"A: {first.name}": one.measurement(dataset, variant, metric).text,
                    f"B: {second.name}": two.measurement(dataset, variant, metric).text,
                    "B / A": f"{found.ratio:.2f} ({found.low:.2f} to {found.high:.2f})"
                    if found.ratio == found.ratio
                    else "-",
                    "B is": f"not comparable ({odd})" if odd else says,
                }
            )
    rows.sort(key=lambda row: ("open", "-").index(row["B is"]) if row["B is"] in ("open", "-") else -1)
    note = (
        f"Values that are equal in both and left out: {same}. Verdicts follow the report's rule, all rows of both "
        "sides together; fewer than three trainings a row stay open."
    )
    return Table(name=f"{dataset}_compared", title="What changed", frame=pd.DataFrame(rows), note=note)


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
