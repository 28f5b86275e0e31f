"""A dataset read, checked and stored, with a word before and a bar meanwhile."""

import shutil
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from pipeline.data.array import Split, write_dataset
from pipeline.data.config import DataConfig
from pipeline.data.readers import Content, Job, read
from pipeline.errors import UserError

SPARE = 1.02        # headers, labels, the file system's own books


def prepare(config: DataConfig, dataset: str, folder: str | Path) -> int:
    """Write the dataset to `folder` (see pipeline.data.array) and return the number of its images.

    Errors: `UserError`, one line, for bad input or a full disk; nothing half-written stays.
    """
    folder = Path(folder)
    scratch = folder / ".scratch"
    try:
        with ExitStack() as stack, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)     # such an image is refused by its size
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)
            content = read(Job(config=config, dataset=dataset, scratch=scratch, stack=stack))
            _announce(content, dataset, folder)
            write_dataset(folder, _watched(content.images, dataset), content.labels, _facts(content, dataset), test=_watched(content.test, f"{dataset} test"))
    except OSError as problem:
        raise UserError(f"{problem.filename or folder}: {problem.strerror or problem}; nothing was written: mend it, or make room, and run it again") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        with suppress(OSError):
            folder.rmdir()      # only where it is empty
    return content.images.shape[0]


def _facts(content: Content, dataset: str) -> dict:
    return {"dataset": dataset, **content.facts}


def _announce(content: Content, dataset: str, folder: Path) -> None:
    """Say what will be written; refuse it where there is no room."""
    count, channels, height, width = content.images.shape
    needed = content.images.size + (content.test.size if content.test else 0)
    free = shutil.disk_usage(folder).free
    test = f" and {content.test.shape[0]:,} of the test split" if content.test else ""
    print(f"prepare: {dataset}: {count:,} images{test} as {channels} x {height} x {width} uint8 -> {folder}/, {_bytes(needed)} ({_bytes(free)} free)", flush=True)
    if free < needed * SPARE:
        raise UserError(f"{folder}: {_bytes(needed)} are needed for {dataset}, {_bytes(free)} are free on that disk; make room and run it again")


def _bytes(number: float) -> str:
    return f"{number / 1e9:,.2f} GB" if number >= 1e9 else f"{number / 1e6:,.1f} MB"


def _watched(split: Split | None, name: str) -> Split | None:
    """The same split with a progress bar."""
    if split is None:
        return None

    def chunks() -> Iterator[np.ndarray]:
        with tqdm(total=split.shape[0], desc=f"prepare: {name}", unit=" images", unit_scale=True, disable=None) as bar:
            for chunk in split.chunks():
                yield chunk
                bar.update(len(chunk))

    return Split(shape=split.shape, chunks=chunks)
