"""How many samples a Fréchet distance needs: the same generator's distance from its first samples, fewer and fewer."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from pipeline.base.files import write_text
from pipeline.metrics.frechet import fit, frechet_distance
from pipeline.metrics.registry import parse
from pipeline.metrics.suite import Features, Real

FILE = "sample_size.csv"
SHARES = (8, 4, 2, 1)  # the first 1/8, 1/4, 1/2 and all of the samples
LEAST = 50  # samples; with fewer the distance says nothing


def write_sample_sizes(
    metrics: list[str], real: Mapping[tuple[str, str], Real], generated: Mapping[str, Features], out: Path
) -> int:
    """Write sample_size.csv: n_gen, and the first Fréchet distance of `metrics` from that many samples.

    The column has the metric's name without its count. Nothing is written where no metric is a Fréchet distance.
    Returns the number of rows.
    """
    protocol = next((found for found in map(parse, metrics) if found.kind == "frechet"), None)
    if protocol is None:
        return 0
    features = generated[protocol.extractor].features[: protocol.count]
    side = real[protocol.extractor, protocol.split]
    counts = [count for count in dict.fromkeys(len(features) // share for share in SHARES) if count >= LEAST]
    rows = []
    for count in counts:
        fitted = fit(features[:count], name=f"the first {count} generated images")
        rows.append([count, f"{frechet_distance(side.gaussian, fitted):.7g}"])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([["n_gen", protocol.countless.name], *rows])
    if rows:
        write_text(out / FILE, text.getvalue())
    return len(rows)
