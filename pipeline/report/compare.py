"""Two revisions or experiments side by side.

    python -m pipeline.report.compare A B [--out compare]       writes compare/README.md and compare/index.html

A and B: commits, branches, tags, names of experiments, or `workspace`. Reads git alone; trains and restores nothing.
"""

import argparse
import tempfile
from pathlib import Path

import pandas as pd

from pipeline.base.errors import command_line
from pipeline.plan.config import PARAMS, load
from pipeline.report import verdict
from pipeline.report.paper import name_of
from pipeline.report.pictures import Tile, contact_sheet, grid
from pipeline.report.results import (
    dataset_metrics,
    dataset_protocol,
    measurement,
    protocol_difference,
    protocol_text,
)
from pipeline.report.sample_figures import Group, Picture
from pipeline.report.sections import Block, Section, write_report
from pipeline.report.sheets import cell_sheet
from pipeline.report.snapshots import Snapshot, changed_params, snapshot
from pipeline.report.statistics import difference_text
from pipeline.report.tables import Table

IMAGES = 64


def compare(first: Snapshot, second: Snapshot, out: Path, confidence: float) -> Path:
    """Write the comparison of two snapshots to `out`; returns the path of README.md."""
    params = changed_params(first, second)
    rows = [
        {"key": key, f"A: {first.name}": str(one), f"B: {second.name}": str(two)} for key, (one, two) in params.items()
    ]
    table = Table(name="settings", title="params.yaml", frame=pd.DataFrame(rows))
    sections = [Section(title="Settings that differ", anchor="settings", blocks=[table])]
    for dataset in dict.fromkeys([*first.index["datasets"], *second.index["datasets"]]):
        pictures = samples(first, second, dataset, out)
        table = differences(first, second, dataset, confidence)
        blocks: list[Block] = [pictures, table] if pictures else [table]
        sections.append(Section(title=name_of(dataset), anchor=dataset, blocks=blocks))
    head = [f"A is `{first.name}`, B is `{second.name}`. Differences are B minus A, paired by seed."]
    return write_report(f"{first.name} and {second.name}", head, sections, out)


def differences(first: Snapshot, second: Snapshot, dataset: str, confidence: float) -> Table:
    """Every variant's metrics in A and in B; values of different protocols are not subtracted."""
    sides = (first, second)
    variants = dict.fromkeys(variant for side in sides for variant in side.cells[side.cells.dataset == dataset].variant)
    metrics = list(dict.fromkeys(metric for side in sides for metric in dataset_metrics(side.cells, dataset)))
    protocols = {metric: [dataset_protocol(side.cells, dataset, metric) for side in sides] for metric in metrics}
    rows = []
    for variant in variants:
        for metric in metrics:
            one, two = (measurement(side.cells, dataset, variant, metric) for side in sides)
            row = {
                "variant": variant,
                "metric": metric,
                f"A: {first.name}": one.text(confidence),
                f"B: {second.name}": two.text(confidence),
            }
            pairs = (two.values - one.values).dropna()
            if pairs.empty:
                rows.append(row | {"B minus A": "-", "B is": "-"})
            elif difference := protocol_difference(*reversed(protocols[metric])):
                rows.append(row | {"B minus A": f"other protocol ({difference})", "B is": "not comparable"})
            else:
                rows.append(
                    row
                    | {
                        "B minus A": difference_text(list(pairs), confidence),
                        "B is": verdict.change(list(pairs), metric, confidence),
                    }
                )
    same = [row for row in rows if row["B is"] == "the same"]
    rows = [row for row in rows if row not in same]
    known = [
        "; ".join(dict.fromkeys(protocol_text(pair[place]) for pair in protocols.values() if pair[place])) or "not run"
        for place in (0, 1)
    ]
    note = (
        f"Protocol of A: {known[0]}. Protocol of B: {known[1]}. Left out: {len(same)} values that are equal in both. "
        f"Mean ± half-width of the {confidence:.0%} t-interval over seeds; a value without ± comes from one seed."
    )
    return Table(name=f"{dataset}_compared", title="Metrics", frame=pd.DataFrame(rows), note=note)


def samples(first: Snapshot, second: Snapshot, dataset: str, out: Path) -> Group | None:
    """First samples of every variant, A beside B."""
    rows, pictures = [], []
    keys = {
        (cell.variant, cell.seed): cell
        for side in (first, second)
        for cell in side.cells[side.cells.dataset == dataset].itertuples()
    }
    for variant, seed in keys:
        tiles = []
        for letter, side in (("A", first), ("B", second)):
            sheet = cell_sheet(side.results, {"dataset": dataset, "variant": variant, "seed": seed}, "samples")
            planned = (
                (side.cells.dataset == dataset) & (side.cells.variant == variant) & (side.cells.seed == seed)
            ).any()
            if sheet is not None and planned:
                tiles.append(Tile(f"{letter}: {variant}, seed {seed}", grid(sheet.images[0][:IMAGES])))
        if tiles:
            rows.append(("", tiles))
            pictures += [
                Picture(tile.caption, f"First {IMAGES} samples, {tile.caption}, {dataset}", tile.image)
                for tile in tiles
            ]
    if not rows:
        return None
    path = out / "figures" / f"{dataset}_samples.png"
    contact_sheet(path, rows, f"{dataset}: A is {first.name}, B is {second.name}")
    return Group("Samples", "The first samples of every cell, uncurated, A before B.", [path], pictures)


@command_line
def main() -> None:
    parser = argparse.ArgumentParser(prog="transgan compare", description="Two revisions or experiments side by side.")
    parser.add_argument("first", help="A: commit, branch, experiment, or workspace")
    parser.add_argument("second", help="B: the same")
    parser.add_argument("--out", type=Path, default=Path("compare"), help="folder to write (compare)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        first, second = (snapshot(name, Path(scratch)) for name in (arguments.first, arguments.second))
        path = compare(first, second, arguments.out, load(PARAMS)["report"]["confidence"])
    print(f"compare: {path}, {path.with_name('index.html')}", flush=True)


if __name__ == "__main__":
    main()
