"""Every protocol for images from anywhere, and beside it real images against real ones."""

from typing import Any

import numpy as np

from pipeline.base.errors import UserError
from pipeline.commands.image_sources import Images
from pipeline.metrics.config import MetricSettings
from pipeline.metrics.extractors import weights
from pipeline.metrics.extractors.extractor import DTYPE, Features, best_device, load_extractor
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
    side, other = generated.images.shape[-1], real.images.shape[-1]
    note = f"the images are {side} x {side}, the real ones {other} x {other}: the values hold that difference too"
    values: dict[str, dict[str, Any]] = {}
    unavailable: dict[str, str] = {}
    for name in extractors(metrics):
        extractor = load_extractor(name, weights.find(name, weights_file, setting="--weights"))
        steps = [step for step in (generated.resize, extractor.resize) if step != "none"]
        facts = {"extractor_sha256": extractor.sha256, "resize": ", then ".join(steps), "dtype": DTYPE}
        group = [protocol for protocol in protocols if protocol.extractor == name]
        read = {"": (generated, generated.images[: max(protocol.count or 0 for protocol in group)])}
        read |= {protocol.split: (real, real.splits[protocol.split]) for protocol in group}
        features = {}
        for split, (source, images) in read.items():
            print(f"measure: {name} reads {len(images):,} images of {source.name}", flush=True)
            features[split] = extractor.extract(images, BATCH, what=f"images of {source.name}")
        for protocol in group:
            numbers, missing = measure_protocol(protocol, features[""], features[protocol.split], seed)
            values |= {value: entry | facts for value, entry in numbers.items()}
            unavailable |= missing
    return {
        "images": generated.name,
        "against": real.name,
        "n_images": len(generated.images),
        "n_real": len(real.images),
        "seed": seed,
        "notes": [note] if side != other else [],
        "unavailable": unavailable,
        "metrics": {name: values[name] for protocol in protocols for name in protocol.values if name in values},
    }


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


def measure_protocol(
    protocol: Protocol, drawn: Features, real: Features, seed: int
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """The protocol's values by name, each with its spread, its floor and its counts; and what cannot be had, and why.

    The floor is real against real: as many random images as were measured, half of them at most, against all others.
    """
    values, missing, size = measure_features(protocol, drawn, real, seed)
    half = len(real) // 2
    count, floor = min(half, protocol.count or half), {}
    if count >= protocol.least(SPLITS, 2):
        order = np.random.default_rng(seed).permutation(len(real))
        here, others = (real.rows(np.sort(rows)) for rows in (order[:count], order[count:]))
        answers, *_ = measure_features(protocol.resolved(None), here, others, seed)
        floor = dict(zip(protocol.values, answers.values(), strict=False))  # none where the weights have no logits
    counts = {"n_real_against_real": count, "n_gen": protocol.count, "n_real": len(real)}
    if "subset_size" in protocol.settings:
        counts |= {"subsets": SUBSETS, "subset_size": size}
    return {
        name: {"value": value, "std": values.get(f"{name}{SPREAD}"), "real_against_real": floor.get(name)} | counts
        for name, value in values.items()
        if not name.endswith(SPREAD)
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
