"""Every protocol for images from anywhere, and beside each value what real images against real images give."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.base.errors import UserError
from pipeline.commands.image_sources import Images
from pipeline.metrics import weights
from pipeline.metrics.extractor import DTYPE, Extractor, best_device
from pipeline.metrics.extractors import load_extractor
from pipeline.metrics.frechet import fit
from pipeline.metrics.knn_radii import squared_radii
from pipeline.metrics.registry import ALLOWED, DIGITS, SPREAD, Protocol, extractors, parse
from pipeline.metrics.sanity_checks import BATCH
from pipeline.metrics.suite import Features, Real, measure, real_side

SUBSETS, SUBSET_SIZE, SPLITS = 100, 1000, 10  # as the libraries have them


@dataclass(kw_only=True)
class Options:
    """What `measure` reads of its settings; see pipeline.metrics.config.EvaluateConfig."""

    metrics: list[str]
    splits: int | None = SPLITS
    subsets: int | None = SUBSETS
    subset_size: int | None = SUBSET_SIZE
    neighbours: int | None = None


def measure_images(
    generated: Images,
    real: Images,
    metrics: list[str],
    *,
    scratch: Path,
    weights_file: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Values of `metrics` (full names) for `generated` against `real`, with facts and known answers; JSON values.

    `train` in a metric's name stands for all images of `real`, `test` for its test split. `scratch` is a folder for
    features, which are memory-mapped.
    Errors: `UserError` for a metric of a test split that is not there, too few images, and weights that are not found.
    """
    protocols = [parse(name) for name in metrics]
    _check(protocols, generated, real)
    torch.manual_seed(seed)
    report: dict[str, Any] = {
        "images": generated.name,
        "against": real.name,
        "n_images": len(generated.images),
        "n_real": len(real.images),
        "seed": seed,
        "metrics": {},
        "unavailable": {},
    }
    for name in extractors(metrics):
        path, found = weights.find(name, weights_file)
        extractor = load_extractor(name, path)
        own = [protocol for protocol in protocols if protocol.extractor == name]
        report["unavailable"] |= _by_one_network(report, extractor, own, generated, real, scratch / name, seed)
    order = [value for protocol in protocols for value in protocol.values]
    report["metrics"] = {value: report["metrics"][value] for value in order if value in report["metrics"]}
    return report


def _by_one_network(
    report: dict[str, Any],
    extractor: Extractor,
    own: list[Protocol],
    generated: Images,
    real: Images,
    scratch: Path,
    seed: int,
) -> dict[str, str]:
    """Adds the values that one network gives to `report`; returns what cannot be had, and why."""
    names = [protocol.name for protocol in own]
    counts = [protocol.count for protocol in own if protocol.count is not None]
    sides = {"train": real.images} | ({"test": real.test} if real.test is not None else {})
    scratch.mkdir(parents=True)
    shown = _features(extractor, generated.images[: max(counts)], scratch / "generated", f"images of {generated.name}")
    whole: dict[tuple[str, str], Real] = {}
    found: dict[str, Features] = {}
    for split, images in sides.items():
        if not any(protocol.split == split for protocol in own):
            continue
        found[split] = _features(extractor, images, scratch / split, f"real images of {real.name}")
        neighbours = sorted({protocol.k for protocol in own if protocol.k is not None})
        radii = {k: squared_radii(found[split].features, k, best_device()) for k in neighbours}
        gaussian = fit(found[split].features, name=f"real images of {real.name}", factor=True)
        whole[extractor.name, split] = Real(len(images), gaussian, found[split].features, radii)
    options, device = Options(metrics=names), best_device()
    values, unavailable = measure(options, whole, {extractor.name: shown}, seed=seed, device=device)
    known = {split: _known(options, extractor.name, split, found[split], seed) for split in found}
    for protocol in own:
        answers, n_known = known[protocol.split]
        for value in protocol.values:
            if value.endswith(SPREAD) or value not in values:
                continue
            facts = {
                "value": values[value],
                "std": values.get(f"{value}{SPREAD}"),
                "real_against_real": answers.get(value),
                "n_real_against_real": n_known,
                "n_gen": protocol.count,
                "n_real": whole[extractor.name, protocol.split].count,
                "extractor_sha256": extractor.sha256,
                "resize": ", then ".join(step for step in (generated.resize, extractor.resize) if step != "none"),
                "dtype": DTYPE,
            }
            report["metrics"][value] = facts
    return unavailable


def _features(extractor: Extractor, images: np.ndarray, folder: Path, what: str) -> Features:
    """Features and logits of all images, memory-mapped; a progress bar on a terminal."""
    folder.mkdir()
    logits = folder / "logits.npy"
    extractor.extract_to(images, BATCH, features=folder / "features.npy", logits=logits, what=what)
    features = np.load(folder / "features.npy", mmap_mode="r", allow_pickle=False)
    scores = np.load(logits, mmap_mode="r", allow_pickle=False) if logits.is_file() else None
    return Features(features, scores, extractor.no_logits)


def _known(options: Options, name: str, split: str, real: Features, seed: int) -> tuple[dict[str, float], int]:
    """Real against real: as many images as were measured, half of the real ones at most, against the other half.

    Returns values under the names of the metrics, and how many images; {} where half are too few for them.
    """
    protocols = [parse(metric) for metric in options.metrics if parse(metric).split == split]
    half = len(real.features) // 2
    count = min(half, max(protocol.count or half for protocol in protocols))
    order = np.random.default_rng(seed).permutation(len(real.features))
    first, second = (np.sort(order[start : start + count]) for start in (0, half))
    fitting = [
        protocol for protocol in protocols if count > protocol.least(options.splits, options.neighbours) and count > 1
    ]
    if not fitting:
        return {}, count
    again = Options(metrics=[protocol.countless.name for protocol in fitting])
    rows = Features(
        np.asarray(real.features[second]), None if real.logits is None else real.logits[second], real.no_logits
    )
    side = {(name, split): real_side(np.asarray(real.features[first]))}
    values, _ = measure(again, side, {name: rows}, seed=seed, device=best_device())
    names = {
        bare: whole
        for protocol in fitting
        for bare, whole in zip(protocol.countless.values, protocol.values, strict=True)
    }
    return {names[bare]: value for bare, value in values.items()}, count


def _check(protocols: list[Protocol], generated: Images, real: Images) -> None:
    for protocol in protocols:
        if protocol.extractor == DIGITS:
            raise UserError(f"--metrics: given {protocol.name}, measured by `dvc repro` alone; allowed: {ALLOWED}")
        if protocol.split == "test" and real.test is None:
            raise UserError(f"{protocol.name}: {real.name} has no test split")
        images = real.test if protocol.split == "test" and real.test is not None else real.images
        least = max(protocol.least(SPLITS, None), 2)
        for name, count, needed in (
            (generated.name, len(generated.images), max(least, protocol.count or 0)),
            (real.name, len(images), least),
        ):
            if count < needed:
                raise UserError(f"{protocol.name}: needs at least {needed:,} images, {name} has {count:,}")
