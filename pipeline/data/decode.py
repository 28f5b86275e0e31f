"""Image files to pixels at the dataset's resolution, in parallel. Images that would lose information are refused."""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import BytesIO
from typing import NamedTuple, TypeVar

import numpy as np
import PIL
import PIL.ImageFile
from PIL import Image, ImageOps, features

from pipeline.base.errors import UserError
from pipeline.data.config import DataConfig

Task = TypeVar("Task")
Result = TypeVar("Result")
Image.init()  # load all formats now: Pillow loads them on first use, which is not safe in several threads
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
CHUNK = 32  # images that one task decodes
ORIENTATION = 0x0112  # the EXIF tag that cameras write; 1 is upright
LIBRARY = f"Pillow {PIL.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}"
# Pillow's modes whose pixels keep their colour in an RGB (or grey) image.
LOSSLESS = {"RGB": ("1", "L", "P", "LA", "PA", "RGBA"), "L": ("1", "LA")}
KINDS = {"RGB": "an RGB image", "1": "a black-and-white image", "L": "a greyscale image", "P": "a palette image"}
TRANSPARENT = "an image with an alpha channel or a transparent colour"


def workers() -> int:
    """The number of threads: one per core that this process may use.

    Pillow releases Python's global lock while it decodes and resizes, so threads use all of these cores.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parallel(work: Callable[[Task], Result], tasks: Iterable[Task], threads: int | None = None) -> Iterator[Result]:
    """Yield `work(task)` in the order of the tasks. At most three tasks a thread wait; a failure cancels the others.

    Errors: whatever `work` raises.
    """
    threads = threads or workers()
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for task in tasks:
            waiting.append(pool.submit(work, task))
            if len(waiting) > 3 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class ImageFile(NamedTuple):
    """An image file that is read later, in the thread that decodes it."""

    name: str  # for messages
    read: Callable[[], bytes]


def decode_chunks(
    chunks: Iterable[list[ImageFile]], config: DataConfig, counts: dict[str, int]
) -> Iterator[np.ndarray]:
    """Yield (k, C, H, W) uint8 for every chunk of k files. `counts` adds up how many images `decode` had to change.

    Errors: `UserError` for the first image, in the dataset's order, that cannot be used.
    """

    def work(chunk: list[ImageFile]) -> tuple[np.ndarray, Counter[str]]:
        done: Counter[str] = Counter()
        return np.stack([decode(file.name, file.read(), config, done) for file in chunk]), done

    for images, done in in_parallel(work, chunks):
        for key, number in done.items():
            counts[key] += number
        yield images


def decode(name: str, content: bytes, config: DataConfig, done: Counter[str]) -> np.ndarray:
    """One image, (C, H, W) uint8. `done` counts "converted", "rotated" (by the EXIF tag), "cropped" and "resized".

    Errors: `UserError`, naming the file, for an image that is corrupt, animated, of more than 8 bits, of a colour mode
    that cannot be kept, too small, or absurdly large.
    """
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as opened:
            _refuse(name, opened)
            image: Image.Image = opened
            if opened.getexif().get(ORIENTATION, 1) != 1:
                image = ImageOps.exif_transpose(opened)
                done["rotated"] += 1
            pixels = np.asarray(fit(name, _coloured(name, image, config, done), config, done))
    except UserError:
        raise
    except Exception as problem:  # Pillow's parsers raise many kinds of exceptions for damaged files
        raise UserError(
            f"{name}: no readable image ({' '.join(str(problem).split())}); repair it or take it out"
        ) from None
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def fit(name: str, image: Image.Image, config: DataConfig, done: Counter[str]) -> Image.Image:
    """Crop and resize an image to the dataset's resolution (`resize_rule` says how).

    Errors: `UserError` for an image that is too small: images are never enlarged.
    """
    side = config.resolution
    width, height = image.size
    if min(width, height) < side:
        raise UserError(
            f"{name}: {width} x {height}, smaller than {side} x {side}, and images are never enlarged; "
            "take it out or lower datasets.<name>.data.resolution"
        )
    if config.fit == "crop" and width != height:
        short = min(width, height)
        left, top = (width - short) // 2, (height - short) // 2
        image = image.crop((left, top, left + short, top + short))
        done["cropped"] += 1
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.LANCZOS)
        done["resized"] += 1
    return image


def resize_rule(config: DataConfig) -> str:
    """The text of the manifest on how `fit` crops and resizes."""
    first = "centre crop to the short side, then " if config.fit == "crop" else "both sides, whatever their ratio, by "
    return (
        f"{first}Pillow {PIL.__version__} LANCZOS (antialiased, on uint8) to {config.resolution} x {config.resolution}"
    )


def _refuse(name: str, image: PIL.ImageFile.ImageFile) -> None:
    """Refuse images that Pillow would reduce to one 8-bit frame without a warning. No pixel is decoded for this."""
    width, height = image.size
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise UserError(f"{name}: {width} x {height}, more than the {limit:,} pixels allowed; shrink it or take it out")
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise UserError(f"{name}: animated, or several images in one file ({frames}); keep one of them or take it out")
    raw = [str(tile.args if isinstance(tile.args, str) else (tile.args or ("",))[0]) for tile in image.tile]
    if image.mode.startswith(("I", "F")) or any(";16" in mode or ";12" in mode for mode in raw):
        raise UserError(f"{name}: more than 8 bits a channel; convert it to 8 bits or take it out")


def _coloured(name: str, image: Image.Image, config: DataConfig, done: Counter[str]) -> Image.Image:
    """The image in the dataset's colour mode.

    Errors: `UserError` where a conversion would change a colour, or is needed and `config.convert` refuses it.
    """
    mode = "RGB" if config.channels == 3 else "L"
    transparent = image.has_transparency_data
    kind = TRANSPARENT if transparent else KINDS.get(image.mode, f"a {image.mode} image")
    if image.mode == mode and not transparent:
        image.load()
        return image
    if image.mode not in (mode, *LOSSLESS[mode]):
        raise UserError(
            f"{name}: {kind}, the dataset is {'8-bit RGB' if mode == 'RGB' else '8-bit greyscale (channels: 1)'}; "
            "convert it or take it out"
        )
    if config.convert == "refuse":
        raise UserError(
            f"{name}: {kind}, the dataset is 8-bit {mode}; convert it, take it out, or set "
            "datasets.<name>.data.convert to lossless, which keeps every pixel's colour"
        )
    if transparent and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        raise UserError(f"{name}: some of its pixels are transparent; put it on a background or take it out")
    done["converted"] += 1
    return image.convert("RGBA").convert(mode) if transparent else image.convert(mode)
