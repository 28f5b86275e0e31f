"""A prepared dataset on disk: uint8 arrays of images, optional labels, and a manifest that describes them."""

import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import UserError
from pipeline.base.files import check_sha256, read_json, write_json

ROWS = 1024  # images written at a time, where the whole array is in memory


@dataclass(frozen=True, kw_only=True)
class Split:
    """Images as a stream of chunks. They are decoded while they are written, so a dataset need not fit into memory."""

    shape: tuple[int, int, int, int]  # N, C, H, W
    chunks: Callable[[], Iterator[np.ndarray]]  # each (k, C, H, W) uint8; N rows in all

    @property
    def size(self) -> int:
        """Bytes of the images, without the header of their file."""
        return int(np.prod(self.shape, dtype=np.int64))


def in_memory(images: np.ndarray) -> Split:
    """The array as a split. Errors: `ValueError` unless it is (N, C, H, W) uint8."""
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(f"images must be (N, C, H, W) uint8, not {images.shape} {images.dtype}")
    return Split(
        shape=images.shape, chunks=lambda: (images[start : start + ROWS] for start in range(0, len(images), ROWS))
    )


def write_dataset(
    folder: str | Path,
    images: np.ndarray | Split,
    labels: np.ndarray | None,
    facts: Mapping[str, Any],
    test: np.ndarray | Split | None = None,
) -> None:
    """Write a dataset, whole or not at all.

    `images` (N, C, H, W) uint8 serve training and statistics, `test` serves the metrics that compare with a test split,
    `labels` is (N,) int64. The manifest holds `facts`, shape, counts and hashes. `facts` is read after the last chunk:
    a reader may count while it makes chunks.
    Errors: `UserError` where the disk refuses (no space, no permission), `ValueError` for chunks of a wrong shape or
    type. A failed attempt leaves nothing behind.
    """
    images = in_memory(images) if isinstance(images, np.ndarray) else images
    test = in_memory(test) if isinstance(test, np.ndarray) else test
    manifest: dict[str, Any] = {
        "count": images.shape[0],
        "shape": list(images.shape[1:]),
        "dtype": "uint8",
        "layout": "N C H W",
    }
    folder = Path(folder)
    with _whole(folder) as partial:
        manifest["images_sha256"] = _write_array(partial / "images.npy", images.shape, np.uint8, images.chunks())
        if labels is not None:
            manifest["labels_sha256"] = _write_array(partial / "labels.npy", labels.shape, np.int64, [labels])
        if test is not None:
            manifest |= {
                "test_count": test.shape[0],
                "test_sha256": _write_array(partial / "test.npy", test.shape, np.uint8, test.chunks()),
            }
        write_json(partial / "manifest.json", {**facts, **manifest})


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """Yield an empty folder. On success its files replace those of `folder`, on failure they are removed.

    Errors: `UserError` where the disk refuses.
    """
    partial = folder / ".partial"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        for name in ("manifest.json", "images.npy", "labels.npy", "test.npy"):
            (folder / name).unlink(missing_ok=True)
        for path in sorted(partial.iterdir(), key=lambda path: path.suffix == ".json"):
            os.replace(path, folder / path.name)
    except OSError as error:
        raise UserError(
            f"{folder}: could not be written ({error.strerror or error}); "
            "free some space or change the permissions, then run it again"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        with suppress(OSError):
            folder.rmdir()  # removes the folder only if it is empty


def _write_array(path: Path, shape: tuple[int, ...], dtype: type, chunks: Iterable[np.ndarray]) -> str:
    """Write chunks of rows into one .npy file, with the same bytes as np.save, and return its sha256.

    No memory map is used: on a full disk a plain write raises an error, while a mapped page kills the process.
    Errors: `ValueError` for a chunk of another shape or type, and for more or fewer rows than `shape` says.
    """
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": tuple(shape)}
    )
    digest, rows = hashlib.sha256(header.getvalue()), 0
    with open(path, "wb") as file:
        file.write(header.getvalue())
        for chunk in chunks:
            if chunk.dtype != dtype or chunk.shape[1:] != tuple(shape[1:]):
                raise ValueError(
                    f"{path.name}: a chunk of {chunk.shape} {chunk.dtype} does not fit {shape} {np.dtype(dtype)}"
                )
            chunk, rows = np.ascontiguousarray(chunk), rows + len(chunk)
            digest.update(chunk.data)
            file.write(chunk.data)
        if rows != shape[0]:
            raise ValueError(f"{path.name}: {rows} rows written, {shape[0]} announced")
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """The manifest of a prepared dataset. Errors: `UserError` where it is missing or is no JSON."""
    return read_json(Path(folder) / "manifest.json")


def has_array(dataset: str | Path | Mapping[str, Any], name: str) -> bool:
    """Whether a prepared dataset, given by its folder or its manifest, has the array `images`, `labels` or `test`."""
    return f"{name}_sha256" in (dataset if isinstance(dataset, Mapping) else read_manifest(dataset))


def read_array(folder: str | Path, name: str = "images") -> np.ndarray:
    """The array `images`, `labels` or `test`, memory-mapped, after its file was compared with the manifest's hash.

    Shapes: (N, C, H, W) uint8 for images, (N,) int64 for labels.
    Errors: `UserError` where the dataset has no such array, or its file is missing or damaged.
    """
    folder, manifest = Path(folder), read_manifest(folder)
    if not has_array(manifest, name):
        raise UserError(f"{folder}: the dataset has no {name}")
    check_sha256(folder / f"{name}.npy", manifest[f"{name}_sha256"])
    return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
