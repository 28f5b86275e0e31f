"""All metrics of one set of generated features against the real ones, by name, and the real side as it is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.base.errors import UserError
from pipeline.base.files import atomic_write, check_sha256, read_json
from pipeline.metrics.config import MetricSettings
from pipeline.metrics.distances import Gaussian, check_finite, fit
from pipeline.metrics.extractors.extractor import Extractor, Features
from pipeline.metrics.extractors.registry import load_extractor
from pipeline.metrics.registry import UNAVAILABLE, parse


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
    settings: MetricSettings,
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
    for name, protocol in ((name, parse(name)) for name in settings.metrics):
        formula, samples = protocol.formula, generated[protocol.extractor]
        read = samples.logits if formula.reads == "logits" else samples.features
        if read is None:
            unavailable[name] = f"{UNAVAILABLE}{samples.no_logits}"
            continue
        least = protocol.least(settings.splits, settings.subset_size)
        if len(read) < (needed := max(least, protocol.count or 0)):
            raise UserError(f"{name}: needs at least {needed} generated samples, has {len(read)}")
        rows = read[: protocol.count]
        check_finite(rows, name=name)
        sides = [real[protocol.extractor, split] for split in protocol.real]
        if fewest := [side.count for side in sides if side.count < least]:
            raise UserError(f"{name}: needs at least {least} real samples, has {fewest[0]}")
        arguments: list[Any] = [*(side.features for side in sides), rows]
        if formula.reads == "gaussian":  # several metrics may read the same samples by the same network
            key = protocol.extractor, len(rows)
            fitted[key] = fitted.get(key) or fit(rows)
            arguments = [*(side.gaussian for side in sides), fitted[key]]
        known = {"seed": seed, "device": device, "neighbours": protocol.k} | {
            setting: getattr(settings, setting) for setting in protocol.settings
        }
        options = {option: known[option] for option in formula.options}
        found = formula.compute(*arguments, **options)
        values |= dict(zip(protocol.values, found if isinstance(found, tuple) else (found,), strict=True))
    return values, unavailable


@dataclass(frozen=True)
class Reference:
    """What evaluation needs of reference/<dataset>/: each file is known by its hash."""

    extractors: Mapping[str, Extractor]  # by name, in the order of the metrics
    real: Mapping[tuple[str, str], Real]  # by network and split
    manifest: Mapping[str, Any]


def load_reference(folder: str | Path) -> Reference:
    """Networks, real sides and manifest, each file checked against its recorded hash; features stay memory-mapped.

    Errors: `UserError` where a file is missing, damaged, or not the one recorded.
    """
    folder = Path(folder)
    manifest = read_json(folder / "manifest.json")
    for name, digest in manifest["files"].items():
        check_sha256(folder / name, digest)
    networks = manifest["extractors"].items()
    extractors = {name: load_extractor(name, folder / facts["weights"]) for name, facts in networks}
    real = {(side["extractor"], side["split"]): _read_side(folder, side) for side in manifest["sides"]}
    return Reference(extractors, real, manifest)


def write_side(path: Path, side: Real) -> dict[str, str | None]:
    """Write a side's statistics to `path`.npz and its features to `path`.npy; the names of the files."""
    files: dict[str, str | None] = {"statistics": None, "features": None}
    if side.gaussian is not None:
        files["statistics"] = f"{path.name}.npz"
        with atomic_write(path.with_suffix(".npz")) as temporary:
            np.savez(temporary, mean=side.gaussian.mean, covariance=side.gaussian.covariance)
    if side.features is not None:
        files["features"] = f"{path.name}.npy"
        with atomic_write(path.with_suffix(".npy")) as temporary:
            np.save(temporary, side.features)
    return files


def _read_side(folder: Path, side: Mapping[str, Any]) -> Real:
    gaussian = features = None
    if side["statistics"]:
        with np.load(folder / side["statistics"], allow_pickle=False) as arrays:
            gaussian = Gaussian(arrays["mean"], arrays["covariance"])
    if side["features"]:
        features = np.load(folder / side["features"], mmap_mode="r", allow_pickle=False)
    return Real(side["n_real"], gaussian, features)
