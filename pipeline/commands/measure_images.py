"""Every protocol for images from anywhere, and beside it real images against real ones."""

import argparse
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.base.errors import UserError
from pipeline.base.files import check_output, expand_home, write_json
from pipeline.commands.image_sources import Images, dataset_settings, read_images
from pipeline.metrics.extractors import weights
from pipeline.metrics.extractors.extractor import DTYPE, Extractor, Features, best_device
from pipeline.metrics.extractors.registry import load_extractor
from pipeline.metrics.floors import BATCH
from pipeline.metrics.registry import ALLOWED, DEFAULT, SPREAD, Protocol, column, extractors, parse
from pipeline.metrics.suite import Real, measure, real_side

SUBSETS, SUBSET_SIZE, SPLITS = 100, 1000, 10  # as the libraries have them


@dataclass(kw_only=True)
class Options:
    """What `pipeline.metrics.suite.measure` reads of its settings."""

    metrics: list[str]
    subset_size: int | None
    splits: int | None = field(default=SPLITS)
    subsets: int | None = field(default=SUBSETS)


def full_names(given: str | None, n: int) -> list[str]:
    """The metrics of --metrics, separated by commas, each with its count; by default those that `n` images can have.

    Errors: `UserError` for an unknown name.
    """
    if given is None:
        protocols = [parse(name).resolved(n) for name in DEFAULT]
        return [protocol.name for protocol in protocols if protocol.least(SPLITS, 2) <= max(n, 2)]
    found = []
    for name in [name.strip() for name in given.split(",")]:
        try:
            protocol = parse(name).resolved(n)
        except ValueError as problem:
            raise UserError(f"--metrics: given {name!r}; allowed: {problem}") from None
        if protocol.own:
            raise UserError(f"--metrics: given {name}, measured by `dvc repro` alone; allowed: {ALLOWED}")
        found.append(protocol.name)
    if len(set(found)) != len(found):
        raise UserError(f"--metrics: given {given!r}; allowed: every metric once")
    return found


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
    for protocol in protocols:
        if protocol.split not in real.splits:
            raise UserError(f"{protocol.name}: {real.name} has no test split")
        least = protocol.least(SPLITS, 2)
        sides = (
            (generated, generated.images, max(least, protocol.count or 0)),
            (real, real.splits[protocol.split], least),
        )
        for source, images, needed in sides:
            if len(images) < needed:
                raise UserError(f"{protocol.name}: needs at least {needed:,} images, {source.name} has {len(images):,}")
    report: dict[str, Any] = {
        "images": generated.name,
        "against": real.name,
        "n_images": len(generated.images),
        "n_real": len(real.images),
        "seed": seed,
        "notes": [],
        "metrics": {},
        "unavailable": {},
    }
    side, other = generated.images.shape[-1], real.images.shape[-1]
    if side != other:
        note = f"the images are {side} x {side}, the real ones {other} x {other}: the values hold that difference too"
        report["notes"].append(note)
    for name in extractors(metrics):
        extractor = load_extractor(name, weights.find(name, weights_file, setting="--weights"))
        own = [protocol for protocol in protocols if protocol.extractor == name]
        _by_one_network(report, extractor, own, generated, real, scratch / name)
    order = [value for protocol in protocols for value in protocol.values]
    report["metrics"] = {value: report["metrics"][value] for value in order if value in report["metrics"]}
    return report


def _by_one_network(
    report: dict[str, Any], extractor: Extractor, own: list[Protocol], generated: Images, real: Images, scratch: Path
) -> None:
    """Adds to `report` the values that one network gives, or why they cannot be had."""

    def extracted(images: np.ndarray, source: Images, place: str) -> Features:
        print(f"measure: {extractor.name} reads {len(images):,} images of {source.name}", flush=True)
        return extractor.extract_to(images, BATCH, scratch / place, what=f"images of {source.name}")

    counts = [protocol.count for protocol in own if protocol.count is not None]
    shown = extracted(generated.images[: max(counts)], generated, "generated")
    seen = {split: extracted(real.splits[split], real, split) for split in dict.fromkeys(one.split for one in own)}
    whole = {
        split: real_side(features.features, f"real images of {real.name}", gaussian=_fitted(own, split))
        for split, features in seen.items()
    }
    for protocol in own:
        values, missing = _measured(protocol, extractor.name, whole[protocol.split], shown, report["seed"])
        report["unavailable"] |= missing
        floor, n_floor = _floor(protocol, extractor.name, seen[protocol.split], report["seed"])
        steps = [step for step in (generated.resize, extractor.resize) if step != "none"]
        for value in values:
            if value.endswith(SPREAD):
                continue
            report["metrics"][value] = {
                "value": values[value],
                "std": values.get(f"{value}{SPREAD}"),
                "real_against_real": floor.get(value),
                "n_real_against_real": n_floor,
                "n_gen": protocol.count,
                "n_real": whole[protocol.split].count,
                **_sizes(protocol, len(shown.features), whole[protocol.split].count),
                "extractor_sha256": extractor.sha256,
                "resize": ", then ".join(steps),
                "dtype": DTYPE,
            }


def _fitted(own: list[Protocol], split: str) -> bool:
    return any(protocol.kind == "frechet" and protocol.split == split for protocol in own)


def _sizes(protocol: Protocol, generated: int, real: int) -> dict[str, int]:
    """The settings that a kernel distance was computed with: a subset is no larger than a side."""
    size = min(SUBSET_SIZE, protocol.count or generated, real)
    return {"subsets": SUBSETS, "subset_size": size} if protocol.kind == "kernel" else {}


def _measured(
    protocol: Protocol, network: str, real: Real, generated: Features, seed: int
) -> tuple[dict[str, float], dict[str, str]]:
    size = _sizes(protocol, len(generated.features), real.count).get("subset_size")
    options = Options(metrics=[protocol.name], subset_size=size)
    return measure(options, {(network, protocol.split): real}, {network: generated}, seed=seed, device=best_device())


def _floor(protocol: Protocol, network: str, real: Features, seed: int) -> tuple[dict[str, float], int]:
    """Real against real: as many random images as were measured, half of them at most, against all others.

    Returns values under the names of the metric, and how many images; {} where they are too few.
    """
    half = len(real.features) // 2
    count = min(half, protocol.count or half)
    if count < protocol.least(SPLITS, 2):
        return {}, count
    order = np.random.default_rng(seed).permutation(len(real.features))
    others = real_side(np.asarray(real.features[np.sort(order[count:])]), gaussian=protocol.kind == "frechet")
    values, _ = _measured(protocol.countless, network, others, real.rows(np.sort(order[:count])), seed)
    return {
        name: values[bare] for bare, name in zip(protocol.countless.values, protocol.values, strict=True) if values
    }, count


def table(report: dict[str, Any]) -> list[str]:
    """The report as lines for a terminal."""
    rows = [("protocol", "value", "real against real", "meaning")]
    for name, facts in report["metrics"].items():
        kind = column(name)
        spread = "" if facts["std"] is None else f" ± {facts['std']:.2g}"
        known = "too few images" if facts["real_against_real"] is None else f"{facts['real_against_real']:.4g}"
        words = f"{kind.label}, {'lower' if kind.lower else 'higher'} is better" if kind else ""
        rows.append((name, f"{facts['value']:.4g}{spread}", f"{known} (n={facts['n_real_against_real']:,})", words))
    rows += [(name, why, "", "") for name, why in report["unavailable"].items()]
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    head = f"{report['n_images']:,} images of {report['images']} against {report['n_real']:,} of {report['against']}"
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    ]
    return [head, *(f"note: {note}" for note in report["notes"]), "", *(line.rstrip() for line in lines)]


def run(given: argparse.Namespace) -> None:
    """Measure as the command line `given` asks (pipeline.commands.measure); errors as `UserError`."""
    # What ends in an error ends before any image of the real side is read, prepared or fetched.
    names = full_names(given.metrics, 2 if given.metrics else SPLITS)
    if given.json is not None:
        check_output(given.json, option="--json")
    if not expand_home(given.against).exists():
        dataset_settings(given.against, given.params)
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory(prefix="transgan-measure-") as folder:
        scratch = Path(folder)
        images = read_images(given.images, scratch / "images", params=given.params)
        if given.n is not None and given.n > len(images.images):
            raise UserError(f"--n: given {given.n}; allowed: at most {len(images.images)}, the images of {images.name}")
        for network in extractors(names):
            weights.find(network, given.weights, setting="--weights")
        real = read_images(given.against, scratch / "real", params=given.params)
        names = full_names(given.metrics, given.n or len(images.images))
        report = measure_images(
            images, real, names, scratch=scratch / "features", weights_file=given.weights, seed=given.seed
        )
    if given.json is not None:
        write_json(given.json, report)
    print("\n".join(table(report)))
