"""What training curves hold, as numbers with their place in training; transformers and CNNs compared by counts."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.report import paper
from pipeline.report.content import Table
from pipeline.report.formats import NOT_RUN, number
from pipeline.report.results import Results

PARTS = 10  # equal parts of a training over which its curves are averaged
FEWEST_TICKS = 20  # from which on a part is at least two ticks
SPIKE = 10.0  # a tick is a spike if its gradient norm is more than so many times the training's median


def curve_numbers(results: Results, dataset: str) -> Table:
    """What the curves of every training of the dataset hold, a row a training."""
    rows = [
        {"variant": cell.variant, "seed": cell.seed} | curve_summary(cell.to_dict(), results.history(cell))
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
        means = parts(history.wasserstein)
        kimg = [history.kimg.iloc[ticks[-1]] for ticks in np.array_split(np.arange(len(history)), PARTS)]
        low, high = int(np.nanargmin(means)), int(np.nanargmax(means))
        row |= {
            "D(real) − D(fake), first tenth": number(means[0]),
            "lowest tenth (ends at kimg)": f"{number(means[low])} ({kimg[low]:g})",
            "highest tenth (ends at kimg)": f"{number(means[high])} ({kimg[high]:g})",
            "last tenth": number(means[-1]),
            "second half": direction(history.wasserstein),
        }
    if "penalty" in history:
        row["penalty, last tenth"] = number(parts(history.penalty)[-1])
    for network in "DG":
        if (name := f"gradient_{network.lower()}") in history:
            row[f"largest gradient norm of {network}"] = _largest(history.kimg, history[name])
    if "sample_spread" in history:
        row["spread of samples, last tenth"] = number(parts(history.sample_spread)[-1])
    return row


def ending(cell: dict[str, Any]) -> str:
    """How a cell ended; one that did not end well with what its record knows."""
    known = {key: value for key, value in cell.items() if value is not None and value == value}
    if cell["status"] == "diverged":
        return f"{cell['state']}: {known.get('detail', 'reason not recorded')}"
    if cell["status"] == "oom":
        asked, device = known.get("bytes_asked"), known.get("device", "an unknown device")
        needed = f"{number(asked / 2**30)} GiB more were asked for" if asked else "out of memory"
        batches = [known.get(f"batch_{network}") for network in ("discriminator", "generator")]
        sizes = f", batches of {batches[0]:.0f} (D) and {batches[1]:.0f} (G)" if None not in batches else ""
        helps = f"; would help: {known['would_help']}" if "would_help" in known else ""
        return f"{needed} on {device}{sizes}{helps}"
    return str(cell["status"])


def parts(curve: pd.Series) -> list[float]:
    """Means over the PARTS equal parts of a curve, in order. Ticks that are not finite are left out."""
    finite = curve.where(np.isfinite(curve))
    return [float(finite.iloc[ticks].mean()) for ticks in np.array_split(np.arange(len(curve)), PARTS)]


def direction(curve: pd.Series) -> str:
    """level | rising | falling: the second half of a curve, by a line through the means of its last five parts.

    It moves if the slope's 95 % interval excludes 0 and the line covers more than a tenth of the curve's range.
    """
    means = np.array(parts(curve))
    if not np.isfinite(means).all():
        return "not finite"
    later = means[PARTS // 2 :]
    line = stats.linregress(np.arange(len(later)), later)
    limit = stats.t.ppf(0.975, len(later) - 2) * line.stderr
    if abs(line.slope) <= limit or abs(line.slope) * (len(later) - 1) <= 0.1 * np.ptp(means):
        return "level"
    return "rising" if line.slope > 0 else "falling"


def spikes(norms: pd.Series) -> int:
    """Ticks whose gradient norm is more than SPIKE times the median of the run; one that is not finite counts."""
    median = norms[np.isfinite(norms)].median()
    return int((~np.isfinite(norms) | (norms > SPIKE * median)).sum())


def _largest(kimg: pd.Series, norms: pd.Series) -> str:
    """`174,134 at 46.5 kimg, 74,700 x the median; 10 spikes in 200 ticks`."""
    finite = norms[np.isfinite(norms)]
    if finite.empty:
        return "not finite"
    median, count = finite.median(), spikes(norms)
    times = f", {finite.max() / median:,.3g} x the median" if median > 0 else ""
    counted = f"{count} spike{'s' * (count != 1)} in {len(norms)} ticks"
    return f"{number(finite.max())} at {kimg[finite.idxmax()]:g} kimg{times}; {counted}"


def dynamics(results: Results, dataset: str) -> Table | None:
    """Whether transformers are less stable to train than CNNs: counts without a test; None without both kinds.

    Mixed pairs and rows beyond the paper count as neither: their recipes are not those of the paper's networks.
    """
    cells = results.of(dataset)
    cells = cells[(cells.status != NOT_RUN) & ~cells.variant.isin({*paper.MIXED, *paper.BEYOND})]
    networks = cells.variant.map(lambda v: "CNN" if is_cnn(results, dataset, v) else "transformer")
    rows = [_counts(results, dataset, kind, own) for kind, own in cells.groupby(networks, sort=False)]
    if len(rows) < 2:
        return None
    note = "Counts without a test: recipes differ between the two kinds. Spread: standard deviation over seeds / mean."
    title = "Training dynamics of transformer and CNN"
    return Table(name=f"{dataset}_dynamics", title=title, frame=pd.DataFrame(rows), note=note, folded=True)


def _counts(results: Results, dataset: str, kind: str, cells: pd.DataFrame) -> dict[str, Any]:
    row: dict[str, Any] = {
        "networks": kind,
        "trainings": len(cells),
        "diverged": f"{(cells.status == 'diverged').mean():.1%}",
    }
    histories = [
        h for _, cell in cells.iterrows() if (h := results.history(cell)) is not None and len(h) >= FEWEST_TICKS
    ]
    for network in "DG":
        norms = [h[f"gradient_{network.lower()}"] for h in histories if f"gradient_{network.lower()}" in h]
        ticks = sum(map(len, norms))
        row[f"ticks of {network} that are gradient spikes"] = f"{sum(map(spikes, norms)) / ticks:.1%}" if ticks else "-"
    seeds = [results.values(dataset, v, results.main_metric(dataset)) for v in dict.fromkeys(cells.variant)]
    spreads = [float(v.std(ddof=1) / abs(v.mean())) for v in seeds if len(v) > 1 and v.mean()]
    return row | {"median spread of the main metric": f"{np.median(spreads):.1%}" if spreads else "-"}


def is_cnn(results: Results, dataset: str, variant: str) -> bool:
    """Whether no network of a row is a transformer, by its plan; without a plan, by the paper's names."""
    network = results.trainings.get((dataset, variant), {}).get("network")
    if not network:
        return any(variant in pair for model, pair in paper.MODELS.items() if model != "TransGAN")
    family = network.get("family", "transgan")
    pair = [(network.get(part) or {}).get("family", family) for part in ("generator", "discriminator")]
    return not any(str(name).startswith("transgan") for name in pair)
