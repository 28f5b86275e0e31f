"""Trained networks kept in the repository, found by name, offline, each with a model card.

    pretrained/<dataset>/<variant>/             of the demo: digits/full
    published/<name>/networks/<variant>/        of published runs (pipeline.matrix.publish): faces32_deep_d/full

    python -m pipeline.generators.pretrained digits/full digits/no_augment     copies runs to pretrained/

A folder holds what drawing needs (generator_ema.safetensors in half precision, network.yaml), the training's record
(run.json) and README.md, a model card in the format that model hubs read. The run is that of the smallest seed.
"""

import argparse
import csv
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.base.cell import Cell
from pipeline.base.errors import ArgumentParser, UserError, choices, command_line
from pipeline.base.files import atomic_write, existing_path, read_json, write_text
from pipeline.base.schema import bind, read_yaml
from pipeline.metrics.registry import SPREAD, column
from pipeline.networks.spec import NetworkSpec

ROOT = Path(__file__).parent.parent.parent
PRETRAINED = ROOT / "pretrained"
PUBLISHED = ROOT / "published"
KEPT = "networks"  # in the folder of a published run
NETWORKS = "network.yaml"
WEIGHTS = "generator_ema.safetensors"
FILES = (NETWORKS, WEIGHTS, "run.json")
CARD = Path(__file__).with_name("card.md.j2")
# What a card says of the images: title, terms of use, the licence's name on model hubs, and the data set's name there.
LICENCES = Path(__file__).with_name("licences.csv")
MOST = 8 * 2**20  # bytes of all networks under pretrained/ together, and of those of one published run


def find_run(run_or_name: str | Path) -> Path:
    """The folder that a run's path or the name of a kept network means; a path that exists comes first.

    Errors: `UserError` that lists the names there are.
    """
    if (Path(run_or_name) / NETWORKS).is_file():
        return Path(run_or_name)
    networks = kept_networks()
    if str(run_or_name) in networks:
        return networks[str(run_or_name)]
    kept = choices(networks, run_or_name) if networks else "pretrained/ has none"
    raise UserError(f"{run_or_name}: no finished run ({NETWORKS} is missing) and none of the networks here: {kept}")


def add_network(parser: argparse.ArgumentParser) -> None:
    """The option by which a command takes a trained network, for `find_run` and `load_generator`."""
    about = "folder of a finished run (runs/digits/full/seed1), or name of a network kept here (digits/full)"
    names = ("--run", "--pretrained")
    parser.add_argument(*names, dest="network", required=True, metavar="RUN", type=existing_path, help=about)


def kept_networks() -> dict[str, Path]:
    """Name -> folder of every network that the repository holds, in the order of the names."""
    files = [*PUBLISHED.glob(f"*/{KEPT}/*/{NETWORKS}"), *PRETRAINED.glob(f"*/*/{NETWORKS}")]
    return dict(sorted({_name(file.parent): file.parent for file in files}.items()))


def _name(folder: Path) -> str:
    group = folder.parent
    return f"{(group.parent if group.name == KEPT else group).name}/{folder.name}"


def smallest_seed(root: Path, dataset: str, variant: str) -> Cell | None:
    """The cell of the smallest seed whose run in `root`/runs/ has a generator, if there is one."""
    runs = (root / "runs" / dataset / variant).glob("seed*")
    seeds = [int(run.name[4:]) for run in runs if all((run / name).is_file() for name in FILES)]
    return Cell(dataset, variant, min(seeds)) if seeds else None


def copy_to_pretrained(names: Sequence[str], root: Path = Path()) -> list[Path]:
    """Copy the runs of the smallest seeds to pretrained/, with a model card each; returns the folders.

    `names`: <dataset>/<variant> each. `root`: of the project that has their runs and results.
    Errors: `UserError` where one has no finished run, and where all networks together would be too large.
    """
    chosen = {}
    for name in names:
        if not re.fullmatch(r"\w+/\w+", name):
            raise UserError(f"{name}: given as the name of a cell; allowed: <dataset>/<variant>")
        if (cell := smallest_seed(root, *name.split("/"))) is None:
            raise UserError(f"runs/{name}: no finished run with a generator; `make repro` makes those of the matrix")
        chosen[PRETRAINED / name] = cell
    keep(chosen, root, {path.parent for path in PRETRAINED.glob(f"*/*/{NETWORKS}")} - chosen.keys())
    return list(chosen)


def keep(cells: Mapping[Path, Cell], root: Path, others: Iterable[Path] = ()) -> None:
    """Copy what drawing needs of the runs in `root` to the folders that `cells` names, with a model card each.

    Weights are rounded to half precision: no pixel moves by more than one grey level.
    Errors: `UserError`, before anything is written, where they exceed MOST together with those in the folders `others`.
    """
    from safetensors.torch import load_file

    from pipeline.runs.checkpoint import save_weights

    runs = {folder: root / "runs" / str(cell) for folder, cell in cells.items()}
    total = sum((run / WEIGHTS).stat().st_size // 2 for run in runs.values())
    total += sum((folder / WEIGHTS).stat().st_size for folder in others)
    if total > MOST:
        raise UserError(f"generators of {total / 2**20:.1f} MiB; allowed: {MOST / 2**20:.0f} MiB of networks in all")
    for folder, run in runs.items():
        weights = load_file(run / WEIGHTS).items()
        save_weights(folder / WEIGHTS, {key: w.half() if w.is_floating_point() else w for key, w in weights})
        for file in (NETWORKS, "run.json"):
            with atomic_write(folder / file) as temporary:
                shutil.copyfile(run / file, temporary)
        write_text(folder / "README.md", model_card(cells[folder], root, _name(folder)))


TASK = "unconditional-image-generation"
FACTS = {"Parameters": "parameters_g", "Seconds": "seconds", "Device": "device"}
FACTS |= {"Revision": "revision", "Imported from": "imported_from"}


def model_card(cell: Cell, root: Path, name: str) -> str:
    """The card of the run of `cell` in `root`, by its results, where it has some: Markdown with YAML front matter.

    `load_generator` finds the network by `name`. Numbers stand under the name of their protocol. Deterministic: the
    same files give the same card. Errors: `UserError` where there is no finished run.
    """
    from jinja2 import Template

    run, results = root / "runs" / str(cell), root / "results" / str(cell)
    spec = bind(NetworkSpec, read_yaml(run / NETWORKS), file=str(run / NETWORKS))
    found = [results / "run.json", results.with_suffix(".json"), results / "protocol.json"]
    kept, measured, protocol = (read_json(file, {}) for file in found)
    record = read_json(run / "run.json") | kept  # with time and machine of the training
    licences = {row["dataset"]: row for row in csv.DictReader(LICENCES.read_text(encoding="utf-8").splitlines())}
    images = licences.get(cell.dataset) or licences.get(cell.dataset.rstrip("0123456789"), licences["other"])
    metrics = [
        (metric, value, measured.get(f"{metric}{SPREAD}"), kind, protocol.get("metrics", {}).get(metric, {}))
        for metric, value in measured.items()
        if isinstance(value, int | float) and (kind := column(metric)) is not None
    ]
    front: dict[str, Any] = {"license": images["license"], "library_name": "pytorch", "pipeline_tag": TASK}
    front["tags"] = ["gan", "image-generation", "transgan"]
    if images["hub"]:
        front["datasets"] = [images["hub"]]
    if metrics:
        data = {"name": images["title"], "type": images["hub"] or cell.dataset}
        values = [{"type": metric, "value": round(value, 4)} for metric, value, *_ in metrics]
        result = {"task": {"type": TASK}, "dataset": data, "metrics": values}
        front["model-index"] = [{"name": name, "results": [result]}]
    yaml_front = yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=120)
    facts = {"name": name, "spec": spec, "images": images, "record": record, "facts": FACTS, "metrics": metrics}
    template = Template(CARD.read_text(encoding="utf-8"), trim_blocks=True, keep_trailing_newline=True)
    return template.render(front=yaml_front, **facts)


@command_line
def main() -> None:
    about = "Copy finished runs to pretrained/, with a model card each."
    parser = ArgumentParser(prog="python -m pipeline.generators.pretrained", description=about)
    parser.add_argument("names", nargs="+", metavar="DATASET/VARIANT", help="cells; the smallest seed of each")
    for folder in copy_to_pretrained(parser.parse_args().names):
        print(f"pretrained: {folder.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
