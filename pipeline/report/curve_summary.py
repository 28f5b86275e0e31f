"""What a cell's training curves hold, as numbers with their place in training: `summary` is applied to every cell.

Parts of a run are counted in ticks. Columns that a history does not have stay empty: nothing is said about them.
"""

import math
from typing import Any

import numpy as np
import pandas as pd

from pipeline.report.statistics import number, t_quantile

PARTS = 10  # equal parts of a run over which curves are averaged
LEAST_TICKS = 20  # from which on a part is at least two ticks
SPIKE = 10.0  # a tick is a spike if its gradient norm is more than so many times the run's median
NOTE = (
    "Numbers read from history.csv (`pipeline/report/curve_summary.py`); a part is a tenth of the ticks. *Second "
    "half*: "
    "*rising* or *falling* if a line through the means of the last five parts has a slope whose 95 % interval excludes "
    "0 and moves by more than a tenth of the curve's whole range, else *level*. *Spikes*: ticks whose gradient norm is "
    "more than ten times the run's median. No verdict rests on this table."
)


def summary(cell: dict[str, Any], history: pd.DataFrame | None) -> dict[str, str]:
    """A row of the table: how the cell ended, the critic's estimate, penalty, gradient norms, spread of samples."""
    row = {"ended": ending(cell)}
    if history is None:
        return row
    if len(history) < LEAST_TICKS:
        return row | {"ended": f"{row['ended']}; {len(history)} ticks, too few to read"}
    if "wasserstein" in history:
        row |= _critic(history.kimg, history.wasserstein)
    if "penalty" in history:
        row["penalty, last tenth"] = number(parts(history.penalty)[-1])
    for column, name in (("gradient_d", "D"), ("gradient_g", "G")):
        if column in history:
            row[f"largest gradient norm of {name}"] = _largest(history.kimg, history[column])
    if "sample_spread" in history:
        row["spread of samples, last tenth"] = number(parts(history.sample_spread)[-1])
    return row


def ending(cell: dict[str, Any]) -> str:
    """How a cell ended; one that did not end well with what its record knows."""
    if cell["status"] == "diverged":
        return f"{cell['state']}: {_known(cell, 'detail') or 'reason not recorded'}"
    if cell["status"] == "oom":
        asked, device = _known(cell, "bytes_asked"), _known(cell, "device")
        sizes = (_known(cell, "batch_discriminator"), _known(cell, "batch_generator"))
        batches = f", batches of {sizes[0]:.0f} (D) and {sizes[1]:.0f} (G)" if all(sizes) else ""
        needed = f"{number(asked / 2**30)} GiB more were asked for" if asked else "out of memory"
        helps = f"; would help: {cell['would_help']}" if _known(cell, "would_help") else ""
        return f"{needed} on {device or 'an unknown device'}{batches}{helps}"
    return str(cell["status"])


def _known(cell: dict[str, Any], key: str) -> Any:
    value = cell.get(key)
    return None if value is None or (isinstance(value, float) and math.isnan(value)) else value


def parts(curve: pd.Series) -> list[float]:
    """Means over the PARTS equal parts of a curve, in order. Ticks that are not finite are left out."""
    finite = curve.where(np.isfinite(curve))
    return [float(finite.iloc[ticks].mean()) for ticks in _ticks(curve)]


def _ticks(curve: pd.Series) -> list[np.ndarray]:
    """The positions of each part's ticks."""
    return np.array_split(np.arange(len(curve)), PARTS)


def direction(curve: pd.Series) -> str:
    """level | rising | falling: the second half of a curve, by a line through the means of its last five parts."""
    means = np.array(parts(curve))
    later = means[PARTS // 2 :]
    if not np.isfinite(means).all():
        return "not finite"
    places = np.arange(len(later)) - (len(later) - 1) / 2
    slope = float((places * later).sum() / (places**2).sum())
    residuals = later - later.mean() - slope * places
    freedom = len(later) - 2
    error = math.sqrt((residuals**2).sum() / freedom / (places**2).sum())
    moved, whole = abs(slope) * (len(later) - 1), float(np.ptp(means))
    if abs(slope) <= t_quantile(freedom, 0.95) * error or moved <= 0.1 * whole:
        return "level"
    return "rising" if slope > 0 else "falling"


def spikes(norms: pd.Series) -> int:
    """Ticks whose gradient norm is more than SPIKE times the median of the run; one that is not finite counts."""
    median = norms[np.isfinite(norms)].median()
    return int((~np.isfinite(norms) | (norms > SPIKE * median)).sum())


def _critic(kimg: pd.Series, curve: pd.Series) -> dict[str, str]:
    """Where the estimate D(real) - D(fake) began, its extremes with their place, where it ended, and its direction."""
    means = parts(curve)
    ends = [kimg.iloc[ticks[-1]] for ticks in _ticks(curve)]
    low, high = int(np.nanargmin(means)), int(np.nanargmax(means))
    return {
        "D(real) − D(fake), first tenth": number(means[0]),
        "lowest tenth (ends at kimg)": f"{number(means[low])} ({ends[low]:g})",
        "highest tenth (ends at kimg)": f"{number(means[high])} ({ends[high]:g})",
        "last tenth": number(means[-1]),
        "second half": direction(curve),
    }


def _largest(kimg: pd.Series, norms: pd.Series) -> str:
    """`174,134.0 at 46.5 kimg, 74,700 x the median; 10 spikes in 200 ticks`."""
    finite = norms[np.isfinite(norms)]
    if finite.empty:
        return "not finite"
    place, median, count = finite.idxmax(), finite.median(), spikes(norms)
    times = f", {finite.max() / median:,.3g} x the median" if median > 0 else ""
    counted = f"{count} spike{'s' * (count != 1)} in {len(norms)} ticks"
    return f"{number(finite.max())} at {kimg[place]:g} kimg{times}; {counted}"
