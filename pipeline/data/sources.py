"""The official files of the datasets (names, addresses, sizes, checksums), and the search for a local copy.

The places are those of docs/reference/datasets.md, in its order. A folder may hold the official file itself or what it
unpacks to.
"""

import os
import re
import shlex
from pathlib import Path

from pipeline.base.download import ROOT, Mismatch, PublishedFile, data_root, download, search_paths
from pipeline.base.errors import UserError
from pipeline.base.files import expand_home, printable
from pipeline.data.config import DataConfig, Source
from pipeline.data.image_folder import split_inside

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
IMAGES_ALONE = ("celeba", "lsun_church")  # read from any copy of their images, checked by their number


def locate(dataset: str, config: DataConfig) -> tuple[Path, str]:
    """The local file or folder to read, downloaded if necessary, and how it was checked (a line for the manifest).

    Errors: `UserError` where no copy is found and none can be fetched (the message names file, size, checksum and where
    to put it), and where a file is not the official one.
    """
    official, setting = OFFICIAL.get(config.source), f"conf/dataset/{dataset}.yaml:data.path"
    path = _copy(dataset, config, official, setting)
    if official is None:
        return path, "none: there is no official file"
    if (path / official.file).is_file():
        path = path / official.file
    if not path.is_file():
        return path, "none: a local copy without its archive"
    try:
        official.check(path)
    except Mismatch as problem:
        if config.source in IMAGES_ALONE and path.name != official.file:
            return path, f"none: a local copy in another archive than the official {official.file}"
        raise UserError(
            f"{path}: {problem}; it is not the official {official}: fetch it again from {official.address}, or point "
            f"{setting} at another copy; the folder that the official file unpacks to is taken as well"
        ) from None
    return path, f"{official.checksum}, published by {official.published}: matches"


def as_override(setting: str, path: str | Path) -> str:
    """A setting as `dvc exp run` takes it, quoted for Hydra (spaces, =, letters beyond ASCII) and for the shell."""
    text = printable(path).replace("\\", "\\\\").replace('"', '\\"')
    plain = re.fullmatch(r"[\w./:+-]+", text, re.ASCII)
    return "-S " + shlex.quote(f"{setting}={text}" if plain else f'{setting}="{text}"')


def _copy(dataset: str, config: DataConfig, official: PublishedFile | None, setting: str) -> Path:
    """The first place that has the images; the official file is fetched where none has.

    Errors: `UserError` for a path in the settings with nothing, and where there is no official file or it cannot be
    fetched.
    """
    if config.path is not None:
        path = expand_home(config.path)
        if not os.path.exists(split_inside(path)[0]):
            given, advice = setting.replace(":", ": "), f"as an experiment's setting: {as_override(setting, path)}"
            raise UserError(f"{given}: {printable(path)}: no such file or folder; {advice}")
        return path
    root, places = data_root(), search_paths(official.file) if official else []
    own = [root / dataset, root / f"{dataset}.zip"] if root else []
    if found := next(filter(os.path.exists, [*own, *places]), None):
        return found
    if official is None:
        raise UserError(
            f"dataset {dataset}: its images cannot be fetched from an official address: "
            f"set {setting} to a folder, zip or tar of them ({as_override(setting, '/absolute/path')}), "
            f"or put them at {root or f'${ROOT}'}/{dataset} (a folder) or {dataset}.zip"
        )
    advice = f"put it at {places[0]}, or point {setting} at it, or let {ROOT} name a folder that holds it"
    return download(official, places[0], f": fetch {official} from {official.address} elsewhere and {advice}")
