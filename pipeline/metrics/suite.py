"""All metrics of one set of generated features against the real ones, by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from typing import Protocol as Shape

import numpy as np
import torch

from pipeline.base.errors import UserError
from pipeline.base.files import atomic_write, check_sha256, read_json
from pipeline.metrics import glyphs
from pipeline.metrics.distances import (
    Gaussian,
    fit,
    frechet_distance,
    inception_score,
    kernel_distance,
    legacy_frechet_distance,
    precision_recall,
)
from pipeline.metrics.extractors.extractor import Extractor, Features
from pipeline.metrics.extractors.registry import load_extractor
from pipeline.metrics.registry import OWN, UNAVAILABLE, Protocol, parse

ARRAYS = ("mean", "covariance")
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


@dataclass(frozen=True)
class Real:
    """The real images of one split by one network: how many, and what is kept of them.

    `gaussian` of their features for Fréchet distances, `features` (n, d), memory-mapped, for kernel distances,
    manifolds and neighbours; None where no metric reads it.
    """

    count: int
    gaussian: Gaussian | None = None
    features: np.ndarray | None = None


def real_side(features: np.ndarray, name: str = "real images", *, gaussian: bool = True) -> Real:
    """The real side of features (n, d) alone. Errors: as `fit`."""
    return Real(len(features), fit(features, name=name) if gaussian else None, features)


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
        samples = generated[protocol.extractor]
        if protocol.formula.reads == "logits" and samples.logits is None:
            unavailable[metric] = f"{UNAVAILABLE}{samples.no_logits}"
            continue
        _check_counts(metric, protocol, settings, real, len(samples.features))
        count = protocol.count or len(samples.features)
        key = (protocol.extractor, count)
        if protocol.kind == "frechet":
            # Several metrics may read the same samples by the same network.
            fitted[key] = fitted.get(key) or fit(samples.features[:count], name="generated images")
            distance = frechet_distance if protocol.resize == "clean" else legacy_frechet_distance
            gaussian = _given(real[protocol.extractor, protocol.split].gaussian, metric, "statistics of real images")
            results: tuple[float, ...] = (distance(gaussian, fitted[key]),)
        else:
            results = _value(protocol, settings, real, _finite(metric, protocol, samples, count), seed, device)
        values |= dict(zip(protocol.values, results, strict=True))
    return values, unavailable


def _check_counts(
    metric: str, protocol: Protocol, settings: Settings, real: Mapping[tuple[str, str], Real], generated: int
) -> None:
    least = protocol.least(settings.splits, settings.subset_size)
    needed = max(least, protocol.count or 0)
    if generated < needed:
        raise UserError(f"{metric}: needs at least {needed} generated samples, has {generated}")
    for split in protocol.keeps:
        if (count := real[protocol.extractor, split].count) < least:
            raise UserError(f"{metric}: needs at least {least} real samples, has {count}")


def _finite(metric: str, protocol: Protocol, samples: Features, count: int) -> np.ndarray:
    """The rows that a metric reads. Errors: `UserError` where some are not finite."""
    read = samples.logits if protocol.formula.reads == "logits" else samples.features
    rows = np.asarray(read)[:count]
    broken = int((~np.isfinite(rows)).any(axis=1).sum())
    if broken:
        raise UserError(f"{metric}: {broken} of {count} generated samples have a non-finite feature")
    return rows


def _given(value: T | None, metric: str, what: str) -> T:
    if value is None:
        raise UserError(f"{metric}: needs {what}, and there is none")
    return value


def _value(
    protocol: Protocol,
    settings: Settings,
    real: Mapping[tuple[str, str], Real],
    rows: np.ndarray,
    seed: int,
    device: torch.device | str,
) -> tuple[float, ...]:
    name = protocol.name
    if protocol.kind == "score":
        return inception_score(rows, _given(settings.splits, name, "splits"))
    kept = {
        split: _given(real[protocol.extractor, split].features, name, f"features of the {split} images")
        for split in protocol.keeps
    }
    if protocol.kind in OWN["glyphs"]:
        return glyphs.value(protocol.kind, rows, **kept)
    features = kept[protocol.split]
    if protocol.kind == "kernel":
        subsets, size = (_given(getattr(settings, setting), name, setting) for setting in protocol.formula.settings)
        return kernel_distance(features, rows, subsets=subsets, subset_size=size, seed=seed)
    return precision_recall(features, rows, neighbours=_given(protocol.k, name, "neighbours"), device=device)


@dataclass(frozen=True)
class Reference:
    """What evaluation needs of reference/<dataset>/: each file is known by its hash."""

    extractors: Mapping[str, Extractor]  # by name, in the order of the metrics
    real: Mapping[tuple[str, str], Real]  # by network and split
    manifest: Mapping[str, Any]


def write_statistics(path: Path, gaussian: Gaussian) -> None:
    """Write mean and covariance as an .npz."""
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, mean=gaussian.mean, covariance=gaussian.covariance)


def load_reference(folder: str | Path) -> Reference:
    """Networks, real sides and manifest, each file checked against its recorded hash; features stay memory-mapped.

    Errors: `UserError` where a file is missing, damaged, or not the one recorded.
    """
    folder = Path(folder)
    manifest = read_json(folder / "manifest.json")
    for name, digest in manifest["files"].items():
        check_sha256(folder / name, digest)
    extractors = {
        name: load_extractor(name, folder / facts["weights"]) for name, facts in manifest["extractors"].items()
    }
    real = {(side["extractor"], side["split"]): _load_side(folder, side) for side in manifest["sides"]}
    return Reference(extractors, real, manifest)


def _load_side(folder: Path, side: Mapping[str, Any]) -> Real:
    gaussian = None
    if side["statistics"]:
        path = folder / side["statistics"]
        with np.load(path, allow_pickle=False) as arrays:
            if set(arrays) != set(ARRAYS):
                raise UserError(f"{path}: holds {sorted(arrays)}, expected {sorted(ARRAYS)}")
            gaussian = Gaussian(*(arrays[name] for name in ARRAYS))
    features = np.load(folder / side["features"], mmap_mode="r", allow_pickle=False) if side["features"] else None
    return Real(side["n_real"], gaussian, features)
