"""What every table of the report shares: its place in the report, and the columns that stand behind a row."""

from dataclasses import dataclass, field

import pandas as pd

from pipeline.report.results import (
    Measurement,
    cells_of,
    dataset_metrics,
    dataset_protocol,
    measurement,
    protocol_text,
)
from pipeline.report.statistics import NOT_RUN, number
from pipeline.report.training_flops import forward_flops

DETAILS = [
    "seed by seed",
    "kimg trained",
    "kimg behind the paper's value",
    "parameters G / D",
    "hours per training",
    "peak memory",
    "protocol",
]
# What a cell says when there is nothing to show.
ABSENT = (
    NOT_RUN,
    "not reported",
    "no such",
    "not measured",
    "not available",
    "not known",
    "not found",
    "not computed",
    "not in this matrix",
    "other protocol",
    "-",
)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as it is written to tables/<name>.csv.

    `details`: columns that a page hides until they are asked for; `csv_only`: columns that the CSV alone has;
    `folded`: whether the whole table waits behind its heading.
    """

    name: str
    title: str
    frame: pd.DataFrame
    details: list[str] = field(default_factory=list)
    csv_only: list[str] = field(default_factory=list)
    note: str = ""
    folded: bool = False
    kind: str = "table"

    @property
    def shown(self) -> pd.DataFrame:
        """The frame without the columns of the CSV alone."""
        return self.frame.drop(columns=self.csv_only, errors="ignore")

    @property
    def main(self) -> pd.DataFrame:
        """The columns that stand side by side."""
        return self.shown.drop(columns=self.details, errors="ignore")

    @property
    def behind(self) -> list[list[tuple[str, str]]]:
        """What stands behind each row, as (name, text); [] for a table without such columns."""
        columns = [column for column in self.details if column in self.shown]
        if not columns:
            return []
        return [[(name, str(row[name])) for name in columns] for row in self.shown[columns].to_dict("records")]

    @property
    def measured_rows(self) -> int | None:
        """Rows with a value in a measured column; None for a table without such columns."""
        columns = [column for column in self.frame if column.startswith("measured")]
        if not columns:
            return None
        return sum(any(not str(text).startswith(ABSENT) for text in row) for row in self.frame[columns].to_numpy())

    @property
    def remark(self) -> str:
        """What a folded table's heading says about it."""
        rows = self.measured_rows
        if not self.folded or rows is None or rows > 1:
            return ""
        return "nothing measured" if rows == 0 else "one row measured"


def seeds_note(cells: pd.DataFrame, dataset: str, confidence: float) -> str:
    """How the numbers of a dataset's tables are to be read: said once per table, not in every cell."""
    seeds = sorted(cells[cells.dataset == dataset].seed.unique())
    if len(seeds) == 1:
        return f"One training per row (seed {seeds[0]}): no interval can be given."
    names = ", ".join(map(str, seeds))
    return (
        f"Mean ± half-width of the {confidence:.0%} t-interval over trainings with seeds {names}; "
        "a value without ± comes from one training."
    )


def details(
    cells: pd.DataFrame, dataset: str, variant: str | None, metric: str | None, paper_budget: str = ""
) -> dict[str, str]:
    """What stands behind a row: every seed, training, size, time, memory, protocol.

    `paper_budget`: the training behind the row's own paper value. Another method's row shows that method's.
    """
    own = cells_of(cells, dataset, variant)
    done = own[own.status == "ok"]
    row = measurement(cells, dataset, variant, metric) if metric else Measurement(pd.Series(dtype=float), {})
    return {
        "seed by seed": row.seeds,
        "kimg trained": _trained(done) if len(done) else NOT_RUN,
        "kimg behind the paper's value": paper_budget or "not known",
        "parameters G / D": both(done, "parameters_g", "parameters_d"),
        "hours per training": hours(done),
        "peak memory": peak_memory(done),
        "protocol": protocol_text(dataset_protocol(cells, dataset, metric)) if len(done) and metric else NOT_RUN,
    }


def _trained(done: pd.DataFrame) -> str:
    """Mean kimg; imported weights come without a length."""
    kimg = pd.to_numeric(done.kimg)
    return f"{kimg.mean():,.4g}" if kimg.notna().any() else "imported"


def measured_columns(cells: pd.DataFrame, dataset: str, variant: str | None, confidence: float) -> dict[str, str]:
    """A column per metric of the dataset: mean, interval, troubles."""
    return {
        f"measured: {metric}": measurement(cells, dataset, variant, metric).text(confidence)
        for metric in dataset_metrics(cells, dataset)
    }


def variant_name(cells: pd.DataFrame, dataset: str, variant: str) -> str:
    """The variant, if it is in the matrix: the paper's rows stay when a variant leaves it, its name does not."""
    return variant if len(cells_of(cells, dataset, variant)) else "not in this matrix"


def main_metric(cells: pd.DataFrame, dataset: str) -> str | None:
    """The metric by which the dataset's rows are compared."""
    metrics = dataset_metrics(cells, dataset)
    return metrics[0] if metrics else None


def hours(done: pd.DataFrame) -> str:
    """Mean over the cells that were trained, not copied from a twin."""
    seconds = mean(trained_cells(done), "seconds")
    return number(seconds / 3600) if seconds else NOT_RUN if done.empty else "not measured"


def seconds_per_kimg(done: pd.DataFrame) -> float | None:
    """Training time per thousand images shown to D, mean over the cells that were trained."""
    seconds, kimg = mean(trained_cells(done), "seconds"), mean(trained_cells(done), "kimg")
    return seconds / kimg if seconds and kimg else None


def mean(frame: pd.DataFrame, column: str) -> float | None:
    """Mean of what is there, None where nothing is."""
    if column not in frame or frame[column].dropna().empty:
        return None
    return float(frame[column].dropna().mean())


def trained_cells(done: pd.DataFrame) -> pd.DataFrame:
    """Cells that were trained, not copied from a twin."""
    return done[done.copied_from.isna()] if "copied_from" in done else done


def both(done: pd.DataFrame, first: str, second: str) -> str:
    """Two columns' means as `1,000 / 200`."""
    values = [mean(done, first), mean(done, second)]
    known = [value for value in values if value is not None]
    return " / ".join(f"{value:,.0f}" for value in known) if len(known) == 2 else NOT_RUN


def peak_memory(done: pd.DataFrame) -> str:
    """Largest of the cells', in MiB."""
    if done.empty:
        return NOT_RUN
    if "peak_memory_mib" not in done or done.peak_memory_mib.dropna().empty:
        return "not measured"
    return f"{done.peak_memory_mib.max():,.0f} MiB"


def gflop(dataset: str, variant: str) -> str:
    """Computed forward GFLOP of G / D for one image; a variant whose networks were not computed says so."""
    found = forward_flops(dataset, variant)
    return " / ".join(f"{value / 1e9:,.3g}" for value in found) if found else "not computed"
