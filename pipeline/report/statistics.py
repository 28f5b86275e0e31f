"""Means and intervals over training seeds."""

import math
from collections.abc import Sequence

import pandas as pd
from scipy.special import stdtrit

NOT_RUN = "not run"


def interval(values: Sequence[float], confidence: float) -> tuple[float, float | None]:
    """Mean and half-width of the two-sided t-interval of the mean; None for fewer than two values.

    half-width = t_{n-1, (1 + confidence) / 2} s / sqrt(n), s with n - 1 degrees of freedom.
    """
    series = pd.Series(list(values), dtype=float)
    if len(series) < 2:
        return float(series.mean()), None
    return float(series.mean()), t_quantile(len(series) - 1, confidence) * float(series.sem(ddof=1))


def t_quantile(freedom: int, confidence: float) -> float:
    """The t-distribution's value that a share `confidence` of it does not exceed in magnitude."""
    return float(stdtrit(freedom, (1 + confidence) / 2))


def mean_text(values: Sequence[float], confidence: float) -> str:
    """`12.3 ± 0.4`, or `12.3` for one value (a table's caption says what that means), or `not run`."""
    known = pd.Series(list(values), dtype=float).dropna()
    if known.empty:
        return NOT_RUN
    mean, half = interval(list(known), confidence)
    return number(mean) if half is None else f"{number(mean)} ± {number(half)}"


def difference_text(values: Sequence[float], confidence: float) -> str:
    """A difference, with its sign: `+1.20 ± 0.40`."""
    text = mean_text(values, confidence)
    return text if text == NOT_RUN or text.startswith("-") else f"+{text}"


def number(value: float) -> str:
    """Three or four significant digits, no exponent for the usual range."""
    magnitude = abs(value)
    if not magnitude:
        return "0.000"
    if magnitude < 0.001:
        return f"{value:.2e}"
    decimals = next(
        places for places, limit in ((5, 0.01), (4, 0.1), (3, 1), (2, 100), (1, math.inf)) if magnitude < limit
    )
    return f"{value:,.{decimals}f}"
