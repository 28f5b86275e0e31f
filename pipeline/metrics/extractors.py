"""The evaluating networks in reference/<dataset>/, loaded from the weights that measured the real images."""

from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from pipeline.base.errors import UserError
from pipeline.base.files import check_sha256, read_json, sha256
from pipeline.metrics.classifier import DigitsClassifier, digits_extractor
from pipeline.metrics.extractor import Extractor
from pipeline.metrics.inception import load_inception
from pipeline.metrics.registry import DIGITS
from pipeline.metrics.weights import KNOWN


def load_extractor(name: str, path: Path) -> Extractor:
    """The network `name` (key of the registry's NETWORKS) from the file of its weights.

    Errors: `UserError` for a file that is not known by its hash.
    """
    if name == DIGITS:
        network = DigitsClassifier()
        network.load_state_dict(load_file(path))
        return digits_extractor(network, sha256(path))
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
