"""How the report writes numbers: digits that mean something, ranges and intervals over training seeds."""

import math
from collections.abc import Callable, Sequence

import pandas as pd
from scipy import stats

NOT_RUN = "not run"
CONFIDENCE = 0.95  # of every interval; every test is at the other 5 %


def interval(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and half-width of the two-sided t-interval of the mean; None for fewer than three values."""
    # Two values have one degree of freedom: their interval is wider than any range that was seen, and says nothing.
    series = pd.Series(list(values), dtype=float)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(series) - 1) * series.sem() if len(series) > 2 else None
    return float(series.mean()), None if half is None else float(half)


def mean_text(values: Sequence[float]) -> str:
    """`49 ± 11` from three values on, `176 to 192` for two, `176` for one, `not run` for none."""
    known = [float(value) for value in values if not math.isnan(value)]
    if len(known) < 3:
        return spread(known, number)
    mean, half = interval(known)
    if not half:
        return number(mean)
    decimals = max(0, 1 - math.floor(math.log10(half)))
    return f"{mean:,.{decimals}f} ± {half:,.{decimals}f}"


def spread(values: Sequence[float], text: Callable[[float], str]) -> str:
    """`1.2`, or `51 to 86`; `not run` for none."""
    return " to ".join(dict.fromkeys(text(value) for value in (min(values), max(values)))) if values else NOT_RUN


def number(value: float) -> str:
    """Three significant digits, thousands apart, no exponent for the usual range."""
    if not 0.0001 <= abs(value) < 1e9:  # 0 and what is not finite, too
        return f"{value:z.3g}"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever reads as a number above one."""
    unit, name = (1, "s") if seconds < 90 else (60, "min") if seconds < 5400 else (3600, "h")
    return f"{seconds / unit:,.2g} {name}" if seconds / unit < 10 else f"{seconds / unit:,.0f} {name}"


def cell_text(value: object) -> str:
    """A cell of a table as a person reads it; a dash for nothing."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)) or value == "":
        return "-"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return " ".join(str(value).split())
