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
from pipeline.data.array import has_array, read_array, read_manifest, write_dataset
from pipeline.data.config import DataConfig
from pipeline.data.folder import find_images
from pipeline.data.prepare import prepare, stale
from pipeline.plan.compose import names
from pipeline.plan.config import PARAMS, data_config, load

PREPARED = Path("data")  # where `dvc repro` puts the datasets


@dataclass(frozen=True, kw_only=True)
class Images:
    """uint8 images (N, 3, H, W), perhaps memory-mapped, and those of a dataset's test split, where it has one."""

    name: str  # as it was given
    images: np.ndarray
    test: np.ndarray | None = None
    resize: str  # how they came to their size, in words; none where they were not resized

    @property
    def splits(self) -> dict[str, np.ndarray]:
        """The images by split."""
        return {"train": self.images} | ({} if self.test is None else {"test": self.test})


def read_images(given: str, scratch: Path, *, params: str = PARAMS) -> Images:
    """The images that `given` means: a path that exists comes first, then the name of a dataset.

    A dataset is read from data/<name>/ where `dvc repro` has prepared it, and prepared into `scratch` otherwise.
    Errors: `UserError` where there is nothing, and for images that are damaged, of several sizes, not square, of more
    than 8 bits, or transparent.
    """
    path = expand_home(given)
    if path.suffix == ".npz" and path.is_file():
        return _array(path, given, scratch)
    if path.exists():
        return _files(path, given, scratch)
    folder, config = PREPARED / given, dataset_settings(given, params)
    if not (folder / "manifest.json").is_file():
        folder = scratch
    elif reason := stale(folder, given, config):
        print(f"{reason}: prepared again for this", flush=True)
        folder = scratch
    if folder == scratch:
        prepare(config, given, folder)
    return _prepared(folder, given)


def dataset_settings(given: str, params: str = PARAMS) -> DataConfig:
    """The images' settings of a dataset. Errors: `UserError` where there is none of that name."""
    content = load(params) if Path(params).is_file() else {}
    datasets = names(content, "dataset") if content else []
    if given not in datasets:
        raise UserError(f"{given}: no such folder, zip or .npz; datasets: {choices(datasets, given) or 'none here'}")
    return data_config(content, given)


def _files(path: Path, given: str, scratch: Path) -> Images:
    """A folder or zip of images that all have the size of the first one."""
    with ExitStack() as stack:
        first = find_images(path, scratch, stack).files[0]
        width, height = _size(first.name, first.read())
    if width != height:
        raise UserError(f"{first.name}: {width} x {height}; allowed: square images")
    config = DataConfig(source="folder", resolution=width, channels=3)
    config = config.model_copy(update={"path": str(path)})  # unchecked: it may have bytes that are no UTF-8
    prepare(config, given, scratch)
    counts = read_manifest(scratch)["images"]
    if counts["resized"] or counts["cropped"]:
        other = max(counts["resized"], counts["cropped"])
        raise UserError(
            f"{given}: {other:,} images are not {width} x {height} as the first one; allowed: images of one size, "
            "for resizing them is part of the protocol that made them"
        )
    found = _prepared(scratch, given)
    return Images(name=given, images=found.images, resize="none")


def _size(name: str, content: bytes) -> tuple[int, int]:
    try:
        with Image.open(BytesIO(content)) as image:
            return image.size
    except Exception as problem:  # Pillow's parsers raise many kinds of exceptions for damaged files
        raise UserError(f"{name}: no readable image ({' '.join(str(problem).split())})") from None


def _array(path: Path, given: str, scratch: Path) -> Images:
    """An .npz as generators write it: arr_0, or its only array, (N, H, W, C) or (N, C, H, W) uint8."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = ["arr_0"] if "arr_0" in arrays.files else arrays.files
            if len(names) != 1:
                raise UserError(f"{path}: holds {', '.join(names) or 'nothing'}; allowed: arr_0, or one array alone")
            array = arrays[names[0]]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as problem:
        raise UserError(f"{path}: no readable .npz ({' '.join(str(problem).split())})") from None
    last, first = array.ndim == 4 and array.shape[-1] in (1, 3), array.ndim == 4 and array.shape[1] in (1, 3)
    sides = array.shape[1:3] if last else array.shape[-2:]
    if array.dtype != np.uint8 or not array.size or not (first or last) or len(set(sides)) != 1:
        raise UserError(
            f"{path}: {names[0]} is {array.shape} {array.dtype}; allowed: (N, S, S, 3 or 1) or (N, 3 or 1, S, S) uint8"
        )
    if last:
        array = array.transpose(0, 3, 1, 2)
    rgb = np.repeat(array, 3 // array.shape[1], axis=1)
    write_dataset(scratch, rgb, None, {"resize": "none"})
    return _prepared(scratch, given)


def _prepared(folder: Path, given: str) -> Images:
    test = read_array(folder, "test") if has_array(folder, "test") else None
    images = read_array(folder)
    if images.shape[1] != 3:
        raise UserError(f"{given}: images of {images.shape[1]} channel; allowed: 3")
    return Images(name=given, images=images, test=test, resize=read_manifest(folder)["resize"])
