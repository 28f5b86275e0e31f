"""Are transformer GANs less stable to train than CNNs? Counted, not tested: divergence, spikes, spread over seeds."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.report import paper
from pipeline.report.curve_summary import LEAST_TICKS, SPIKE, spikes
from pipeline.report.results import dataset_metrics, load_history, measurement
from pipeline.report.statistics import NOT_RUN
from pipeline.report.tables import Table

MEASURES = {
    "diverged": "share of trainings that diverged",
    "spikes_d": "share of D's ticks that are gradient spikes",
    "spikes_g": "share of G's ticks that are gradient spikes",
    "spread": "spread of the main metric over seeds",
}


@dataclass(frozen=True, kw_only=True)
class Dynamics:
    """What was counted about one kind of networks; None where nothing could be counted.

    `spread`: the standard deviation over seeds divided by the mean, its median over rows with two seeds or more.
    """

    trainings: int
    diverged: float
    spikes_d: float | None
    spikes_g: float | None
    spread: float | None


def counted(cells: pd.DataFrame, dataset: str, results: str, cnns: set[str]) -> dict[str, Dynamics]:
    """Both kinds of networks by name; {} unless trainings of both are there.

    Mixed pairs count as neither, and so do rows beyond the paper: their recipes are not those of the paper's networks.
    """
    aside = {*paper.MIXED, *paper.BEYOND}
    own = cells[(cells.dataset == dataset) & (cells.status != NOT_RUN) & ~cells.variant.isin(aside)]
    sides = {"transformers": own[~own.variant.isin(cnns)], "CNNs": own[own.variant.isin(cnns)]}
    if any(side.empty for side in sides.values()):
        return {}
    return {name: _counted(side, dataset, results) for name, side in sides.items()}


def _counted(cells: pd.DataFrame, dataset: str, results: str) -> Dynamics:
    found = (load_history(results, cell) for _, cell in cells.iterrows())
    histories = [history for history in found if history is not None and len(history) >= LEAST_TICKS]
    return Dynamics(
        trainings=len(cells),
        diverged=float((cells.status == "diverged").mean()),
        spikes_d=_spike_share(histories, "gradient_d"),
        spikes_g=_spike_share(histories, "gradient_g"),
        spread=_spread(cells, dataset),
    )


def _spike_share(histories: list[pd.DataFrame], column: str) -> float | None:
    norms = [history[column] for history in histories if column in history]
    ticks = sum(map(len, norms))
    return sum(map(spikes, norms)) / ticks if ticks else None


def _spread(cells: pd.DataFrame, dataset: str) -> float | None:
    metrics = dataset_metrics(cells, dataset)
    rows = [measurement(cells, dataset, v, metrics[0]).values for v in dict.fromkeys(cells.variant)] if metrics else []
    shares = [float(row.std(ddof=1) / abs(row.mean())) for row in rows if len(row) > 1 and row.mean()]
    return float(np.median(shares)) if shares else None


def sentence(found: dict[str, Dynamics]) -> str:
    """The answer in words, with every count that both kinds have; '' without both kinds."""
    if not found:
        return ""
    own, other = found["transformers"], found["CNNs"]
    sides: dict[str, list[str]] = {"larger for transformers": [], "smaller for transformers": [], "equal": []}
    texts = []
    for name, words in MEASURES.items():
        first, second = getattr(own, name), getattr(other, name)
        if first is None or second is None:
            continue
        sides[
            "equal" if first == second else "larger for transformers" if first > second else "smaller for transformers"
        ].append(words)
        texts.append(f"{words}: {first:.1%} against {second:.1%}")
    more, less = sides["larger for transformers"], sides["smaller for transformers"]
    answer = "yes" if more and not less else "no" if not more else "in part"
    listed = "; ".join(f"{heading}: {', '.join(names)}" for heading, names in sides.items() if names)
    return (
        f"**Are transformer GANs less stable here? By these counts {answer}.** {own.trainings} trainings "
        "of transformers "
        f"against {other.trainings} of CNNs. {_capital('; '.join(texts))}. {_capital(listed)}. A spike is a "
        f"gradient norm above {SPIKE:g} times the training's median. The spread is the standard "
        "deviation over the mean, "
        "its median over rows. These are counts without a test, and recipes differ between the two kinds."
    )


def table(found: dict[str, Dynamics], dataset: str) -> Table | None:
    """A row per kind of networks; None without both kinds."""
    if not found:
        return None
    rows = [
        {"networks": kind, "trainings": entry.trainings}
        | {words: _share(getattr(entry, name)) for name, words in MEASURES.items()}
        for kind, entry in found.items()
    ]
    note = "Mixed pairs and rows beyond the paper count as neither. The curves are in the chart of transformer and CNN."
    return Table(
        name=f"{dataset}_dynamics",
        title="Training dynamics of transformer and CNN",
        frame=pd.DataFrame(rows),
        note=note,
    )


def _share(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.1%}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
