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
from pipeline.metrics import weights
from pipeline.metrics.classifier import train_classifier
from pipeline.metrics.config import ReferencePlan
from pipeline.metrics.extractor import DTYPE, Extractor, best_device
from pipeline.metrics.extractors import load_extractor
from pipeline.metrics.frechet import fit
from pipeline.metrics.knn_radii import squared_radii
from pipeline.metrics.registry import DIGITS, Protocol, extractors, parse
from pipeline.metrics.sanity_checks import BATCH, known_answers
from pipeline.metrics.store import write_side
from pipeline.metrics.suite import Features, Real

KNOWN_ANSWERS = "known_answers.json"


def build_reference(plan: ReferencePlan, *, data: str, out: str) -> dict[str, Any]:
    """Fetch or train the networks, extract the real features, write all and the known answers to `out`.

    Features go straight from the memory-mapped images into memory-mapped files. Returns the known answers.
    Errors: `UserError` for weights that are not found, a metric of the test split where the dataset has none, too few
    images, or a non-finite feature.
    """
    torch.set_num_threads(plan.threads)
    images, manifest, folder = read_array(data), read_manifest(data), Path(out)
    protocols = [parse(name) for name in plan.metrics]
    test = read_array(data, "test") if has_array(data, "test") else None
    _check_splits(protocols, images, test, plan, data)
    folder.mkdir(parents=True, exist_ok=True)
    sides: list[dict[str, Any]] = []
    networks: dict[str, dict[str, Any]] = {}
    known: dict[str, Any] = {}
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
        keep = name == protocols[0].extractor or any("features" in protocol.formula.real for protocol in own)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            found = _sides(extractor, own, plan, folder, Path(scratch), images=images, test=test)
            known |= facts | known_answers(
                plan,
                extractor,
                images,
                *found["train"],
                Features(*found["test"][1:], extractor.no_logits) if test is not None else None,
            )
            for split, (real, _, _) in found.items():
                if split == "train" or any(protocol.split == split for protocol in own):
                    side = write_side(folder, f"{name}_{split}", real)
                    features = f"{name}_{split}.npy" if keep and split == "train" else None
                    sides.append(
                        {
                            "extractor": name,
                            "split": split,
                            "images": _said(manifest, split),
                            "n_real": real.count,
                            "features": features,
                            **side,
                        }
                    )
            if keep:
                shutil.move(Path(scratch) / "train.npy", folder / f"{name}_train.npy")
    written = [path for path in sorted(folder.iterdir()) if path.name not in ("manifest.json", KNOWN_ANSWERS)]
    files = {path.name: sha256(path) for path in written}
    write_json(
        folder / "manifest.json",
        {
            "extractors": networks,
            "sides": sides,
            "n_real": len(images),
            "split": manifest["split"],
            "resize": manifest["resize"],
            "images_sha256": manifest["images_sha256"],
            "files": files,
        },
    )
    known = (
        {"n_real": len(images), **known}
        if DIGITS not in networks
        else {"accuracy": known.pop("accuracy"), "n_real": len(images), **known}
    )
    write_json(folder / KNOWN_ANSWERS, known)
    return known


def _said(manifest: dict[str, Any], split: str) -> str:
    return manifest["split"] if split == "train" else manifest.get("test_split", "test")


def _check_splits(
    protocols: list[Protocol], images: np.ndarray, test: np.ndarray | None, plan: ReferencePlan, data: str
) -> None:
    for protocol in protocols:
        if protocol.split == "test" and test is None:
            raise UserError(f"{protocol.name}: {data} has no test split; take it out of evaluate.metrics")
        own = test if protocol.split == "test" and test is not None else images
        count, least = len(own), protocol.least(plan.splits, plan.neighbours)
        # Halves of the training images are measured against each other.
        needed = least if protocol.split == "test" else 2 * least
        if count < needed:
            raise UserError(f"{protocol.name}: needs at least {needed} real images, {data} has {count}")


def _network(name: str, plan: ReferencePlan, data: str, folder: Path) -> tuple[Path, dict[str, float]]:
    """The weights of `name` in `folder`, and facts about them. What measured the real images measures the samples."""
    if name == DIGITS:
        if plan.digits_classifier is None:
            raise UserError(f"{name}: its settings are missing in the plan (evaluate.reference.digits_classifier)")
        network, accuracy = train_classifier(read_array(data), read_array(data, "labels"), plan.digits_classifier)
        with atomic_write(folder / f"{name}.safetensors") as temporary:
            save_file(network.state_dict(), temporary)
        return folder / f"{name}.safetensors", {"accuracy": accuracy}
    path, found = weights.find(name, plan.weights)
    if not (folder / found.name).is_file():
        with atomic_write(folder / found.name) as temporary:
            shutil.copyfile(path, temporary)
    return folder / found.name, {}


def _sides(
    extractor: Extractor,
    own: list[Protocol],
    plan: ReferencePlan,
    folder: Path,
    scratch: Path,
    *,
    images: np.ndarray,
    test: np.ndarray | None,
) -> dict[str, tuple[Real, np.ndarray, np.ndarray | None]]:
    """By split: the real side, its features and logits, all memory-mapped in `scratch`."""
    found = {}
    radii = {protocol.k or plan.neighbours or 1 for protocol in own if "radii" in protocol.formula.real}
    reads_logits = any(protocol.formula.reads == "logits" for protocol in own)
    for split, array in (("train", images), ("test", test)):
        if array is None:
            continue
        scores = scratch / f"{split}_logits.npy" if reads_logits else None
        extractor.extract_to(array, BATCH, features=scratch / f"{split}.npy", logits=scores, what=f"{split} images")
        features = np.load(scratch / f"{split}.npy", mmap_mode="r", allow_pickle=False)
        logits = np.load(scores, mmap_mode="r", allow_pickle=False) if scores and scores.is_file() else None
        gaussian = fit(features, name=f"{split} images, {extractor.name}", factor=True)
        reach = {k: squared_radii(features, k, best_device()) for k in sorted(radii)} if split == "train" else {}
        found[split] = (Real(len(features), gaussian, features, reach), features, logits)
    return found
