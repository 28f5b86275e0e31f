"""The real side of the metrics, once per dataset: evaluators, features, statistics, the evaluators' known answers."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from pipeline.base.errors import UserError
from pipeline.base.files import atomic_write, sha256, write_json
from pipeline.data.array import has_array, read_array, read_manifest
from pipeline.metrics.config import ReferencePlan
from pipeline.metrics.distances import fit
from pipeline.metrics.extractors import weights
from pipeline.metrics.extractors.classifier import accuracy, train_classifier
from pipeline.metrics.extractors.extractor import DTYPE, Extractor
from pipeline.metrics.extractors.glyph_decoder import write_decoder
from pipeline.metrics.extractors.registry import DIGITS, GLYPHS, load_extractor
from pipeline.metrics.floors import BATCH, Side, known_answers
from pipeline.metrics.registry import Protocol, extractors, parse
from pipeline.metrics.suite import Real, write_statistics

KNOWN_ANSWERS = "known_answers.json"


def build_reference(plan: ReferencePlan, *, data: str, out: str) -> dict[str, Any]:
    """Fetch or train the networks, extract the real features, write all and the known answers to `out`.

    Features go batch by batch from the memory-mapped images into files. Returns the known answers.
    Errors: `UserError` for weights that are not found, a metric of the test split where the dataset has none, too few
    images, a non-finite feature, or a disk that refuses.
    """
    torch.set_num_threads(plan.threads)
    manifest, folder = read_manifest(data), Path(out)
    images = {"train": read_array(data)} | ({"test": read_array(data, "test")} if has_array(data, "test") else {})
    protocols = [parse(name) for name in plan.metrics]
    _check_splits(protocols, {split: len(array) for split, array in images.items()}, plan, data)
    sides: list[dict[str, Any]] = []
    networks: dict[str, dict[str, Any]] = {}
    known: dict[str, Any] = {"n_real": len(images["train"])}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in extractors(plan.metrics):
            path, facts = _network(name, plan, data, folder)
            extractor = load_extractor(name, path)
            networks[name] = {
                "sha256": extractor.sha256,
                "weights": path.name,
                "resize": extractor.resize,
                "dtype": DTYPE,
                "no_logits": extractor.no_logits,
            }
            own = [protocol for protocol in protocols if protocol.extractor == name]
            # The first network's features say which training images are nearest to a sample.
            kept = {"train"} if name == protocols[0].extractor else set()
            kept = kept.union(*(protocol.keeps for protocol in own))
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                seen = {
                    split: _side(extractor, own, split, array, Path(scratch) / split) for split, array in images.items()
                }
                known = facts | known | known_answers(plan, extractor, seen)
                for split, side in seen.items():
                    if split in kept or any(protocol.split == split for protocol in own):
                        said = manifest["split"] if split == "train" else manifest.get("test_split", "test")
                        files = _keep(folder, f"{name}_{split}", side, Path(scratch) / split, features=split in kept)
                        sides.append(
                            {"extractor": name, "split": split, "images": said, "n_real": side.real.count} | files
                        )
        written = [path for path in sorted(folder.iterdir()) if path.name not in ("manifest.json", KNOWN_ANSWERS)]
        facts = {key: manifest[key] for key in ("split", "resize", "images_sha256")}
        files = {path.name: sha256(path) for path in written}
        content = {"extractors": networks, "sides": sides, "n_real": len(images["train"])} | facts | {"files": files}
        write_json(folder / "manifest.json", content)
        write_json(folder / KNOWN_ANSWERS, known)
    except OSError as problem:
        raise UserError(
            f"{problem.filename or folder}: {problem.strerror or problem}; repair this, or make room, and run it again"
        ) from None
    return known


def _check_splits(protocols: list[Protocol], counts: dict[str, int], plan: ReferencePlan, data: str) -> None:
    for protocol in protocols:
        if protocol.split not in counts:
            raise UserError(f"{protocol.name}: {data} has no test split; take it out of evaluate.metrics")
        least = protocol.least(plan.splits, plan.subset_size)
        # Halves of the real images are measured against each other, a kernel distance with smaller subsets.
        needed = least if protocol.kind == "kernel" else 2 * least
        if counts[protocol.split] < needed:
            key = ", evaluate.subset_size," if protocol.kind == "kernel" else ""
            raise UserError(
                f"{protocol.name}: needs at least {needed}{key} real images, {data} has {counts[protocol.split]}"
            )


def _network(name: str, plan: ReferencePlan, data: str, folder: Path) -> tuple[Path, dict[str, float]]:
    """The weights of `name` in `folder`, and facts about them. What measured the real images measures the samples."""
    if name == DIGITS:
        if plan.digits_classifier is None:
            raise UserError(f"{name}: its settings are missing in the plan (evaluate.reference.digits_classifier)")
        network = train_classifier(read_array(data), read_array(data, "labels"), plan.digits_classifier)
        with atomic_write(folder / f"{name}.safetensors") as temporary:
            save_file(network.state_dict(), temporary)
        held_out = accuracy(network, read_array(data, "test"), read_array(data, "test_labels"))
        return folder / f"{name}.safetensors", {"accuracy": held_out}
    if name == GLYPHS:
        write_decoder(folder / f"{name}.json", read_manifest(data))
        return folder / f"{name}.json", {}
    path = weights.find(name, plan.weights)
    if not (folder / path.name).is_file():
        with atomic_write(folder / path.name) as temporary:
            shutil.copyfile(path, temporary)
    return folder / path.name, {}


def _side(extractor: Extractor, own: list[Protocol], split: str, images: np.ndarray, scratch: Path) -> Side:
    """Images of one split with their features and logits, memory-mapped in `scratch`."""
    logits = any(protocol.formula.reads == "logits" for protocol in own)
    seen = extractor.extract_to(images, BATCH, scratch, what=f"{split} images", logits=logits)
    name = f"{split} images, {extractor.name}"
    fitted = any(protocol.kind == "frechet" and protocol.split == split for protocol in own)
    gaussian = fit(seen.features, name=name) if fitted else None
    return Side(images=images, seen=seen, real=Real(len(images), gaussian, seen.features))


def _keep(folder: Path, name: str, side: Side, scratch: Path, *, features: bool) -> dict[str, str | None]:
    """Write statistics, and move features, to `folder`; the names of the files."""
    if side.real.gaussian is not None:
        write_statistics(folder / f"{name}.npz", side.real.gaussian)
    if features:
        shutil.move(scratch / "features.npy", folder / f"{name}.npy")
    return {
        "statistics": f"{name}.npz" if side.real.gaussian is not None else None,
        "features": f"{name}.npy" if features else None,
    }
