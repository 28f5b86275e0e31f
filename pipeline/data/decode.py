"""Image files to pixels at the dataset's resolution, in parallel. Images that would lose information are refused."""

import re
import sys
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import suppress
from io import BytesIO
from itertools import islice

import numpy as np
import PIL
import PIL.ImageFile
from PIL import Image, UnidentifiedImageError, features

from pipeline.base.errors import UserError
from pipeline.base.files import printable
from pipeline.base.machine import in_parallel
from pipeline.data.array import Split, in_chunks
from pipeline.data.config import DataConfig
from pipeline.data.image_folder import ImageFile

Image.init()  # load all formats now: Pillow loads them on first use, which is not safe in several threads
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
CHUNK = 32  # images that one task decodes
ORIENTATION = 0x0112  # the EXIF tag that cameras write: 1 is upright, 2 to 8 are turned, others mean nothing
# What turns an image upright whose tag is 2, 3, ... 8.
TURNS = ("FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE", "ROTATE_270", "TRANSVERSE", "ROTATE_90")
LIBRARY = f"Pillow {PIL.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}"
KINDS = {"RGB": "an RGB image", "RGBA": "an RGBA image", "P": "a palette image"}
LOSSLESS = ("1", "L", "P", "LA", "PA", "RGB", "RGBA")  # Pillow's modes whose pixels can keep their colour
# What a file is that has an image's name and is none that is read: a pattern of its first bytes.
OTHER_FORMATS = {
    rb"....ftyp(heic|heix|hevc|heim|mif1|msf1)": "a HEIC image",
    rb"....ftypavi[fs]": "an AVIF image",
    rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head)": "a web page (HTML)",
    rb"(\xef\xbb\xbf)?\s*<(\?xml|svg)": "an XML or SVG file",
    rb"version https://git-lfs": "a pointer of Git LFS, whose file was not fetched",
    rb"\0*$": "an empty file, or nothing but zeros",
}


class RefusedImage(UserError):
    """An image that cannot be used. `kind` is the same for all images of one reason."""

    def __init__(self, name: str, kind: str, advice: str = "convert it or take it out", *, facts: object = ""):
        super().__init__(f"{printable(name)}: {kind}{f' ({facts})' if facts else ''}; {advice}")
        self.kind = kind


def decode_files(
    files: Iterable[ImageFile], config: DataConfig, counts: Counter[str]
) -> Generator[np.ndarray, None, list[UserError]]:
    """Yield (k, C, H, W) uint8: of every CHUNK files the images that can be used. Returns why the others cannot be.

    `counts` adds up how many images `decode` had to change. With `on_error: refuse` the files after the first bad one
    are looked at, for the list of bad ones, and not given back.
    """

    def work(chunk: list[ImageFile]) -> tuple[list[np.ndarray], list[UserError], Counter[str]]:
        done: Counter[str] = Counter()
        images, bad = [], []
        for file in chunk:
            try:
                images.append(decode(file.name, file.read(), config, done))
            except UserError as problem:
                bad.append(problem)
        return images, bad, done

    remaining, refused = iter(files), list[UserError]()
    for images, bad, done in in_parallel(work, iter(lambda: list(islice(remaining, CHUNK)), [])):
        counts.update(done)
        if bad and not refused and config.on_error == "refuse":
            print(f"{bad[0]}; the other images are looked at as well", file=sys.stderr, flush=True)
        refused += bad
        if images and (config.on_error == "skip" or not refused):
            yield np.stack(images)
    return refused


def decode(name: str, content: bytes, config: DataConfig, done: Counter[str]) -> np.ndarray:
    """One image, (C, H, W) uint8.

    `done` counts "converted", "rotated" (by the EXIF tag), "first_of_several" (of the pictures of a phone's MPO),
    "cropped" and "resized". Metadata that cannot be read say nothing of the pixels and are ignored.
    Errors: `RefusedImage`, naming the file, for an image that is corrupt, animated, of more than 8 bits, of a colour
    mode that cannot be kept, too small, or absurdly large.
    """
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as opened:
            _refuse(name, opened, config, done)
            pixels = np.asarray(fit(_coloured(name, _upright(opened, done), config, done), config, done))
    except RefusedImage:
        raise
    except Exception as problem:  # Pillow's parsers raise many kinds of exceptions for damaged files
        if (bare := _without_metadata(content)) is not None:
            return decode(name, bare, config, done)
        kind, advice = "no readable image", "convert or repair it, or take it out"
        reason = " ".join(str(problem).split()) or type(problem).__name__
        if isinstance(problem, UnidentifiedImageError):
            flags, head = re.DOTALL | re.IGNORECASE, content[:256]
            others = (other for pattern, other in OTHER_FORMATS.items() if re.match(pattern, head, flags))
            kind, reason = f"{kind}: {next(others, 'of an unknown format')}", ""
            advice = f"allowed: {', '.join(FORMATS)}; {advice}"
        raise RefusedImage(name, kind, advice, facts=reason) from None
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def fit(image: Image.Image, config: DataConfig, done: Counter[str]) -> Image.Image:
    """Crop and resize to the dataset's resolution (see `resize_rule`)."""
    side, short, (width, height) = config.resolution, min(image.size), image.size
    if config.fit == "crop" and width != height:
        left, top = (width - short) // 2, (height - short) // 2
        image = image.crop((left, top, left + short, top + short))
        done["cropped"] += 1
    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.LANCZOS)
        done["resized"] += 1
    return image


def fit_array(array: np.ndarray, config: DataConfig) -> np.ndarray | Split:
    """Images (N, C, H, W) at `config.resolution`, resized in parallel where they have another one."""
    side = config.resolution
    if array.shape[2:] == (side, side):
        return array

    def work(chunk: np.ndarray) -> np.ndarray:
        images = (Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))) for image in chunk)
        return np.stack([np.asarray(fit(image, config, Counter())).transpose(2, 0, 1) for image in images])

    return Split(shape=(*array.shape[:2], side, side), chunks=lambda: in_parallel(work, in_chunks(array)))


def resize_rule(config: DataConfig) -> str:
    """The text of the manifest on how `fit` crops and resizes."""
    first = "centre crop to the short side, then" if config.fit == "crop" else "both sides, whatever their ratio, by"
    size = f"{config.resolution} x {config.resolution}"
    return f"{first} Pillow {PIL.__version__} LANCZOS (antialiased, on uint8) to {size}"


def _refuse(name: str, image: PIL.ImageFile.ImageFile, config: DataConfig, done: Counter[str]) -> None:
    """Refuse images that Pillow would reduce to one 8-bit frame without a warning. No pixel is decoded for this."""
    width, height = image.size
    side, limit, size = config.resolution, Image.MAX_IMAGE_PIXELS, f"{width} x {height}"
    if limit is not None and width * height > limit:
        raise RefusedImage(name, f"more than the {limit:,} pixels allowed", "shrink it or take it out", facts=size)
    if min(width, height) < side:
        kind = f"smaller than {side} x {side}, and images are never enlarged"
        raise RefusedImage(name, kind, "take it out or lower data.resolution", facts=size)
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format == "MPO":  # phones put a depth map or another exposure behind the photograph
        done["first_of_several"] += 1
    elif frames > 1:
        kind = "animated, or several images in one file"
        raise RefusedImage(name, kind, "keep one of them or take it out", facts=frames)
    # A BMP's 16 bits are a pixel's, not a channel's.
    deep = image.format != "BMP" and re.search(";1[26]", str([tile.args for tile in image.tile]))
    if image.mode.startswith(("I", "F")) or deep:
        raise RefusedImage(name, "more than 8 bits a channel", "convert it to 8 bits or take it out")


def _upright(image: Image.Image, done: Counter[str]) -> Image.Image:
    """Turned as its EXIF tag says. `ImageOps.exif_transpose` also writes the metadata anew, and fails on odd ones."""
    orientation = 1
    with suppress(Exception):  # Pillow's parsers raise many kinds of exceptions for damaged metadata
        orientation = int(image.getexif().get(ORIENTATION, 1))
    if not 2 <= orientation <= 8:
        return image
    done["rotated"] += 1
    return image.transpose(Image.Transpose[TURNS[orientation - 2]])


def _without_metadata(content: bytes) -> bytes | None:
    """A PNG with the chunks alone that say something of its pixels; None for other files, and where that is all.

    Pillow reads text and profiles before it reads pixels, and gives up where they are damaged.
    """
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    kept, at = [content[:8]], 8
    while at + 12 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        if content[at + 4 : at + 8] in (b"IHDR", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"IDAT", b"IEND"):
            kept.append(content[at:end])
        at = end
    bare = b"".join(kept)
    return bare if len(bare) < len(content) else None


def _coloured(name: str, image: Image.Image, config: DataConfig, done: Counter[str]) -> Image.Image:
    """The image in the dataset's colour mode. Errors: `RefusedImage` where a conversion would change a colour."""
    mode, dataset = ("RGB", "8-bit RGB") if config.channels == 3 else ("L", "8-bit greyscale (channels: 1)")
    kind = KINDS.get(image.mode, f"a {image.mode} image")
    if image.mode == mode and not image.has_transparency_data:
        return image
    if image.mode not in LOSSLESS:
        raise RefusedImage(name, f"{kind}, the dataset is {dataset}")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise RefusedImage(name, "some of its pixels are transparent", "put it on a background or take it out")
    if mode == "L":
        rgb = np.asarray(image.convert("RGB"))
        if (rgb != rgb[..., :1]).any():
            raise RefusedImage(name, f"{kind} with colours, the dataset is {dataset}")
        image = Image.fromarray(np.ascontiguousarray(rgb[..., 0]))
    done["converted"] += 1
    return image.convert(mode)
