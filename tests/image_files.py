"""Image files, folders and archives of them, small and seeded, for the tests of pipeline.data."""

import io
import tarfile
import zipfile

import numpy as np
from PIL import Image

from pipeline.data.config import DataConfig


def pixels(seed=0, height=8, width=8, channels=3):
    """(H, W, C) uint8, or (H, W) for one channel."""
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(image, format="PNG", **options):
    """Bytes of an image file of an array or Pillow image."""
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, format, **options)
    return buffer.getvalue()


def write_zip(path, members):
    """A zip of (name or ZipInfo) -> bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_tar(path, members):
    """A tar of name -> bytes, compressed as its name ends."""
    kind = path.name.rpartition(".")[2]
    with tarfile.open(path, "w" if kind == "tar" else f"w:{kind}") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def config(source="folder", **changes):
    return DataConfig(**{"source": source, "resolution": 8, "channels": 3} | changes)
