"""The readers of the datasets. Each says what there is to read; the images are read while they are written."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import UserError
from pipeline.base.files import printable, write_text
from pipeline.data.archives import split_inside
from pipeline.data.array import Split, in_memory
from pipeline.data.config import NATIVE, DataConfig, Source, settings_file
from pipeline.data.decode import CHUNK, LIBRARY, ImageFile, decode_chunks, fit_chunks, resize_rule
from pipeline.data.folder import EXTENSIONS, ORDER, find_images
from pipeline.data.glyphs import Glyphs
from pipeline.data.lsun import find_lmdb, lmdb_chunks, open_lmdb
from pipeline.data.published_arrays import load_arrays
from pipeline.data.sources import locate

GLYPHS = 20_000  # images that are drawn where no number is given


@dataclass(frozen=True, kw_only=True)
class Job:
    """The task of a reader."""

    config: DataConfig
    dataset: str  # its name
    scratch: Path  # a folder for unpacked files; removed afterwards
    listing: Path | None = None  # a file for the names of images that cannot be used
    stack: ExitStack  # closes the files that the reader opens


@dataclass(frozen=True, kw_only=True)
class Content:
    """The result of a reader. `facts` go into the manifest; some are counted while the chunks of `images` are made."""

    images: Split
    facts: dict[str, Any]
    labels: np.ndarray | None = None
    test: Split | None = None
    test_labels: np.ndarray | None = None


def read(job: Job) -> Content:
    """Read a dataset by its source. Errors: `UserError` where the source is missing, damaged, or another dataset."""
    return READERS[job.config.source](job)


def read_digits(config: DataConfig) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """The 1,797 scans of handwritten digits in scikit-learn, 8 x 8, their 17 grey levels scaled to 0..255.

    Returns images (N, C, 8, 8) uint8, labels (N,) int64, and facts for the manifest. With 3 channels the grey one is
    repeated, so that the networks see as many as for other datasets.
    """
    import sklearn  # imported here: no other dataset needs it
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    images = np.repeat(grey[:, None], config.channels, axis=1)
    facts = {
        "source": "sklearn.datasets.load_digits (UCI optical recognition of handwritten digits, its test part)",
        "library": f"scikit-learn {sklearn.__version__}",
        "split": "two thirds",
        "test_split": "held-out third",
        "resize": "none",
    }
    return images, bunch.target.astype(np.int64), facts


def split_digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices (train, held out) in order: a random third is held out, the same in every run.

    Generators and the classifier that measures them are trained on the first part; the second one is the real side of
    their metrics, which no training has seen.
    """
    order = np.random.default_rng(0).permutation(count)
    return np.sort(order[count // 3 :]), np.sort(order[: count // 3])


def _digits(job: Job) -> Content:
    images, labels, facts = read_digits(job.config)
    train, test = split_digits(len(images))
    return Content(
        images=in_memory(images[train]),
        labels=labels[train],
        test=in_memory(images[test]),
        test_labels=labels[test],
        facts=facts,
    )


def _glyphs(job: Job) -> Content:
    """Drawn images: the training set by seed 0, and as many held-out ones by seed 1 as the test split."""
    config = job.config
    glyphs, count = Glyphs(config.resolution, pairs=config.source == "glyphs_pairs"), config.count or GLYPHS
    shape = (count, 3, config.resolution, config.resolution)
    facts = {
        "source": f"{config.source}, drawn (pipeline.data.glyphs)",
        "library": f"matplotlib {version('matplotlib')}, Pillow {version('pillow')}, numpy {version('numpy')}",
        "split": "seed 0",
        "test_split": "seed 1",
        "resize": "none",
    }
    train, test = (Split(shape=shape, chunks=partial(glyphs.chunks, count, seed)) for seed in (0, 1))
    return Content(images=train, test=test, facts=facts)


def _arrays(job: Job, *, name: str, source: str, split: str) -> Content:
    """CIFAR-10 and STL-10, which are published as arrays."""
    path, checked = locate(job.dataset, job.config)
    arrays = load_arrays(name, path, job.scratch)
    squash = job.config.model_copy(update={"fit": "squash"})
    facts = {
        "source": f"{source}, {path.name}",
        "checksum": checked,
        "library": f"{arrays.reader}, {LIBRARY}",
        "split": split,
        "test_split": "test",
        "resize": "none" if job.config.resolution == NATIVE[job.config.source] else resize_rule(squash),
    }
    images, test = (fit_chunks(in_memory(split), job.config) for split in (arrays.images, arrays.test))
    return Content(images=images, labels=arrays.labels, test=test, facts=facts)


def _files(job: Job, *, source: str, split: str, count: int | None = None) -> Content:
    """Image files of a folder or an archive. `count` is the published number of the dataset's images."""
    path, checked = locate(job.dataset, job.config)
    files = find_images(path, job.scratch, job.stack)
    archive, inside = split_inside(path)
    _check_count(path, len(files.names), count)
    if files.ignored:
        print(
            f"prepare: {job.dataset}: {files.ignored:,} files ignored in {printable(path)}: "
            f"hidden, or none of {' '.join(EXTENSIONS)}",
            flush=True,
        )

    def chunks() -> Iterator[list[ImageFile]]:
        for start in range(0, len(files.names), CHUNK):
            numbers = range(start, min(start + CHUNK, len(files.names)))
            yield [ImageFile(files.names[number], partial(files.read, number)) for number in numbers]

    facts = {
        "source": "/".join(filter(None, (f"{source}, {printable(archive.name)}", inside))),
        "checksum": checked,
        "split": split,
        "order": ORDER,
        "ignored_files": files.ignored,
        "files_sha256": files.digest(),
    }
    return _decoded(job, path, len(files.names), chunks, facts)


def _lsun_church(job: Job) -> Content:
    path, checked = locate(job.dataset, job.config)
    database = find_lmdb(path, job.scratch, job.stack)
    if database is None:
        return _files(job, source="LSUN church_outdoor_train, exported", split="church_outdoor_train", count=126_227)
    environment = job.stack.enter_context(open_lmdb(database))
    count = environment.stat()["entries"]
    _check_count(path, count, 126_227)
    facts = {
        "source": f"LSUN church_outdoor_train, {path.name}",
        "checksum": checked,
        "split": "church_outdoor_train",
        "order": "by key",
    }
    return _decoded(job, path, count, lambda: lmdb_chunks(environment, database, CHUNK), facts)


def _decoded(
    job: Job, path: Path, count: int, chunks: Callable[[], Iterator[list[ImageFile]]], facts: dict[str, Any]
) -> Content:
    """The content of encoded images; the counts among its facts grow while the chunks are decoded.

    Errors, when the chunks are read: `UserError` after all images were looked at, where some cannot be used and
    `on_error` does not skip them, or where none is left.
    """
    counts = dict.fromkeys(("cropped", "resized", "converted", "rotated", "first_of_several", "skipped"), 0)
    shape = (count, job.config.channels, job.config.resolution, job.config.resolution)
    facts = facts | {"library": LIBRARY, "resize": resize_rule(job.config), "images": counts}

    def decoded() -> Iterator[np.ndarray]:
        refused: list[UserError] = []
        yield from decode_chunks(chunks(), job.config, counts, refused)
        counts["skipped"] = len(refused)
        if job.listing is not None:
            job.listing.unlink(missing_ok=True)
        if refused:
            if job.listing is not None:
                write_text(job.listing, "".join(f"{printable(str(problem))}\n" for problem in refused))
            _report(job, path, count, refused)

    return Content(images=Split(shape=shape, chunks=decoded, fewer=job.config.on_error == "skip"), facts=facts)


def _report(job: Job, path: Path, count: int, refused: list[UserError]) -> None:
    """Say which images cannot be used. Errors: `UserError` with the same, unless they are skipped and some are left."""
    kinds = Counter(getattr(problem, "kind", "not readable") for problem in refused)
    listed = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common())
    found = f"{printable(path)}: {len(refused):,} of {count:,} images cannot be used ({listed})"
    where = f", all listed in {job.listing}" if job.listing else ""
    if job.config.on_error == "skip" and len(refused) < count:
        print(f"prepare: {job.dataset}: {found}; left out{where}", flush=True)
        return
    first = str(refused[0]) if len(refused) == 1 else f"{found}{where}; the first: {refused[0]}"
    some_left = job.listing is not None and len(refused) < count
    hint = f"; or leave them out: {settings_file(job.dataset)}: data.on_error: skip" if some_left else ""
    raise UserError(f"{first}{hint}")


def _check_count(path: Path, found: int, expected: int | None) -> None:
    if expected is not None and found != expected:
        raise UserError(
            f"{printable(path)}: holds {found:,} images, the dataset has {expected:,}; "
            "complete the copy, or prepare it as a dataset of source: folder"
        )


READERS: dict[Source, Callable[[Job], Content]] = {
    "digits": _digits,
    "cifar10": partial(_arrays, name="CIFAR10", source="CIFAR-10, python version", split="train"),
    "stl10": partial(_arrays, name="STL10", source="STL-10, binary version", split="train+unlabeled"),
    "celeba": partial(_files, source="CelebA, aligned and cropped", split="all (train, val and test)", count=202_599),
    "celebahq": partial(_files, source="CelebA-HQ, a local copy", split="all", count=30_000),
    "lsun_church": _lsun_church,
    "folder": partial(_files, source="image files", split="all"),
    "glyphs": _glyphs,
    "glyphs_pairs": _glyphs,
}
