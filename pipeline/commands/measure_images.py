"""Every protocol for images from anywhere, and beside it real images against real ones."""

from typing import Any

import numpy as np

from pipeline.base.errors import UserError
from pipeline.commands.image_sources import Images
from pipeline.metrics.config import MetricSettings
from pipeline.metrics.extractors import weights
from pipeline.metrics.extractors.extractor import DTYPE, Extractor, Features, best_device, load_extractor
from pipeline.metrics.registry import SPLITS, SPREAD, SUBSET_SIZE, SUBSETS, Protocol, column, extractors, parse
from pipeline.metrics.suite import BATCH, measure


def measure_images(
    generated: Images, real: Images, metrics: list[str], *, weights_file: str | None, seed: int
) -> dict[str, Any]:
    """Values of `metrics` (full names) for `generated` against `real`, with facts and known answers; JSON values.

    `train` in a metric's name stands for all images of `real`, `test` for its test split.
    Errors: `UserError` for a metric of a test split that is not there, too few images, and weights that are not found.
    """
    protocols = [parse(name) for name in metrics]
    check_counts(protocols, generated, real)
    report: dict[str, Any] = {"images": generated.name, "against": real.name}
    report |= {"n_images": len(generated.images), "n_real": len(real.images), "seed": seed, "notes": []}
    side, other = generated.images.shape[-1], real.images.shape[-1]
    if side != other:
        note = f"the images are {side} x {side}, the real ones {other} x {other}: the values hold that difference too"
        report["notes"].append(note)
    values: dict[str, dict[str, Any]] = {}
    report["unavailable"] = {}
    for name in extractors(metrics):
        extractor = load_extractor(name, weights.find(name, weights_file, setting="--weights"))
        steps = [step for step in (generated.resize, extractor.resize) if step != "none"]
        facts = {"extractor_sha256": extractor.sha256, "resize": ", then ".join(steps), "dtype": DTYPE}
        group = [protocol for protocol in protocols if protocol.extractor == name]
        drawn, splits = extract(extractor, group, generated, real)
        for protocol in group:
            numbers, missing = measure_protocol(protocol, drawn, splits[protocol.split], seed)
            values |= {value: entry | facts for value, entry in numbers.items()}
            report["unavailable"] |= missing
    order = [value for protocol in protocols for value in protocol.values]
    return report | {"metrics": {value: values[value] for value in order if value in values}}


def check_counts(protocols: list[Protocol], generated: Images, real: Images) -> None:
    """Errors: `UserError` for a metric of a test split that is not there, and for too few images on a side."""
    for protocol in protocols:
        if protocol.split not in real.splits:
            raise UserError(f"{protocol.name}: {real.name} has no test split")
        least = protocol.least(SPLITS, 2)
        drawn = (generated.name, len(generated.images), max(least, protocol.count or 0))
        for name, count, needed in (drawn, (real.name, len(real.splits[protocol.split]), least)):
            if count < needed:
                raise UserError(f"{protocol.name}: needs at least {needed:,} images, {name} has {count:,}")


def extract(
    extractor: Extractor, protocols: list[Protocol], generated: Images, real: Images
) -> tuple[Features, dict[str, Features]]:
    """Features of the generated images that the protocols read, and of the splits of the real ones."""
    most = max(protocol.count or 0 for protocol in protocols)
    splits = dict.fromkeys(protocol.split for protocol in protocols)
    features = []
    for source, images in ((generated, generated.images[:most]), *((real, real.splits[split]) for split in splits)):
        print(f"measure: {extractor.name} reads {len(images):,} images of {source.name}", flush=True)
        features.append(extractor.extract(images, BATCH, what=f"images of {source.name}"))
    return features[0], dict(zip(splits, features[1:], strict=True))


def measure_protocol(
    protocol: Protocol, drawn: Features, real: Features, seed: int
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """The protocol's values by name, each with its spread, its floor and its counts; and what cannot be had, and why.

    The floor is real against real: as many random images as were measured, half of them at most, against all others.
    """
    values, missing, size = measure_features(protocol, drawn, real, seed)
    half = len(real) // 2
    count = min(half, protocol.count or half)
    floor: dict[str, float] = {}
    if count >= protocol.least(SPLITS, 2):
        order = np.random.default_rng(seed).permutation(len(real))
        here, others = (real.rows(np.sort(rows)) for rows in (order[:count], order[count:]))
        floor, *_ = measure_features(protocol.countless, here, others, seed)
    floor = dict(zip(protocol.values, floor.values(), strict=False))  # none where the weights have no logits
    counts = {"n_real_against_real": count, "n_gen": protocol.count, "n_real": len(real)}
    subsets = {"subsets": SUBSETS, "subset_size": size} if "subset_size" in protocol.settings else {}
    return {
        value: {"value": number, "std": values.get(f"{value}{SPREAD}"), "real_against_real": floor.get(value)}
        | counts
        | subsets
        for value, number in values.items()
        if not value.endswith(SPREAD)
    }, missing


def measure_features(
    protocol: Protocol, drawn: Features, real: Features, seed: int
) -> tuple[dict[str, float], dict[str, str], int]:
    """As `suite.measure`, and the size of the kernel distance's subsets: one is no larger than a side."""
    size = min(SUBSET_SIZE, protocol.count or len(drawn), len(real))
    settings = MetricSettings(metrics=[protocol.name], splits=SPLITS, subsets=SUBSETS, subset_size=size)
    sides = {(protocol.extractor, protocol.split): real}
    return *measure(settings, sides, {protocol.extractor: drawn}, seed=seed, device=best_device()), size


def table(report: dict[str, Any]) -> list[str]:
    """The report as lines for a terminal."""
    rows = [("protocol", "value", "real against real", "meaning")]
    for name, facts in report["metrics"].items():
        kind = column(name)
        spread = "" if facts["std"] is None else f" ± {facts['std']:.2g}"
        floor = "too few images" if facts["real_against_real"] is None else f"{facts['real_against_real']:.4g}"
        words = f"{kind.label}, {'lower' if kind.lower else 'higher'} is better" if kind else ""
        rows.append((name, f"{facts['value']:.4g}{spread}", f"{floor} (n={facts['n_real_against_real']:,})", words))
    rows += [(name, why, "", "") for name, why in report["unavailable"].items()]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    head = f"{report['n_images']:,} images of {report['images']} against {report['n_real']:,} of {report['against']}"
    return [head, *(f"note: {note}" for note in report["notes"]), "", *lines]
