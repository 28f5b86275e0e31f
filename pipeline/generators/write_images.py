"""Images as files: one picture, single PNGs in a folder or zip, an array, a video. All whole or not at all."""

import io
import math
import os
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
from PIL import Image

from pipeline.base.errors import UserError
from pipeline.base.files import atomic_write, check_output
from pipeline.base.images import tile

Layout = tuple[int | None, int | None]  # images per row, enlargement; None: chosen
MOST_ARRAY = 8 * 2**30  # bytes of an array that is held in memory at once
SHOWN = 32  # pixels a side that a small image is enlarged to


def grid(images: np.ndarray, layout: Layout) -> np.ndarray:
    """uint8 (N, H, W, C) -> one picture (H', W', C)."""
    columns, scale = layout
    columns = columns or math.ceil(math.sqrt(len(images)))
    return tile(images.transpose(0, 3, 1, 2), columns, scale=scale or max(1, SHOWN // images.shape[1]))


def write_grid(path: Path, images: Iterable[np.ndarray], layout: Layout) -> None:
    """Images (H, W, C) uint8 side by side as one PNG."""
    picture = grid(np.stack(list(images)), layout)
    with atomic_write(path) as temporary:
        Image.fromarray(picture.squeeze()).save(temporary)


def write_array(path: Path, images: Iterable[np.ndarray]) -> None:
    """`arr_0` (N, H, W, C) uint8 in an .npz file, the layout that evaluators of diffusion models read.

    Errors: `UserError` for more images than MOST_ARRAY.
    """
    drawn: list[np.ndarray] = []
    for image in images:
        drawn.append(image)
        if len(drawn) * image.nbytes > MOST_ARRAY:
            raise UserError(f"{path}: more than {MOST_ARRAY >> 30} GiB; write a folder or a .zip instead")
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, np.stack(drawn))


def write_folder(path: Path, images: Iterable[np.ndarray], names: Sequence[str]) -> None:
    """A PNG per image in the new folder `path`, which appears when it is complete.

    Errors: `UserError` for a folder that holds something: images of two kinds in one folder would be measured as one.
    """
    check_output(path, option="--out", folder=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        folder = Path(scratch) / "images"
        folder.mkdir()
        for name, image in zip(names, images, strict=True):
            (folder / name).write_bytes(png(image))
        os.replace(folder, path)


def write_zip(path: Path, images: Iterable[np.ndarray], names: Sequence[str]) -> None:
    """A PNG per image in a zip file without compression; the same images give the same bytes."""
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, image in zip(names, images, strict=True):
            archive.writestr(zipfile.ZipInfo(name), png(image))  # with the date that has no meaning, 1980


def png(image: np.ndarray) -> bytes:
    """The PNG file of an image (H, W, C) uint8, C being 1 or 3."""
    buffer = io.BytesIO()
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(buffer, format="png")
    return buffer.getvalue()


def write_video(path: Path, frames: np.ndarray, layout: Layout, *, fps: int) -> None:
    """Frames (F, N, H, W, C) uint8, each a grid of N images, as a .gif that repeats or an .mp4.

    Errors: as `check_mp4`.
    """
    check_mp4(path)
    pictures = np.stack([grid(images, layout) for images in frames])
    if pictures.shape[-1] == 1:
        pictures = pictures.repeat(3, axis=-1)
    if path.suffix.lower() == ".gif":
        first, *rest = map(Image.fromarray, pictures)
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            first.save(file, format="gif", save_all=True, append_images=rest, duration=round(1000 / fps), loop=0)
        return
    odd = [(0, size % 2) for size in pictures.shape[1:3]]  # the codec halves both sides
    pictures = np.pad(pictures, ((0, 0), *odd, (0, 0)), mode="edge")
    with atomic_write(path) as temporary:
        imageio.imwrite(temporary, pictures, extension=".mp4", fps=fps, macro_block_size=2)


def check_mp4(path: Path) -> None:
    """Errors: `UserError` for an .mp4 where the package imageio-ffmpeg is missing."""
    if path.suffix.lower() == ".mp4" and find_spec("imageio_ffmpeg") is None:
        raise UserError(f"{path}: .mp4 needs the package imageio-ffmpeg (pip install imageio-ffmpeg); or write a .gif")
