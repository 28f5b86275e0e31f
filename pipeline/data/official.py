"""The datasets' official files: names, addresses, sizes, checksums, and where a copy of one is looked for.

In this order, the first that exists wins:
1. `datasets.<name>.data.path`;
2. in the folder that the environment variable TRANSGAN_DATA names: `<name>`, `<name>.zip`, the official file's name;
3. in the cache ($XDG_CACHE_HOME/transgan, else ~/.cache/transgan): the official file's name;
4. the official address; the file is kept in TRANSGAN_DATA's folder, or in the cache where that is not set.
A folder may hold the official file itself or what it unpacks to.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.archives import split_inside
from pipeline.data.config import DataConfig, Source
from pipeline.data.download import Mismatch, check, download
from pipeline.errors import UserError

ROOT = "TRANSGAN_DATA"


@dataclass(frozen=True, kw_only=True)
class Official:
    """A file as its authors hand it out."""

    file: str
    address: str
    size: int                   # bytes
    checksum: str               # "md5 ..." or "sha256 ..."
    published: str              # who published the checksum

    def __str__(self) -> str:
        return f"{self.file} ({self.size:,} bytes, {self.checksum})"


OFFICIAL: dict[Source, Official] = {
    "cifar10": Official(
        file="cifar-10-python.tar.gz",
        address="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        size=170_498_071,
        checksum="md5 c58f30108f718f92721af3b95e74349a",
        published="the authors and torchvision",
    ),
    "stl10": Official(
        file="stl10_binary.tar.gz",
        address="http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
        size=2_640_397_119,
        checksum="md5 91f7769df0f17e558f3565bffb0c7dfb",
        published="torchvision",
    ),
    "celeba": Official(
        file="img_align_celeba.zip",
        address="https://drive.usercontent.google.com/download?id=0B7EVK8r0v71pZjFTYXZWM3FlRnM&export=download&confirm=t",
        size=1_443_490_838,
        checksum="md5 00d2c5bc6d35e252742224ab0c1e8fcb",
        published="torchvision",
    ),
    # LSUN's authors never published a checksum; TensorFlow Datasets recorded this one.
    "lsun_church": Official(
        file="church_outdoor_train_lmdb.zip",
        address="http://dl.yf.io/lsun/scenes/church_outdoor_train_lmdb.zip",
        size=2_448_463_466,
        checksum="sha256 91128ae026840ac0c5982b4445ab5fc4e092d6847cca76793b2b1a0815c2e74a",
        published="TensorFlow Datasets (the authors published none)",
    ),
}


def locate(dataset: str, config: DataConfig) -> tuple[Path, str]:
    """The local file or folder to read, downloaded where need be, and a line for the manifest on how it was checked.

    Errors: `UserError` where nothing is found and nothing can be fetched (names file, size, checksum and where to put
    it), and where a file is not the official one.
    """
    official, where = OFFICIAL.get(config.source), f"datasets.{dataset}.data.path"
    path = _given(config, where) or _in_root(dataset, official)
    if path is None and official is None:
        raise UserError(
            f"dataset {dataset}: its images cannot be fetched from an official address: set {where} to a folder or zip of them, "
            f"or put them at {os.environ.get(ROOT) or f'${ROOT}'}/{dataset} (a folder) or {dataset}.zip"
        )
    if path is None:
        path = _kept(official)
        if not path.exists():
            _fetch(official, path, where)
    if official and (path / official.file).is_file():
        path = path / official.file
    if official is None or path.is_dir():
        return path, "none: a local copy without its archive" if official else "none: there is no official file"
    try:
        check(path, official.size, official.checksum)
    except Mismatch as problem:
        raise UserError(f"{path}: {problem}; it is not the official {official}: remove it and fetch it again from {official.address}, or point {where} at another copy") from None
    return path, f"{official.checksum}, published by {official.published}: matches"


def _given(config: DataConfig, where: str) -> Path | None:
    if config.path is None:
        return None
    path = Path(config.path).expanduser()
    file, inside = split_inside(path)
    if not file.exists() or (inside and config.source in OFFICIAL):
        raise UserError(f"params.yaml: {where}: {path}: no such file or folder")
    return path


def _in_root(dataset: str, official: Official | None) -> Path | None:
    root = os.environ.get(ROOT)
    if not root:
        return None
    if not Path(root).is_dir():
        raise UserError(f"{ROOT}={root}: no such folder; let it name the folder that holds the datasets, or unset it")
    names = [dataset, f"{dataset}.zip", *([official.file] if official else [])]
    return next((Path(root) / name for name in names if (Path(root) / name).exists()), None)


def _kept(official: Official) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "transgan"
    return Path(os.environ.get(ROOT) or cache) / official.file


def _fetch(official: Official, path: Path, where: str) -> None:
    try:
        download(official.address, path, official.size, official.checksum)
    except (Mismatch, OSError) as problem:
        reason = " ".join(str(problem).split())
        raise UserError(
            f"{official} is needed and could not be fetched from {official.address} ({reason}): fetch it elsewhere and put it at {path}, "
            f"or point {where} at it, or let {ROOT} name a folder that holds it"
        ) from None
