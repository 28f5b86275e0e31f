"""Images from anywhere as one array: a folder, a zip, an array file, or a dataset of params.yaml by its name."""

import zipfile
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.base.errors import UserError, choices
from pipeline.base.files import expand_home
from pipeline.data.array import read_manifest, read_splits, write_dataset
from pipeline.data.config import DataConfig
from pipeline.data.image_folder import find_images
from pipeline.data.prepare import prepare, stale
from pipeline.plan.compose import names
from pipeline.plan.config import PARAMS, data_config, load

PREPARED = Path("data")  # where `dvc repro` puts the datasets


@dataclass(frozen=True, kw_only=True)
class Images:
    """uint8 images (N, 3, H, W) by split, perhaps memory-mapped: `train`, and `test` where a dataset has it."""

    name: str  # as it was given
    splits: dict[str, np.ndarray]
    resize: str  # how they came to their size, in words; none where they were not resized

    @property
    def images(self) -> np.ndarray:
        """All but the test split."""
        return self.splits["train"]


def read_images(name: str, scratch: Path, config: DataConfig | None = None) -> Images:
    """The images that `name` means: a path that exists comes first, then the name of a dataset.

    A dataset is read from data/<name>/ where `dvc repro` has prepared it, and prepared into `scratch` otherwise.
    `config`: its settings, where they were read already.
    Errors: `UserError` where there is nothing, and for images that are damaged, of several sizes, not square, of more
    than 8 bits, or transparent.
    """
    path, folder, resize = expand_home(name), scratch, "none"
    if path.suffix == ".npz" and path.is_file():
        write_dataset(scratch, _array(path), None, {})
    elif path.exists():
        _prepare_files(path, name, scratch)
    else:
        config = config or dataset_settings(name)
        if (PREPARED / name / "manifest.json").is_file():
            if reason := stale(PREPARED / name, name, config):
                print(f"{reason}: prepared again for this", flush=True)
            else:
                folder = PREPARED / name
        if folder == scratch:
            prepare(config, name, folder)
        resize = read_manifest(folder)["resize"]
    splits = read_splits(folder)
    if splits["train"].shape[1] != 3:
        raise UserError(f"{name}: images of {splits['train'].shape[1]} channel; allowed: 3")
    return Images(name=name, splits=splits, resize=resize)


def dataset_settings(name: str) -> DataConfig:
    """The images' settings of a dataset. Errors: `UserError` where there is none of that name."""
    content = load() if Path(PARAMS).is_file() else {}
    datasets = names(content, "dataset") if content else []
    if name not in datasets:
        raise UserError(f"{name}: no such folder, zip or .npz; datasets: {choices(datasets, name) or 'none here'}")
    return data_config(content, name)


def _prepare_files(path: Path, name: str, scratch: Path) -> None:
    """A folder or zip of images that all have the size of the first one."""
    with ExitStack() as stack:
        first = next(iter(find_images(path, scratch, stack).files))
        content = BytesIO(first.read())
    try:
        with Image.open(content) as image:
            width, height = image.size
    except Exception as problem:  # Pillow's parsers raise many kinds of exceptions for damaged files
        raise UserError(f"{first.name}: no readable image ({' '.join(str(problem).split())})") from None
    if width != height:
        raise UserError(f"{first.name}: {width} x {height}; allowed: square images")
    config = DataConfig(source="folder", resolution=width, channels=3)
    config = config.model_copy(update={"path": str(path)})  # unchecked: it may have bytes that are no UTF-8
    prepare(config, name, scratch)
    counts = read_manifest(scratch)["images"]
    if others := max(counts["resized"], counts["cropped"]):
        allowed = "images of one size, for resizing them is part of the protocol that made them"
        raise UserError(f"{name}: {others:,} images are not {width} x {height} as the first one; allowed: {allowed}")


def _array(path: Path) -> np.ndarray:
    """The images (N, 3, S, S) of an .npz as generators write it: arr_0, or its only array, channels last or first."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            stored = ["arr_0"] if "arr_0" in arrays.files else arrays.files
            if len(stored) != 1:
                raise UserError(f"{path}: holds {', '.join(stored) or 'nothing'}; allowed: arr_0, or one array alone")
            array = arrays[stored[0]]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as problem:
        raise UserError(f"{path}: no readable .npz ({' '.join(str(problem).split())})") from None
    images = array.transpose(0, 3, 1, 2) if array.ndim == 4 and array.shape[-1] in (1, 3) else array
    channels, *sides = images.shape[1:] if images.ndim == 4 else (0,)
    if array.dtype != np.uint8 or not array.size or channels not in (1, 3) or len(set(sides)) != 1:
        given = f"{stored[0]} is {array.shape} {array.dtype}"
        raise UserError(f"{path}: {given}; allowed: (N, S, S, 3 or 1) or (N, 3 or 1, S, S) uint8")
    return np.repeat(images, 3 // channels, axis=1)
