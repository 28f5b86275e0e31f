"""A prepared dataset on disk: one uint8 array of images, optional labels, and a manifest that says what they are."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError
from pipeline.files import atomic_write, check_sha256, read_json, sha256, write_json


def write_dataset(folder: str | Path, images: np.ndarray, labels: np.ndarray | None, facts: dict[str, Any]) -> None:
    """Write images (N, C, H, W) uint8 and labels (N,) int64 with a manifest of shape, hashes and `facts`."""
    folder = Path(folder)
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(f"images must be (N, C, H, W) uint8, not {images.shape} {images.dtype}")
    manifest = {**facts, "count": len(images), "shape": list(images.shape[1:]), "dtype": "uint8", "layout": "N C H W"}
    for name, array in (("images", images), ("labels", labels)):
        if array is not None:
            with atomic_write(folder / f"{name}.npy") as temporary, open(temporary, "wb") as file:
                np.save(file, np.ascontiguousarray(array))
            manifest[f"{name}_sha256"] = sha256(folder / f"{name}.npy")
    write_json(folder / "manifest.json", manifest)


def read_manifest(folder: str | Path) -> dict[str, Any]:
    return read_json(Path(folder) / "manifest.json")


def has_array(folder: str | Path, name: str) -> bool:
    """Whether the dataset has an array of that name: `labels`, `test`."""
    return f"{name}_sha256" in read_manifest(folder)


def read_array(folder: str | Path, name: str = "images") -> np.ndarray:
    """The memory-mapped `images` or `labels`, after checking the file against its manifest.

    Errors: `UserError` where a file is missing, damaged, or was never part of the dataset.
    """
    folder, manifest = Path(folder), read_manifest(folder)
    if f"{name}_sha256" not in manifest:
        raise UserError(f"{folder}: the dataset has no {name}")
    check_sha256(folder / f"{name}.npy", manifest[f"{name}_sha256"])
    return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
