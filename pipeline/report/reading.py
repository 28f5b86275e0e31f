"""What a cell's training curves say, in plain language, by fixed rules: `read` is applied to every cell, RULES is printed.

Parts of a run are counted in ticks. A curve is *level* if its means over the last tenth and over the tenth before differ by
no more than 10 % of the larger or two standard errors of their difference; else it was still falling or rising.
"""

import math
from typing import Any

import pandas as pd

from pipeline.report.statistics import number

ENOUGH = 20         # ticks from which on a tenth is at least two of them
RULES = (
    "Read from history.csv and machine.csv by fixed rules (`pipeline/report/reading.py`), first tick to last; a value *at the end* is the mean over the last tenth of the ticks, "
    "and a curve is *level* if that differs from the tenth before by no more than 10 % or two standard errors. No verdict rests on this table."
)


def read(cell: dict[str, Any], history: pd.DataFrame | None) -> str:
    """The reading of one cell; `history` as `cells.load_history` gives it."""
    parts = [_ending(cell)]
    if history is None:
        parts.append(None if cell["status"] in ("oom", "not run") else "curves not recorded")
    elif len(history) < ENOUGH:
        parts.append(f"too few ticks to read curves ({len(history)}; {ENOUGH} are needed)")
    else:
        parts += [_critic(history), _penalty(history), _gradients(history), _average(history), _spread(history), _speed(history)]
    return "; ".join(part for part in parts if part) or "nothing to read"


def _ending(cell: dict[str, Any]) -> str | None:
    """What befell a cell that did not end well, with what its record knows."""
    if cell["status"] == "diverged":
        return f"{cell['state']}: {_known(cell, 'detail') or 'reason not recorded'}"
    if cell["status"] == "oom":
        asked, device = _known(cell, "bytes_asked"), _known(cell, "device")
        batches = f", batches of {cell['batch_discriminator']:.0f} (D) and {cell['batch_generator']:.0f} (G)" if _known(cell, "batch_generator") else ""
        needed = f"{number(asked / 2**30)} GiB more were asked for" if asked else "out of memory"
        helps = f"; would help: {cell['would_help']}" if _known(cell, "would_help") else ""
        return f"{needed} on {device or 'an unknown device'}{batches}{helps}"
    return None if cell["status"] == "ok" else cell["status"]


def _known(cell: dict[str, Any], key: str) -> Any:
    value = cell.get(key)
    return None if value is None or (isinstance(value, float) and math.isnan(value)) else value


def _critic(history: pd.DataFrame) -> str | None:
    if "wasserstein" not in history:
        return None
    curve = history.wasserstein
    smooth = curve.rolling(_tenth(curve), min_periods=1).mean()
    height, end, trend = smooth.max(), _end(curve), direction(curve)
    told = f"the critic's estimate fell from {number(height)} at its height to {number(end)}" if end < 0.9 * height else f"the critic's estimate ended at its height, {number(end)}"
    said = {"level": "and is level", "falling": "and was still falling: not converged", "rising": "and was rising: the critic was gaining"}[trend]
    return f"{told} {said}"


def _penalty(history: pd.DataFrame) -> str | None:
    if "penalty" not in history:
        return None
    curve = history.penalty
    steep = ", the critic is far from slope 1" if _end(curve) > 0.25 else ""
    trend, end = direction(curve), number(_end(curve))
    return (f"penalty stable near {end}" if trend == "level" else f"penalty {end} at the end and {trend}") + steep


def _gradients(history: pd.DataFrame) -> str | None:
    names = [name for name in ("gradient_d", "gradient_g") if name in history]
    told = [f"{name[-1].upper()} {number(_end(history[name]))}" for name in names]
    jumps = sum(int((history[name] > 10 * history[name].median()).sum()) for name in names)
    return f"gradient norms at the end {', '.join(told)}" + (f" ({jumps} jump{'s' * (jumps > 1)} above ten times the median)" if jumps else "") if told else None


def _average(history: pd.DataFrame) -> str:
    if "ema_distance" not in history:
        return "EMA distance not recorded"
    return f"EMA distance {_end(history.ema_distance):.1%} at the end"


def _spread(history: pd.DataFrame) -> str | None:
    if "sample_spread" not in history:
        return None
    curve = history.sample_spread
    return f"samples spread by {number(_end(curve))}" + (", less than half of what it was: fewer kinds of images" if _end(curve) < curve.max() / 2 and curve.idxmax() > len(curve) // 10 else "")


def _speed(history: pd.DataFrame) -> str:
    if "images_per_second" not in history:
        return "time and memory by tick not recorded"
    speed = history.images_per_second
    first, last = speed.head(len(speed) // 5).median(), speed.tail(len(speed) // 5).median()
    slower = f", slower towards the end ({number(first)} to {number(last)})" if last < 0.8 * first else ""
    return f"{number(speed.median())} images a second{slower}, {history.memory_mib.max():,.0f} MiB at most"


def direction(curve: pd.Series) -> str:
    """level | falling | rising, at the end of the curve."""
    count = _tenth(curve)
    last, before = curve.tail(count), curve.iloc[-2 * count : -count]
    change = last.mean() - before.mean()
    error = math.sqrt((last.var(ddof=1) + before.var(ddof=1)) / count)
    if abs(change) <= max(0.1 * abs(last.mean()), 0.1 * abs(before.mean()), 2 * error):
        return "level"
    return "falling" if change < 0 else "rising"


def _tenth(curve: pd.Series) -> int:
    return max(1, len(curve) // 10)


def _end(curve: pd.Series) -> float:
    return float(curve.tail(_tenth(curve)).mean())
