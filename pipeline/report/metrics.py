"""The metrics as the report reads them. What a name means is in pipeline/metrics/registry.py."""

from collections.abc import Iterable
from typing import Any

from pipeline.metrics.registry import COLUMNS, PAPER_PROTOCOLS, PAPER_SETTINGS, Column, column, paper_protocols

__all__ = ["PAPER_PROTOCOLS", "as_in_the_paper", "better", "family", "metrics_among", "paper_protocols"]


def as_in_the_paper(facts: dict[str, Any] | None) -> bool:
    """Whether settings that a metric's name does not tell are the paper's."""
    return all((facts or {}).get(name, value) == value for name, value in PAPER_SETTINGS.items())


def family(name: str) -> Column | None:
    """What a column is, None where it is no metric. Standard deviations travel with their metric and are none."""
    return column(name)


def metrics_among(names: Iterable[str]) -> list[str]:
    """The metrics among `names`, in the order of the registry's columns, then by name."""
    found = [(COLUMNS.index(kind), name) for name in names if (kind := column(name))]
    return [name for _, name in sorted(found)]


def better(name: str, difference: float) -> bool:
    """Whether a change of `difference` in the metric is for the better. Errors: `KeyError` for what is no metric."""
    kind = column(name)
    if kind is None:
        raise KeyError(name)
    return (difference < 0) == kind.lower and difference != 0
