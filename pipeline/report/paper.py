"""What the paper reports, with source and status of every value, and which variant stands for which of its rows.

rows.csv lists the rows of every table with their variants and what each is compared with (others: with `full`),
datasets.csv the data sets that this project knows, as the report writes them, and the paper's tables that have them.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

import pandas as pd

MAIN_VARIANT = "full"
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
    """A CSV of this folder, as text."""
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
        value=None if entry.value == "OOM" else float(entry.value), mark=mark, protocol=entry.protocol,
        text=entry.value + spread + (f" ({mark})" if mark else ""), budget=entry.paper_budget,
        source=entry.source.partition(" (the ")[0],
    )  # fmt: skip


def explained(frame: pd.DataFrame) -> str:
    """What the marks that occur in a table's paper columns mean; '' where all values are unmarked."""
    texts = frame.filter(regex="^paper: ").to_string()
    used = [meaning for mark, meaning in MEANINGS.items() if mark in texts]
    return f"Paper values without a mark were read in the paper itself; {'; '.join(used)}." if used else ""


def datasets_of(table: str) -> list[str]:
    """The data sets of the paper's Table 1 (`main`) or of its ablation."""
    known = packaged("datasets.csv")
    return list(known.dataset[[table in tables.split() for tables in known.tables]])


def name_of(dataset: str) -> str:
    """The dataset as the report writes it."""
    return str(packaged("datasets.csv").set_index("dataset").name.get(dataset, dataset))
