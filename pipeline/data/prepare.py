"""Stage `prepare`: read, check and store a dataset. Its size is printed before, a progress bar meanwhile."""

import math
import shutil
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipeline.base.errors import UserError
from pipeline.data.array import read_manifest, write_dataset
from pipeline.data.config import DataConfig
from pipeline.data.readers import READERS, Content, Job

SPARE = 1.02  # room needed per byte of images: headers, labels and the file system's own data come on top


def prepare(config: DataConfig, dataset: str, folder: str | Path, *, listing: Path | None = None) -> int:
    """Write the dataset to `folder` (see pipeline.data.array) and return the number of its images.

    `listing`: a file for the names of images that cannot be used, with the reasons.
    Errors: `UserError` for bad input or a full disk. A failed attempt leaves nothing half-written behind.
    """
    folder = Path(folder)
    scratch = folder.with_name(f".{folder.name}.scratch")
    try:
        with ExitStack() as stack, warnings.catch_warnings():
            # Pillow warns of huge images and of odd metadata; `decode` refuses the ones and ignores the others.
            warnings.filterwarnings("ignore", module="PIL")
            shutil.rmtree(scratch, ignore_errors=True)
            stack.callback(shutil.rmtree, scratch, ignore_errors=True)
            scratch.mkdir(parents=True)
            job = Job(config=config, dataset=dataset, scratch=scratch, listing=listing, stack=stack)
            content = READERS[config.source](job)
            _announce(content, dataset, folder)
            facts = {"dataset": dataset, "data": settings(config), **content.facts}
            write_dataset(folder, content.images, content.labels, facts, content.test, content.test_labels)
    except OSError as problem:
        raise UserError(f"{problem.filename or folder}: {problem.strerror or problem}; nothing was written") from None
    return int(read_manifest(folder)["count"])


def settings(config: DataConfig) -> dict[str, Any]:
    """The settings of the manifest: all but the place of the copy, which says nothing of the images."""
    return config.model_dump(exclude={"path"})


def stale(folder: str | Path, dataset: str, config: DataConfig) -> str:
    """In what the settings of a prepared dataset are not `config`, or "". Errors: `UserError` without a manifest."""
    recorded, asked = read_manifest(folder).get("data", {}), settings(config)
    for key in (*asked, *recorded):
        if (then := recorded.get(key)) != (now := asked.get(key)):
            return f"{folder} was prepared with {key}: {then}, conf/dataset/{dataset}.yaml says {now}"
    return ""


def _announce(content: Content, dataset: str, folder: Path) -> None:
    """Print how much will be written. Errors: `UserError` where the disk has too little room."""
    count, channels, height, width = content.images.shape
    needed = sum(math.prod(split.shape) for split in (content.images, content.test) if split is not None)  # bytes
    free = shutil.disk_usage(folder.parent).free
    needs, has = (f"{tqdm.format_sizeof(size)}B" for size in (needed, free))
    test = f" and {content.test.shape[0]:,} of the test split" if content.test is not None else ""
    images = f"{count:,} images{test} as {channels} x {height} x {width} uint8"
    print(f"prepare: {dataset}: {images} -> {folder}/, {needs} ({has} free)", flush=True)
    if free < needed * SPARE:
        raise UserError(f"{folder}: {needs} are needed for {dataset}, {has} are free on that disk")
