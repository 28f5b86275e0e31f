"""All metrics of one set of generated features against the real ones, by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol as Shape
from typing import TypeVar

import numpy as np
import torch

from pipeline.base.errors import UserError
from pipeline.metrics.frechet import Gaussian, fit, frechet_distance
from pipeline.metrics.inception_score import inception_score
from pipeline.metrics.kernel import kernel_distance
from pipeline.metrics.precision_recall import precision_recall
from pipeline.metrics.registry import UNAVAILABLE, Protocol, parse

T = TypeVar("T")


class Settings(Shape):
    """What `measure` reads of a plan (`ReferencePlan` or `MeasurePlan`). What no metric reads may be None."""

    @property
    def metrics(self) -> list[str]: ...
    @property
    def splits(self) -> int | None: ...
    @property
    def subsets(self) -> int | None: ...
    @property
    def subset_size(self) -> int | None: ...
    @property
    def neighbours(self) -> int | None: ...


@dataclass(frozen=True)
class Real:
    """The real images of one split by one network: how many, the Gaussian of their features, and what else is kept.

    `features` (n, d), memory-mapped, for kernel distances and manifolds; `radii` by k: squared distance of every sample
    to its k-th nearest other one.
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
    """The real side of features (n, d) alone. Errors: as `fit`."""
    return Real(len(features), fit(features, name=name, factor=True), features)


def measure(
    settings: Settings,
    real: Mapping[tuple[str, str], Real],
    generated: Mapping[str, Features],
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> tuple[dict[str, float], dict[str, str]]:
    """Values of every metric of `settings.metrics`, flat, and why others cannot be had: name -> `not available: ...`.

    `real` by network and split, `generated` by network. A metric takes the first so many samples as its name says, one
    without a count all of them. `seed` draws the kernel distance's subsets. `device` computes neighbours.
    Errors: `UserError` naming the metric and the number of samples it needs, or for a non-finite feature.
    """
    values: dict[str, float] = {}
    unavailable: dict[str, str] = {}
    fitted: dict[tuple[str, int], Gaussian] = {}
    for metric in settings.metrics:
        protocol = parse(metric)
        own, side = generated[protocol.extractor], real[protocol.extractor, protocol.split]
        if protocol.formula.reads == "logits" and own.logits is None:
            unavailable[metric] = f"{UNAVAILABLE}{own.no_logits}"
            continue
        _check_counts(metric, protocol, settings, side.count, len(own.features))
        count = protocol.count or len(own.features)
        if protocol.kind == "frechet":
            # Several metrics may read the same samples by the same network.
            if (protocol.extractor, count) not in fitted:
                fitted[protocol.extractor, count] = fit(own.features[:count], name="generated images")
            found: tuple[float, ...] = (frechet_distance(side.gaussian, fitted[protocol.extractor, count]),)
        else:
            found = _value(protocol, settings, side, _finite(metric, protocol, own, count), seed, device)
        values |= dict(zip(protocol.values, found, strict=True))
    return values, unavailable


def _check_counts(metric: str, protocol: Protocol, settings: Settings, real: int, generated: int) -> None:
    least = protocol.least(settings.splits, settings.neighbours)
    needed = max(least, protocol.count or 0)
    if generated < needed:
        raise UserError(f"{metric}: needs at least {needed} generated samples, has {generated}")
    if protocol.formula.real and real < least:
        raise UserError(f"{metric}: needs at least {least} real samples, has {real}")


def _finite(metric: str, protocol: Protocol, own: Features, count: int) -> np.ndarray:
    """The rows that a metric reads. Errors: `UserError` where some are not finite."""
    read = own.logits if protocol.formula.reads == "logits" else own.features
    rows = np.asarray(read)[:count]
    broken = int((~np.isfinite(rows)).any(axis=1).sum())
    if broken:
        raise UserError(f"{metric}: {broken} of {count} generated samples have a non-finite feature")
    return rows


def _value(
    protocol: Protocol, settings: Settings, real: Real, rows: np.ndarray, seed: int, device: torch.device | str
) -> tuple[float, ...]:
    def given(value: T | None, what: str) -> T:
        if value is None:
            raise UserError(f"{protocol.name}: needs {what}, and there is none")
        return value

    if protocol.kind == "score":
        return inception_score(rows, given(settings.splits, "splits"))
    features = given(real.features, "features of the real images")
    if protocol.kind == "kernel":
        subsets, size = given(settings.subsets, "subsets"), given(settings.subset_size, "subset_size")
        return kernel_distance(features, rows, subsets=subsets, subset_size=size, seed=seed)
    k = given(protocol.k or settings.neighbours, "neighbours")
    return precision_recall(features, rows, neighbours=k, real_radii=real.radii.get(k), device=device)
