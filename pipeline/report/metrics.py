"""The metrics the report knows, in one place: what a name means, which way is better, what it may be compared with.

A metric is recognised by its name, so that a dataset that is measured by another protocol brings its own columns. A new
kind of metric is a line here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Family:
    pattern: str        # of the whole name, as in results/<cell>.json
    label: str
    lower: bool         # lower is better


# In the order of columns; the first one a dataset has is its main metric.
FAMILIES = (
    Family(pattern=r"fid\w*", label="Fréchet Inception distance", lower=True),
    Family(pattern=r"fd_\w+", label="Fréchet distance in the features of the dataset's own classifier (not FID)", lower=True),
    Family(pattern=r"is(\d+\w*)?", label="Inception score", lower=False),
    Family(pattern=r"is_\w+", label="the Inception score's formula on the dataset's own classifier (not IS)", lower=False),
    Family(pattern=r"kid\w*", label="kernel Inception distance", lower=True),
    Family(pattern=r"kd_\w+", label="kernel distance in the features of the dataset's own classifier (not KID)", lower=True),
    Family(pattern=r"precision\w*", label="share of samples inside the real images' manifold", lower=False),
    Family(pattern=r"recall\w*", label="share of real images inside the samples' manifold", lower=False),
)

# The only protocols whose numbers may stand against the paper's (design: legacy resize, training split, 50k generated).
PAPER_PROTOCOLS = {"FID": "fid50k_train_legacy", "IS": "is50k"}


PAPER_SPLITS = 10       # of its Inception scores


def as_in_the_paper(facts: dict[str, Any] | None) -> bool:
    """Whether settings that a metric's name does not tell are the paper's."""
    return (facts or {}).get("splits", PAPER_SPLITS) == PAPER_SPLITS


def family(name: str) -> Family | None:
    """What a column is, None where it is no metric. Spreads (`..._std`) travel with their metric and are none."""
    if name.endswith("_std"):
        return None
    return next((entry for entry in FAMILIES if re.fullmatch(entry.pattern, name)), None)


def metrics_among(names: Iterable[str]) -> list[str]:
    """The metrics among `names`, in the order of FAMILIES, then by name."""
    found = [(FAMILIES.index(kind), name) for name in names if (kind := family(name))]
    return [name for _, name in sorted(found)]


def better(name: str, difference: float) -> bool:
    """Whether a change of `difference` in the metric is for the better."""
    return (difference < 0) == family(name).lower and difference != 0
