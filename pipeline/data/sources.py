"""The official files of the datasets (names, addresses, sizes, checksums), and the search for a local copy.

The first of these that exists is used:
1. `datasets.<name>.data.path`;
2. in the folder that the environment variable TRANSGAN_DATA names: `<name>`, `<name>.zip`, the official file's name;
3. in the cache ($XDG_CACHE_HOME/transgan, else ~/.cache/transgan): the official file's name;
4. the official address; the download is kept in the folder of TRANSGAN_DATA, or in the cache where that is not set.
A folder may hold the official file itself or what it unpacks to.
"""

from pathlib import Path

from pipeline.base.download import ROOT, Mismatch, PublishedFile, check, data_root, download, first_existing, places
from pipeline.base.errors import UserError
from pipeline.data.archives import split_inside
from pipeline.data.config import DataConfig, Source

OFFICIAL: dict[Source, PublishedFile] = {
    "cifar10": PublishedFile(
        file="cifar-10-python.tar.gz",
        address="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        size=170_498_071,
        checksum="md5 c58f30108f718f92721af3b95e74349a",
        published="the authors and torchvision",
    ),
    "stl10": PublishedFile(
        file="stl10_binary.tar.gz",
        address="http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
        size=2_640_397_119,
        checksum="md5 91f7769df0f17e558f3565bffb0c7dfb",
        published="torchvision",
    ),
    "celeba": PublishedFile(
        file="img_align_celeba.zip",
        address="https://drive.usercontent.google.com/download?id=0B7EVK8r0v71pZjFTYXZWM3FlRnM&export=download&confirm=t",
        size=1_443_490_838,
        checksum="md5 00d2c5bc6d35e252742224ab0c1e8fcb",
        published="torchvision",
    ),
    # LSUN's authors never published a checksum; TensorFlow Datasets recorded this one.
    "lsun_church": PublishedFile(
        file="church_outdoor_train_lmdb.zip",
        address="http://dl.yf.io/lsun/scenes/church_outdoor_train_lmdb.zip",
        size=2_448_463_466,
        checksum="sha256 91128ae026840ac0c5982b4445ab5fc4e092d6847cca76793b2b1a0815c2e74a",
        published="TensorFlow Datasets (the authors published none)",
    ),
}


def locate(dataset: str, config: DataConfig) -> tuple[Path, str]:
    """The local file or folder to read, downloaded if necessary, and how it was checked (a line for the manifest).

    Errors: `UserError` where no copy is found and none can be fetched (the message names file, size, checksum and where
    to put it), and where a file is not the official one.
    """
    official, setting = OFFICIAL.get(config.source), f"datasets.{dataset}.data.path"
    path = _configured(config, setting) or _in_data_root(dataset)
    if official is None:
        if path is None:
            raise UserError(
                f"dataset {dataset}: its images cannot be fetched from an official address: "
                f"set {setting} to a folder or zip of them, "
                f"or put them at {data_root() or f'${ROOT}'}/{dataset} (a folder) or {dataset}.zip"
            )
        return path, "none: there is no official file"
    path = path or _official_copy(official, setting)
    if (path / official.file).is_file():
        path = path / official.file
    if path.is_dir():
        return path, "none: a local copy without its archive"
    try:
        check(path, official.size, official.checksum)
    except Mismatch as problem:
        raise UserError(
            f"{path}: {problem}; it is not the official {official}: remove it and fetch it again from "
            f"{official.address}, or point {setting} at another copy"
        ) from None
    return path, f"{official.checksum}, published by {official.published}: matches"


def _configured(config: DataConfig, setting: str) -> Path | None:
    """The path in params.yaml. Errors: `UserError` where there is nothing."""
    if config.path is None:
        return None
    path = Path(config.path).expanduser()
    file, inside = split_inside(path)
    if not file.exists() or (inside and config.source in OFFICIAL):
        raise UserError(f"params.yaml: {setting}: {path}: no such file or folder")
    return path


def _in_data_root(dataset: str) -> Path | None:
    root = data_root()
    return first_existing([root / dataset, root / f"{dataset}.zip"]) if root else None


def _official_copy(official: PublishedFile, setting: str) -> Path:
    """The official file under its own name, fetched where no place has it. Errors: `UserError`."""
    possible = places(official.file)
    found = first_existing(possible)
    if found is not None:
        return found
    try:
        download(official, possible[0])
    except (Mismatch, OSError) as problem:
        reason = " ".join(str(problem).split())
        raise UserError(
            f"{official} is needed and could not be fetched from {official.address} ({reason}): fetch it elsewhere and "
            f"put it at {possible[0]}, or point {setting} at it, or let {ROOT} name a folder that holds it"
        ) from None
    return possible[0]
