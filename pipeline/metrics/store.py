"""The folder reference/<dataset>/: evaluating networks and the real images' side, each file known by its hash."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from pipeline.base.errors import UserError
from pipeline.base.files import atomic_write, check_sha256, read_json, sha256
from pipeline.metrics.classifier import DigitsClassifier, digits_extractor
from pipeline.metrics.distances import Gaussian
from pipeline.metrics.extractor import Extractor
from pipeline.metrics.glyphs import load_decoder
from pipeline.metrics.inception import load_inception, load_vgg
from pipeline.metrics.registry import DIGITS, GLYPHS, VGG
from pipeline.metrics.suite import Real
from pipeline.metrics.weights import KNOWN

ARRAYS = ("mean", "covariance")


@dataclass(frozen=True)
class Reference:
    """What evaluation needs of reference/<dataset>/."""

    extractors: Mapping[str, Extractor]  # by name, in the order of the metrics
    real: Mapping[tuple[str, str], Real]  # by network and split
    manifest: Mapping[str, Any]


def load_extractor(name: str, path: Path) -> Extractor:
    """The network `name` (key of the registry's NETWORKS) from the file of its weights.

    Errors: `UserError` for a file that is not known by its hash.
    """
    if name == DIGITS:
        network = DigitsClassifier()
        network.load_state_dict(load_file(path))
        return digits_extractor(network, sha256(path))
    if name == GLYPHS:
        return load_decoder(path)
    if name == VGG:
        return load_vgg(path)
    return load_inception(name, path, next(weights for weights in KNOWN if weights.name == path.name))


def load_first_extractor(folder: Path) -> Extractor:
    """The network of a dataset's first metric, whose features say which images are near each other.

    Errors: `UserError` where its file is missing or not the one recorded.
    """
    manifest = read_json(folder / "manifest.json")
    name, facts = next(iter(manifest["extractors"].items()))
    check_sha256(folder / facts["weights"], manifest["files"][facts["weights"]])
    return load_extractor(name, folder / facts["weights"])


def real_features(folder: Path, extractor: str) -> np.ndarray:
    """Features (n, d) float32 of the training images by one network, memory-mapped, their hash checked.

    Errors: `UserError` where they were not kept, are missing, or are not the ones recorded.
    """
    manifest = read_json(folder / "manifest.json")
    for side in manifest["sides"]:
        if (side["extractor"], side["split"]) == (extractor, "train") and side["features"]:
            check_sha256(folder / side["features"], manifest["files"][side["features"]])
            return np.load(folder / side["features"], mmap_mode="r", allow_pickle=False)
    raise UserError(f"{folder}: keeps no features of the training images by {extractor}")


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
