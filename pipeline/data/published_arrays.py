"""CIFAR-10 and STL-10 from their official archives, or from the folders these unpack to, read by torchvision."""

import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.base.errors import UserError


class Arrays(NamedTuple):
    """A dataset in its official order: uint8 images (N, 3, H, W), int64 labels (N,), the test split, the reader.

    Labels of unlabelled images are -1. The arrays are in memory: 3 GB of STL-10, twice that while they are read.
    """

    images: np.ndarray
    labels: np.ndarray
    test: np.ndarray
    reader: str


def load_arrays(name: str, path: Path, scratch: Path) -> Arrays:
    """Read `CIFAR10` (train, test) or `STL10` (train and unlabelled, test); an archive is unpacked into `scratch`.

    CIFAR-10's files are pickles, which can run code when they are read. So an archive must have been compared with its
    checksum before this call, and torchvision compares each file with its published md5 before it reads it.
    Errors: `UserError` where the archive is damaged, or a file is missing or not the official one; `OSError` where it
    cannot be unpacked.
    """
    import torchvision  # imported here: it takes seconds, and no other dataset needs it

    official = getattr(torchvision.datasets, name)
    root = path
    if path.is_file():
        root = scratch
        try:
            with tarfile.open(path) as archive:
                archive.extractall(root, filter="data")
        except (tarfile.TarError, EOFError) as problem:
            raise UserError(f"{path}: cannot be unpacked ({problem}); fetch it again") from None
    folder = official.base_folder
    if (root / official.train_list[0][0]).is_file():
        root, folder = root.resolve().parent, root.resolve().name
    reader = type("Local", (official,), {"base_folder": folder})
    splits = ("train+unlabeled", "test") if name == "STL10" else (True, False)
    try:
        train, test = (reader(root, split, download=False) for split in splits)
    except RuntimeError:
        raise UserError(
            f"{path}: the files of {folder} are missing or not the official ones (their md5 differ); "
            f"fetch {official.filename} again"
        ) from None
    # torchvision gives CIFAR-10 as (N, H, W, C) with .targets, STL-10 as (N, C, H, W) with .labels.
    images, held_out = (split.data if name == "STL10" else split.data.transpose(0, 3, 1, 2) for split in (train, test))
    labels = np.asarray(train.labels if name == "STL10" else train.targets, dtype=np.int64)
    return Arrays(images, labels, held_out, f"torchvision {torchvision.__version__}")
