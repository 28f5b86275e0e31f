"""Bytes of an image file -> pixels of the dataset's geometry, many at a time; what would change in silence is refused."""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import TypeVar

import numpy as np
import PIL
from PIL import Image, ImageOps, features

from pipeline.data.config import DataConfig
from pipeline.errors import UserError

Task, Result = TypeVar("Task"), TypeVar("Result")
Image.init()            # all formats at once: threads must not find half of them
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
CHUNK = 32              # images a task decodes
ORIENTATION = 0x0112    # the EXIF tag that cameras write; 1 is upright
LIBRARY = f"Pillow {PIL.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}"
# Modes whose pixels an RGB (or grey) image can hold as they are.
LOSSLESS = {"RGB": ("1", "L", "P", "LA", "PA", "RGBA"), "L": ("1", "LA")}
KINDS = {"RGB": "an RGB image", "1": "a black-and-white image", "L": "a greyscale image", "P": "a palette image"}
TRANSPARENT = "an image with an alpha channel or a transparent colour"


def workers() -> int:
    """Number of threads: Pillow decodes and resizes without Python's lock, so they use every core this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parallel(work: Callable[[Task], Result], tasks: Iterable[Task], threads: int | None = None) -> Iterator[Result]:
    """Results in the order of the tasks, with a bounded number under way; the first failure ends the others."""
    threads = threads or workers()
    waiting, pool = deque(), ThreadPoolExecutor(threads)
    try:
        for task in tasks:
            waiting.append(pool.submit(work, task))
            if len(waiting) > 3 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def decode_chunks(chunks: Iterable[list[tuple[str, Callable[[], bytes]]]], config: DataConfig, counts: dict[str, int]) -> Iterator[np.ndarray]:
    """(k, C, H, W) uint8 for every chunk of (name, bytes when called); `counts` sums up what had to be done to images.

    Errors: `UserError` for the first image, in the dataset's order, that cannot be used.
    """

    def work(chunk):
        done = Counter()
        return np.stack([decode(name, read(), config, done) for name, read in chunk]), done

    for images, done in in_parallel(work, chunks):
        for key, number in done.items():
            counts[key] += number
        yield images


def decode(name: str, content: bytes, config: DataConfig, done: Counter[str]) -> np.ndarray:
    """One image, (C, H, W) uint8; `done` counts "converted", "rotated" (by its EXIF tag), "cropped" and "resized".

    Errors: `UserError`, naming the file, for an image that is corrupt, animated, of more than 8 bits, of a colour mode
    that cannot be kept, too small, or absurdly large.
    """
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            _refuse(name, image, config)
            if image.getexif().get(ORIENTATION, 1) != 1:
                image = ImageOps.exif_transpose(image)
                done["rotated"] += 1
            pixels = np.asarray(fit(name, _coloured(name, image, config, done), config, done))
    except UserError:
        raise
    except Exception as problem:    # Pillow's parsers raise whatever they come upon
        raise UserError(f"{name}: no readable image ({' '.join(str(problem).split())}); mend it or take it out") from None
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def fit(name: str, image: Image.Image, config: DataConfig, done: Counter[str]) -> Image.Image:
    """The image at the dataset's resolution, by `resize_rule`. Errors: `UserError` for an image that is too small."""
    side = config.resolution
    width, height = image.size
    if min(width, height) < side:
        raise UserError(f"{name}: {width} x {height}, smaller than {side} x {side}, and images are never enlarged; take it out or lower datasets.<name>.data.resolution")
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
    """What `fit` does, in the manifest's words."""
    first = "centre crop to the short side, then " if config.fit == "crop" else "both sides, whatever their ratio, by "
    return f"{first}Pillow {PIL.__version__} LANCZOS (antialiased, on uint8) to {config.resolution} x {config.resolution}"


def _refuse(name: str, image: Image.Image, config: DataConfig) -> None:
    """Refuse, before any pixel is decoded, what Pillow would reduce to 8-bit RGB without a word."""
    width, height = image.size
    if width * height > Image.MAX_IMAGE_PIXELS:
        raise UserError(f"{name}: {width} x {height}, more than the {Image.MAX_IMAGE_PIXELS:,} pixels allowed; shrink it or take it out")
    if getattr(image, "n_frames", 1) > 1:
        raise UserError(f"{name}: animated, or several images in one file ({image.n_frames}); keep one of them or take it out")
    raw = [str(tile.args if isinstance(tile.args, str) else (tile.args or ("",))[0]) for tile in image.tile]
    if image.mode.startswith(("I", "F")) or any(";16" in mode or ";12" in mode for mode in raw):
        raise UserError(f"{name}: more than 8 bits a channel; convert it to 8 bits or take it out")


def _coloured(name: str, image: Image.Image, config: DataConfig, done: Counter[str]) -> Image.Image:
    """The image in the dataset's mode. Errors: `UserError` where that would change a pixel, or is not allowed to be done."""
    mode = "RGB" if config.channels == 3 else "L"
    transparent = image.has_transparency_data
    kind = TRANSPARENT if transparent else KINDS.get(image.mode, f"a {image.mode} image")
    if image.mode == mode and not transparent:
        image.load()
        return image
    if image.mode not in (mode, *LOSSLESS[mode]):
        raise UserError(f"{name}: {kind}, the dataset is {'8-bit RGB' if mode == 'RGB' else '8-bit greyscale (channels: 1)'}; convert it or take it out")
    if config.convert == "refuse":
        raise UserError(f"{name}: {kind}, the dataset is 8-bit {mode}; convert it, take it out, or set datasets.<name>.data.convert to lossless, which keeps every pixel's colour")
    if transparent and image.convert("RGBA").getchannel("A").getextrema() != (255, 255):
        raise UserError(f"{name}: some of its pixels are transparent; put it on a background or take it out")
    done["converted"] += 1
    return image.convert("RGBA").convert(mode) if transparent else image.convert(mode)
