"""The folder reference/<dataset>/: evaluating networks and the real images' side, each file known by its hash."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import UserError
from pipeline.base.files import atomic_write, check_sha256, read_json
from pipeline.metrics.extractor import Extractor
from pipeline.metrics.extractors import load_extractor
from pipeline.metrics.frechet import Gaussian
from pipeline.metrics.suite import Real

ARRAYS = ("mean", "covariance", "factor")


@dataclass(frozen=True)
class Reference:
    """What evaluation needs of reference/<dataset>/."""

    extractors: Mapping[str, Extractor]  # by name, in the order of the metrics
    real: Mapping[tuple[str, str], Real]  # by network and split
    manifest: Mapping[str, Any]


def write_side(folder: Path, name: str, real: Real) -> dict[str, Any]:
    """Write statistics and radii as <name>.npz, <name>_radii<k>.npy; returns the names for the manifest."""
    gaussian = {array: getattr(real.gaussian, array) for array in ARRAYS}
    with atomic_write(folder / f"{name}.npz") as temporary, open(temporary, "wb") as file:
        np.savez(file, **gaussian)
    for k, radii in real.radii.items():
        with atomic_write(folder / f"{name}_radii{k}.npy") as temporary, open(temporary, "wb") as file:
            np.save(file, radii)
    return {"statistics": f"{name}.npz", "radii": {str(k): f"{name}_radii{k}.npy" for k in real.radii}}


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
    path = folder / side["statistics"]
    with np.load(path, allow_pickle=False) as arrays:
        if set(arrays) != set(ARRAYS):
            raise UserError(f"{path}: holds {sorted(arrays)}, expected {sorted(ARRAYS)}")
        gaussian = Gaussian(*(arrays[name] for name in ARRAYS))
    features = np.load(folder / side["features"], mmap_mode="r", allow_pickle=False) if side["features"] else None
    radii = {int(k): np.load(folder / name, allow_pickle=False) for k, name in side["radii"].items()}
    return Real(side["n_real"], gaussian, features, radii)
