"""The plan: one small YAML file per stage and cell, so that a stage reruns exactly when its own settings changed."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pipeline.base.cell import Cell
from pipeline.base.errors import ConfigError, UserError, amount, choices
from pipeline.base.files import expand_home, sha256, write_json, write_text
from pipeline.base.git import ask
from pipeline.base.schema import dump
from pipeline.metrics.config import measure_plan, reference_plan
from pipeline.metrics.extractors.registry import IllustratePlan
from pipeline.networks.spec import NetworkSpec
from pipeline.plan.compose import SECTIONS, leaves
from pipeline.plan.config import PARAMS, Matrix, ResolvedCell, load, overridden, resolve_cell
from pipeline.plan.fingerprint import fingerprint
from pipeline.training.config import ImportPlan, TrainPlan, effective_settings, kimg, same_training

PLAN = Path("plan")
RESULTS = Path("results")
COSTS = Path(__file__).with_name("costs.csv")
# Data set -> its released models: variants, and whether conf/released/<dataset>.yaml is laid below them.
RELEASED = {
    "cifar10": (("full", True),),
    "stl10": (("full", True),),
    "celebahq256": (("full", True), ("celebahq_october", False)),  # of June and of October 2021
    "church256": (("full", True),),
}


def write_plan(params: str | Path = PARAMS) -> dict[str, Any]:
    """Check params.yaml, write plan/, remove results of cells that are no longer in the matrix; returns the index.

    Errors: `ConfigError` before anything is written.
    """
    content = load(params)
    matrix, cells = content["matrix"], selected_cells(content)
    files, entries = _dataset_files(cells), []
    trained: dict[tuple[str, str], str] = {}
    for cell in cells:
        train = effective_settings(cell.train)
        code = fingerprint(cell.network, train)
        illustrated = IllustratePlan(**cell.evaluate.model_dump(include=set(IllustratePlan.model_fields)))
        imported = dump(_import_plan(content, cell)) if cell.imports else None
        for seed in matrix["seeds"]:
            planned = Cell(cell.dataset, cell.variant, seed)
            training = TrainPlan(network=cell.network, train=train, seed=seed, code=code)
            files[f"train/{planned}.yaml"] = imported or dump(training)
            files[f"measure/{planned}.yaml"] = dump(measure_plan(cell.evaluate))
            files[f"illustrate/{planned}.yaml"] = dump(illustrated)
            alike = imported or dump(training.model_copy(update={"train": same_training(train)}))
            twin = trained.setdefault((cell.dataset, alike), cell.variant)
            entry = vars(planned) | {"kimg": 0.0 if imported else kimg(train)}
            entry |= {"twin_of": twin if twin != cell.variant else None}
            # No seed has a part in imported weights: the first one's row stands for all.
            entries.append(entry | ({"repeats": seed != matrix["seeds"][0]} if imported else {}))
    index = {"profile": content["profile"], **{axis: matrix[axis] for axis in Matrix.model_fields}, "cells": entries}
    for name, text in files.items():
        write_text(PLAN / name, text)
    write_json(PLAN / "index.json", index)
    _remove_stale(index, {*files, "index.json"})
    return index


def selected_cells(content: Mapping[str, Any]) -> list[ResolvedCell]:
    """Every dataset x variant of the matrix, resolved; `content`: params.yaml as `load` returns it."""
    matrix = content["matrix"]
    return [resolve_cell(content, dataset, variant) for dataset in matrix["datasets"] for variant in matrix["variants"]]


def released_specs(content: Mapping[str, Any], dataset: str) -> list[NetworkSpec]:
    """Both networks of every model that was released for `dataset`; `content`: params.yaml.

    Errors: `UserError` for a dataset without released weights; those of params.yaml.
    """
    if dataset not in RELEASED:
        raise UserError(f"--dataset: given {dataset!r}; allowed: {choices(RELEASED, dataset)}")
    return [resolve_cell(content, dataset, variant, released=own).network for variant, own in RELEASED[dataset]]


def _import_plan(content: Mapping[str, Any], cell: ResolvedCell) -> ImportPlan:
    """What the train stage needs of a cell whose variant imports released weights.

    Errors: `ConfigError` for a dataset without released models, and where the file is not named or not there.
    """
    if cell.dataset not in RELEASED:
        allowed = f"datasets with released weights beside the variant {cell.variant}: {choices(RELEASED)}"
        raise ConfigError(content["file"], "matrix.datasets", cell.dataset, allowed)
    weights = cell.composed.content.get("weights")
    if weights is None or not (path := expand_home(weights)).is_file():
        allowed = f"the path of a checkpoint of the released code, for the variant {cell.variant}"
        raise ConfigError(f"conf/released/{cell.dataset}.yaml", "weights", weights, allowed)
    networks = released_specs(content, cell.dataset)
    return ImportPlan(dataset=cell.dataset, weights=weights, sha256=sha256(path), networks=networks)


def _dataset_files(cells: list[ResolvedCell]) -> dict[str, str]:
    """Plan files of prepare and reference; all cells of a dataset must agree on what is measured on real images."""
    files: dict[str, str] = {}
    for cell in cells:
        files[f"prepare/{cell.dataset}.yaml"] = dump(cell.data)
        reference = dump(reference_plan(cell.evaluate))
        if files.setdefault(f"reference/{cell.dataset}.yaml", reference) != reference:
            first = next(one.variant for one in cells if one.dataset == cell.dataset)
            allowed = "one reference per dataset: set them for the data set or the profile"
            raise ConfigError(*cell.composed.where("evaluate"), f"real-image settings unlike those of {first}", allowed)
    return files


def _remove_stale(index: dict[str, Any], files: set[str]) -> None:
    """Remove plan files and results of cells that left the matrix: DVC keeps the plan's, and knows no other results.

    `files`: those of the plan. Files right under results/ belong to no cell.
    """
    kept = {str(Cell.of(cell)) for cell in index["cells"]} | {f"{dataset}/reference" for dataset in index["datasets"]}
    for path in sorted([*PLAN.rglob("*"), *RESULTS.rglob("*")], reverse=True):
        root, *parts = path.parts
        stale = len(parts) > 1 and "/".join(parts[:3]).removesuffix(".json") not in kept
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif "/".join(parts) not in files if root == PLAN.name else stale:
            path.unlink()


def describe_plan(index: dict[str, Any]) -> list[str]:
    """What the plan means and costs, a line each, twins included.

    Costs are those of costs.csv: of `full` in the recipe of conf/, measured or counted.
    """
    cells = [cell for cell in index["cells"] if cell["twin_of"] is None]
    lines = [
        f"plan: profile {index['profile']}, {amount(len(index['cells']), 'cell')}, {amount(len(cells), 'training')} of "
        f"{sum(cell['kimg'] for cell in cells):,.0f} kimg in all -> {PLAN}/"
    ]
    costs = {row["dataset"]: row for row in csv.DictReader(COSTS.read_text(encoding="utf-8").splitlines())}
    for dataset in index["datasets"]:
        kimg = [cell["kimg"] for cell in cells if cell["dataset"] == dataset]
        words = "nothing is known of their cost"
        if row := costs.get(dataset):
            hours = sum(kimg) * float(row["seconds_per_kimg"]) / 3600
            time = f"{hours:,.1f} hours" if hours >= 1 else amount(max(1, round(60 * hours)), "minute")
            memory = f"{row['gib']} GiB each" if row["gib"] else "memory not counted"
            words = f"about {time} of {row['machine']}, {memory} ({row['how']}, for `full`)"
        lines.append(f"plan: {dataset}: {amount(len(kimg), 'training')}, {words}")
    return lines + [
        f"note: {cell['dataset']}: {cell['variant']} (seed {cell['seed']}) is the same network and training as "
        f"{cell['twin_of']}; it is trained once"
        for cell in index["cells"]
        if cell["twin_of"]
    ]


def overridden_note(params: str | Path = PARAMS) -> list[str]:
    """A line where a base setting was changed since the last commit that every selected cell overrides; else none."""
    before = ask("show", f"HEAD:./{Path(params).name}", root=Path(params).parent)
    if before is None:
        return []
    content, committed = load(params), dict[str, Any](OmegaConf.create(before))
    now, then = (leaves({section: one.get(section, {}) for section in SECTIONS}) for one in (content, committed))
    changed = {key for key, value in now.items() if key not in then or then[key] != value}
    groups: dict[str, list[str]] = {}
    for key, files in overridden(selected_cells(content)).items() if changed else ():
        if key in changed:
            groups.setdefault(" or ".join(files), []).append(key)
    return [
        f"note: params.yaml: {', '.join(keys)}: without effect, as every selected cell overrides it in {files}"
        for files, keys in groups.items()
    ]
