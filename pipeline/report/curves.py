"""What training curves hold, as numbers with their place in training."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.report.document import Table
from pipeline.report.formats import number
from pipeline.report.results import Results

PARTS = 10  # equal parts of a training over which its curves are averaged
FEWEST_TICKS = 20  # from which on a part is at least two ticks
COLUMNS = {
    "penalty": "penalty, last tenth",
    "gradient_d": "largest gradient norm of D",
    "gradient_g": "largest gradient norm of G",
    "sample_spread": "spread of samples, last tenth",
}
SPIKE = 10.0  # a tick is a spike if its gradient norm is more than so many times the training's median


def curve_numbers(results: Results, dataset: str) -> Table:
    """What the curves of every training of the dataset hold, a row a training."""
    rows = [
        {"variant": cell.variant, "seed": cell.seed} | curve_summary(cell.to_dict(), results.series(cell, "history"))
        for _, cell in results.of(dataset).iterrows()
    ]
    note = (
        "Read from history.csv, in tenths of the ticks. *Spikes*: ticks whose gradient norm is more than ten times the "
        "training's median. No verdict rests on this table."
    )
    title = "Training curves as numbers"
    return Table(name=f"{dataset}_curves", title=title, frame=pd.DataFrame(rows), note=note, folded=True)


def curve_summary(cell: dict[str, Any], history: pd.DataFrame | None) -> dict[str, str]:
    """How a cell ended, the critic's estimate, penalty, gradient norms, spread of samples.

    Columns that a history does not have stay empty: nothing is said about them.
    """
    row = {"ended": ending(cell)}
    if history is None:
        return row
    if len(history) < FEWEST_TICKS:
        return row | {"ended": f"{row['ended']}; {len(history)} ticks, too few to read"}
    if "wasserstein" in history:
        means, ends = parts(history.wasserstein), parts(history.kimg, "last")
        row |= {
            "D(real) − D(fake), first tenth": number(means[0]),
            "lowest tenth (ends at kimg)": f"{number(means.min())} ({ends[means.idxmin()]:g})",
            "highest tenth (ends at kimg)": f"{number(means.max())} ({ends[means.idxmax()]:g})",
            "last tenth": number(means.iloc[-1]),
        }
    for name, words in COLUMNS.items():
        if name in history:
            last = number(parts(history[name]).iloc[-1])
            row[words] = _largest(history.kimg, history[name]) if name.startswith("gradient") else last
    return row


def ending(cell: dict[str, Any]) -> str:
    """How a cell ended; one that did not end well with what its record knows."""
    known = {key: value for key, value in cell.items() if value is not None and value == value}
    if cell["status"] == "diverged":
        return f"{cell['state']}: {known.get('detail', 'reason not recorded')}"
    if cell["status"] != "oom":
        return str(cell["status"])
    asked = f"{number(known['bytes_asked'] / 2**30)} GiB more were asked for" if "bytes_asked" in known else ""
    batches = "batches of {batch_discriminator:.0f} (D) and {batch_generator:.0f} (G)"
    sizes = f", {batches.format(**known)}" if {"batch_discriminator", "batch_generator"} <= {*known} else ""
    helps = f"; would help: {known['would_help']}" if "would_help" in known else ""
    return f"{asked or 'out of memory'} on {known.get('device', 'an unknown device')}{sizes}{helps}"


def parts(curve: pd.Series, statistic: str = "mean") -> pd.Series:
    """A statistic of the PARTS equal parts of a curve, in order. Ticks that are not finite are left out."""
    finite = curve.where(np.isfinite(curve)).reset_index(drop=True)
    return finite.groupby(np.arange(len(curve)) * PARTS // len(curve)).agg(statistic)


def _largest(kimg: pd.Series, norms: pd.Series) -> str:
    """`174,134 at 46.5 kimg, 74,700 x the median; 10 spikes in 200 ticks`. A tick that is not finite is a spike."""
    finite = norms[np.isfinite(norms)]
    if finite.empty:
        return "not finite"
    median, spikes = finite.median(), int((~(norms <= SPIKE * finite.median())).sum())
    times = f", {finite.max() / median:,.3g} x the median" if median > 0 else ""
    counted = f"{spikes} spike{'s' * (spikes != 1)} in {len(norms)} ticks"
    return f"{number(finite.max())} at {kimg[finite.idxmax()]:g} kimg{times}; {counted}"
