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
from pipeline.data.array import Split
from pipeline.data.config import SIDES, DataConfig, Source
from pipeline.data.decode import LIBRARY, decode_files, fit_array, resize_rule
from pipeline.data.glyphs import Glyphs
from pipeline.data.image_folder import EXTENSIONS, ORDER, find_images, split_inside, unpack_tar
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

    images: np.ndarray | Split
    facts: dict[str, Any]
    labels: np.ndarray | None = None
    test: np.ndarray | Split | None = None
    test_labels: np.ndarray | None = None


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
    return Content(images=images[train], labels=labels[train], test=images[test], test_labels=labels[test], facts=facts)


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
    """CIFAR-10 (train, test) or STL-10 (train and unlabelled, whose label is -1; test), read by torchvision.

    The arrays are in memory: 3 GB of STL-10, twice that while they are read. CIFAR-10's files are pickles, which can
    run code when they are read: so `locate` compares an archive with its checksum before it is unpacked, and
    torchvision each file with its published md5.
    Errors: `UserError` where the archive is damaged, or a file is missing or not the official one.
    """
    import torchvision  # imported here: it takes seconds, and no other dataset needs it

    path, checked = locate(job.dataset, job.config)
    official, root = getattr(torchvision.datasets, name), path
    if path.is_file():
        unpack_tar(path, root := job.scratch)
    if (root / official.train_list[0][0]).is_file():  # torchvision looks into a folder of this name
        (job.scratch / official.base_folder).symlink_to(root.resolve())
        root = job.scratch
    parts = (split, "test") if name == "STL10" else (True, False)
    try:
        train, test = (official(root, part, download=False) for part in parts)
    except RuntimeError:
        problem = f"the files of {official.base_folder} are missing or not the official ones (their md5 differ)"
        raise UserError(f"{path}: {problem}; fetch {official.filename} again") from None
    # torchvision gives CIFAR-10 as (N, H, W, C) with .targets, STL-10 as (N, C, H, W) with .labels.
    stored = (part.data if name == "STL10" else part.data.transpose(0, 3, 1, 2) for part in (train, test))
    images, held_out = (fit_array(array, job.config) for array in stored)
    squash = job.config.model_copy(update={"fit": "squash"})
    facts = {
        "source": f"{source}, {path.name}",
        "checksum": checked,
        "library": f"torchvision {torchvision.__version__}, {LIBRARY}",
        "split": split,
        "test_split": "test",
        "resize": "none" if job.config.resolution == SIDES[job.config.source][-1] else resize_rule(squash),
    }
    labels = np.asarray(train.labels if name == "STL10" else train.targets, dtype=np.int64)
    return Content(images=images, labels=labels, test=held_out, facts=facts)


def _files(job: Job, *, source: str, split: str, count: int | None = None) -> Content:
    """Encoded images: an LMDB, or files of a folder or an archive. `count` is the published number of them.

    The counts among the facts grow while the images are decoded.
    Errors: `UserError` where there are others than `count`. When the images are read, after all were looked at:
    `UserError` where some cannot be used and `on_error` does not skip them, or where none is left.
    """
    path, checked = locate(job.dataset, job.config)
    archive, inside = split_inside(path)
    images = find_images(path, job.scratch, job.stack)
    source += ", exported" if job.config.source == "lsun_church" and images.facts["order"] == ORDER else ""
    if ignored := images.facts.get("ignored_files"):
        reason = f"hidden, or none of {' '.join(EXTENSIONS)}"
        print(f"prepare: {job.dataset}: {ignored:,} files ignored in {printable(path)}: {reason}", flush=True)
    if count is not None and images.number != count:
        advice = "complete the copy, or prepare it as a dataset of source: folder"
        raise UserError(f"{printable(path)}: holds {images.number:,} images, the dataset has {count:,}; {advice}")
    counts = Counter(dict.fromkeys(("cropped", "resized", "converted", "rotated", "first_of_several", "skipped"), 0))

    def chunks() -> Iterator[np.ndarray]:
        refused = yield from decode_files(images.files, job.config, counts)
        counts["skipped"] = len(refused)
        _report(job, path, images.number, refused)

    facts = {
        "source": "/".join(filter(None, (f"{source}, {printable(archive.name)}", inside))),
        "checksum": checked,
        "split": split,
        **images.facts,
        "library": LIBRARY,
        "resize": resize_rule(job.config),
        "images": counts,
    }
    shape = (images.number, job.config.channels, job.config.resolution, job.config.resolution)
    return Content(images=Split(shape=shape, chunks=chunks), facts=facts)


def _report(job: Job, path: Path, count: int, refused: list[UserError]) -> None:
    """Say which images cannot be used, if any. Errors: `UserError` with it, unless they are skipped and one is left."""
    if job.listing is not None:
        job.listing.unlink(missing_ok=True)
    if not refused:
        return
    kinds = Counter(getattr(problem, "kind", "not readable") for problem in refused)
    listed = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common())
    message = f"{printable(path)}: {len(refused):,} of {count:,} images cannot be used ({listed})"
    hint = ""
    if job.listing is not None:
        write_text(job.listing, "".join(f"{printable(str(problem))}\n" for problem in refused))
        message += f", all listed in {job.listing}"
        hint = f"; or leave them out: conf/dataset/{job.dataset}.yaml: data.on_error: skip"
    if len(refused) == count or job.config.on_error == "refuse":
        first = str(refused[0]) if len(refused) == 1 else f"{message}; the first: {refused[0]}"
        raise UserError(f"{first}{hint if len(refused) < count else ''}")
    print(f"prepare: {job.dataset}: {message}; left out", flush=True)


READERS: dict[Source, Callable[[Job], Content]] = {
    "digits": _digits,
    "cifar10": partial(_arrays, name="CIFAR10", source="CIFAR-10, python version", split="train"),
    "stl10": partial(_arrays, name="STL10", source="STL-10, binary version", split="train+unlabeled"),
    "celeba": partial(_files, source="CelebA, aligned and cropped", split="all (train, val and test)", count=202_599),
    "celebahq": partial(_files, source="CelebA-HQ, a local copy", split="all", count=30_000),
    "lsun_church": partial(_files, source="LSUN church_outdoor_train", split="church_outdoor_train", count=126_227),
    "folder": partial(_files, source="image files", split="all"),
    "glyphs": _glyphs,
    "glyphs_pairs": _glyphs,
}
