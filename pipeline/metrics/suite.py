"""All metrics of one set of generated features against the real ones, by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol as Shape

import numpy as np

from pipeline.errors import UserError
from pipeline.metrics.frechet import Gaussian, fit, frechet_distance
from pipeline.metrics.inception_score import inception_score
from pipeline.metrics.kernel import kernel_distance
from pipeline.metrics.precision_recall import precision_recall
from pipeline.metrics.protocols import Protocol, parse

UNAVAILABLE = "not available: "


class Settings(Shape):
    """What `measure` reads of a plan (`ReferencePlan` or `EvaluatePlan`)."""

    metrics: list[str]
    splits: int
    subsets: int
    subset_size: int
    neighbours: int


@dataclass(frozen=True)
class Real:
    """The real images of one split by one network: how many, the Gaussian fitted to their features, and what else is kept.

    `features` (n, d), memory-mapped, for kernel distances and manifolds; `radii` by k: distance of every sample to its k-th
    nearest other one.
    """

    count: int
    gaussian: Gaussian
    features: np.ndarray | None = None
    radii: Mapping[int, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Features:
    """Generated images by one network: features (n, d), logits (n, classes), or why there are none."""

    features: np.ndarray
    logits: np.ndarray | None
    no_logits: str | None = None


def real_side(features: np.ndarray, name: str = "real images") -> Real:
    return Real(len(features), fit(features, name=name, factor=True), features)


def measure(
    settings: Settings, real: Mapping[tuple[str, str], Real], generated: Mapping[str, Features], *, seed: int = 0
) -> tuple[dict[str, float], dict[str, str]]:
    """Values of every metric of `settings.metrics`, flat, and of those that cannot be had why: name -> `not available: ...`.

    `real` by network and split, `generated` by network. A metric takes the first so many samples as its name says, one
    without a count all of them. `seed` draws the kernel distance's subsets.
    Errors: `UserError` naming the metric and the number of samples it needs, or for a non-finite feature.
    """
    values: dict[str, float] = {}
    unavailable: dict[str, str] = {}
    fitted: dict[tuple[str, int], Gaussian] = {}
    for metric in settings.metrics:
        protocol, own = parse(metric), generated[parse(metric).extractor]
        if protocol.kind == "score" and own.logits is None:
            unavailable[metric] = f"{UNAVAILABLE}{own.no_logits}"
            continue
        side, count = real[protocol.extractor, protocol.split], protocol.count or len(own.features)
        _check_counts(metric, protocol, settings, side.count, len(own.features))
        if protocol.kind == "frechet" and (protocol.extractor, count) not in fitted:
            fitted[protocol.extractor, count] = fit(own.features[:count], name="generated images")
        found = _value(protocol, settings, side, own, count, fitted, seed)
        values |= dict(zip(protocol.values, found, strict=True))
    return values, unavailable


def _check_counts(metric: str, protocol: Protocol, settings: Settings, real: int, generated: int) -> None:
    least = max(protocol.least(settings.splits, settings.neighbours), protocol.count or 0)
    if generated < least:
        raise UserError(f"{metric}: needs at least {least} generated samples, has {generated}")
    least = 0 if protocol.kind == "score" else protocol.least(settings.splits, settings.neighbours)
    if real < least:
        raise UserError(f"{metric}: needs at least {least} real samples, has {real}")


def _value(protocol: Protocol, settings: Settings, real: Real, own: Features, count: int, fitted: Mapping[tuple[str, int], Gaussian], seed: int) -> tuple[float, ...]:
    features = own.features[:count]
    if protocol.kind == "frechet":
        return (frechet_distance(real.gaussian, fitted[protocol.extractor, count]),)
    read = own.logits[:count] if protocol.kind == "score" else features
    if not np.isfinite(read).all():
        raise UserError(f"{protocol.name}: {int((~np.isfinite(read)).any(axis=1).sum())} of {count} generated samples have a non-finite feature")
    if protocol.kind == "score":
        return inception_score(read, settings.splits)
    if protocol.kind == "kernel":
        return kernel_distance(real.features, features, subsets=settings.subsets, subset_size=settings.subset_size, seed=seed)
    k = protocol.k or settings.neighbours
    return precision_recall(real.features, features, neighbours=k, real_radii=real.radii.get(k))
