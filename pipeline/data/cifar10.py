"""CIFAR-10 from its official archive, or from the folder it unpacks to, read by torchvision."""

import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.errors import UserError

Labelled = tuple[np.ndarray, np.ndarray]


def load_cifar10(path: Path, scratch: Path) -> tuple[Labelled, Labelled, str]:
    """(train images, labels), (test images, labels), reader: (N, 3, 32, 32) uint8 and (N,) int64 in the official order.

    The files are pickles, which can run code when they are read. So an archive must have been compared with its
    checksum before this call, and torchvision compares each file with its published md5 before it unpickles it.
    Errors: `UserError` where the archive is damaged, or a file is missing or not the official one.
    """
    import torchvision  # imported here: it takes seconds, and no other dataset needs it
    from torchvision.datasets import CIFAR10

    root = path
    if path.is_file():
        root = scratch
        try:
            with tarfile.open(path) as archive:
                archive.extractall(root, filter="data")
        except (tarfile.TarError, EOFError) as problem:
            raise UserError(f"{path}: cannot be unpacked ({problem}); fetch it again") from None
    if (root / "data_batch_1").is_file():
        root, folder = root.resolve().parent, root.resolve().name
    else:
        folder = CIFAR10.base_folder
    reader = type("Local", (CIFAR10,), {"base_folder": folder})
    try:
        train, test = (reader(root, train=train, download=False) for train in (True, False))
    except RuntimeError:
        raise UserError(
            f"{path}: the files of {folder} are missing or not the official ones (their md5 differ); "
            "fetch cifar-10-python.tar.gz again"
        ) from None
    return _labelled(train), _labelled(test), f"torchvision {torchvision.__version__}"


def _labelled(split: Any) -> Labelled:
    return split.data.transpose(0, 3, 1, 2), np.array(split.targets, dtype=np.int64)
