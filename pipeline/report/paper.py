"""What the paper reports, with source and status of every value, and which variant stands for which of its rows.

rows.csv lists the rows of every table with their variants and what each is compared with; a variant that it does not
name gets a row in "off full".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import pandas as pd

MAIN_VARIANT = "full"
ABLATION_DATASETS = ("celeba64", "celeba128", "church256")
MAIN_DATASETS = ("cifar10", "stl10", "celeba128", "celebahq256", "church256")
NAMES = {
    "cifar10": "CIFAR-10",
    "stl10": "STL-10 48",
    "celeba64": "CelebA 64",
    "celeba128": "CelebA 128",
    "celebahq256": "CelebA-HQ 256",
    "church256": "LSUN-Church 256",
    "digits": "Digits 8 (demo)",
    "faces": "Faces 32 (CelebA)",
    "folder": "Images of your own",
    "glyphs": "Glyphs 16",
    "glyphs_pairs": "Pairs of glyphs 16",
}
MEANINGS = {
    "quoted": "*quoted*: read in another work's table or an archive, not in the method's own paper",
    "recalled": "*recalled*: written down from memory, never checked against the paper",
    "weak": "*weak*: from memory or one doubtful source, likely to be wrong",
}


@dataclass(frozen=True, kw_only=True)
class PaperValue:
    """A figure of the paper: `value` None for OOM, `text` as it is shown, `mark` its citation status ('' = checked).

    `protocol`: the metric's name here if it is known, alternatives joined by ` or `; `budget`: kimg and whose.
    """

    value: float | None
    text: str
    mark: str = ""
    source: str = ""
    protocol: str = "not stated"
    budget: str = ""

    def measured_as(self, metric: str) -> bool:
        """Whether a measurement named `metric` follows the protocol of this value."""
        return metric in self.protocol.split(" or ")

    def differs_from(self, other: "PaperValue | None") -> bool:
        """Whether two values are known to follow different protocols."""
        protocols = {self.protocol, other.protocol if other else "not stated"}
        return len(protocols) > 1 and "not stated" not in protocols

    @property
    def kimg(self) -> float | None:
        """The training behind the value, in thousands of images shown to D; None where it is not known."""
        found = re.match(r"[\d.]+", self.budget)
        return float(found.group()) if found else None


@cache
def packaged(name: str) -> pd.DataFrame:
    """A CSV of this folder, as text: rows, paper_results, deviations, claims, captions, cost_geometry."""
    with resources.files("pipeline.report").joinpath(name).open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype=str, keep_default_na=False)


def rows_of(table: str) -> dict[str, str]:
    """The rows of a table that a variant stands for: variant -> the row's name, in the table's order."""
    found = packaged("rows.csv")
    return {row.variant: row.row for row in found[found.table == table].itertuples() if row.variant}


def paper_rows(table: str, dataset: str | None = None) -> pd.DataFrame:
    """The lines of one of the paper's tables, of one dataset if it is named."""
    found = packaged("paper_results.csv")
    return found[(found.table == table) & (found.dataset == (dataset or found.dataset))]


@cache
def paper_value(table: str, row: str, dataset: str, metric: str) -> PaperValue | None:
    """The paper's figure, None where it reports none. Its source is without the file's commit and hash."""
    found = paper_rows(table, dataset)
    found = found[(found.row == row) & (found.metric == metric)]
    if found.empty:
        return None
    entry = found.iloc[0]
    mark = "" if entry.status == "checked" else entry.status
    spread = f" ± {entry['std']}" if entry["std"] else ""
    spread += " (± recalled)" if spread and not mark and "std recalled" in entry.source else ""
    return PaperValue(
        value=None if entry.value == "OOM" else float(entry.value), mark=mark, source=entry.source.partition(" (")[0],
        text=entry.value + spread + (f" ({mark})" if mark else ""), protocol=entry.protocol, budget=entry.paper_budget,
    )  # fmt: skip


def sources(values: Mapping[str, PaperValue | None]) -> str:
    """Where the values of a row were seen: one source if all share it, else one per column."""
    known = {name: value.source for name, value in values.items() if value}
    if len(set(known.values())) <= 1:
        return next(iter(known.values()), "-")
    return "; ".join(f"{name}: {source}" for name, source in known.items())


def explained(frame: pd.DataFrame) -> str:
    """What the marks that occur in a table's paper columns mean; '' where all values are unmarked."""
    texts = frame.filter(regex="^paper: ").to_string()
    used = [meaning for mark, meaning in MEANINGS.items() if mark in texts]
    return f"Paper values without a mark were read in the paper itself; {'; '.join(used)}." if used else ""


def paper_kimg(dataset: str) -> float | None:
    """TransGAN's own training on a dataset, thousands of real images shown to D; None where no script is known."""
    values = [paper_value("main", "TransGAN", dataset, metric) for metric in ("FID", "IS")]
    return next((value.kimg for value in values if value and value.kimg), None)


def in_paper(dataset: str) -> bool:
    """Whether the paper has results on the dataset."""
    return dataset in set(packaged("paper_results.csv").dataset)


def name_of(dataset: str) -> str:
    """The dataset as the report writes it."""
    return NAMES.get(dataset, dataset)
