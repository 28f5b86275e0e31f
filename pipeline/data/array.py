"""A prepared dataset on disk: uint8 arrays of images, optional labels, and a manifest that describes them."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from pipeline.base.errors import UserError
from pipeline.base.files import check_sha256, read_json, sha256, write_json

ROWS = 1024  # images written at a time, where the whole array is in memory


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images as a stream of chunks. They are decoded while they are written, so a dataset need not fit into memory."""

    shape: tuple[int, ...]  # N, C, H, W; of labels N
    chunks: Callable[[], Iterator[np.ndarray]]  # each (k, C, H, W) uint8; N rows in all, fewer where some are left out


def in_chunks(array: np.ndarray) -> list[np.ndarray]:
    """Views of ROWS rows."""
    return np.array_split(array, range(ROWS, len(array), ROWS))


def write_dataset(
    folder: str | Path,
    images: np.ndarray | Split,
    labels: np.ndarray | None,
    facts: Mapping[str, Any],
    test: np.ndarray | Split | None = None,
    test_labels: np.ndarray | None = None,
) -> None:
    """Write a dataset, whole or not at all: a failed attempt leaves nothing behind.

    `images` (N, C, H, W) uint8 serve training and statistics, `test` serves the metrics that compare with a test split,
    `labels` and `test_labels` are (N,) int64. The manifest holds `facts`, shape, counts and hashes. `facts` is
    read after the last chunk: a reader may count while it makes chunks.
    Errors: `OSError` where the disk refuses, `ValueError` for chunks of a wrong shape or type.
    """
    arrays = {"images": images, "labels": labels, "test_labels": test_labels, "test": test}
    counts = {"images": "count", "test": "test_count"}  # the manifest's keys
    manifest: dict[str, Any] = {"count": 0, "shape": list(images.shape[1:]), "dtype": "uint8", "layout": "N C H W"}
    folder = Path(folder)
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, array in arrays.items():
            if array is not None:
                number = _write(partial / f"{name}.npy", array, f"{folder.name}/{name}")
                manifest |= {counts[name]: number} if name in counts else {}
                manifest[f"{name}_sha256"] = sha256(partial / f"{name}.npy")
        write_json(partial / "manifest.json", {**facts, **manifest})
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(path: Path, split: np.ndarray | Split, title: str) -> int:
    """Write labels or images with the bytes that np.save gives, and a progress bar on a terminal; their number.

    No memory map is used: on a full disk a plain write raises `OSError`, while a mapped page kills the process.
    """
    dtype, rows = np.dtype(np.int64 if path.stem.endswith("labels") else np.uint8), 0
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
    bar = tqdm(total=split.shape[0], desc=title, unit=" images", unit_scale=True, disable=None)
    with bar, open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header | {"shape": split.shape})
        for chunk in split.chunks() if isinstance(split, Split) else in_chunks(split):
            if chunk.dtype != dtype or chunk.shape[1:] != split.shape[1:]:
                raise ValueError(f"{path.name}: {chunk.shape} {chunk.dtype} does not fit {split.shape} {dtype}")
            file.write(np.ascontiguousarray(chunk).data)
            rows += len(chunk)
            bar.update(len(chunk))
        file.seek(0)  # numpy leaves room in the header for any number of rows
        np.lib.format.write_array_header_1_0(file, header | {"shape": (rows, *split.shape[1:])})
        file.flush()
        os.fsync(file.fileno())
    return rows


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a prepared dataset. Errors: `UserError` where it is missing or is no JSON."""
    return read_json(Path(folder) / "manifest.json")


def read_array(folder: str | Path, name: str = "images") -> np.ndarray:
    """An array, memory-mapped, after its file was compared with the manifest's hash.

    `name`: images or test, (N, C, H, W) uint8, labels or test_labels, (N,) int64.
    Errors: `UserError` where the dataset has no such array, or its file is missing or damaged.
    """
    folder, manifest = Path(folder), read_manifest(folder)
    if f"{name}_sha256" not in manifest:
        raise UserError(f"{folder}: the dataset has no {name}")
    check_sha256(folder / f"{name}.npy", manifest[f"{name}_sha256"])
    return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)


def read_splits(folder: str | Path) -> dict[str, np.ndarray]:
    """The images by split, as `read_array` gives them: train, and test where the dataset has one."""
    arrays = {"train": "images", "test": "test"}
    manifest = read_manifest(folder)
    return {split: read_array(folder, name) for split, name in arrays.items() if f"{name}_sha256" in manifest}
