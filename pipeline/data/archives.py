"""Zip archives of images, read in place. Unsafe archives are refused before anything is unpacked."""

import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pipeline.base.errors import UserError

MAX_FILE = 256 << 20  # bytes of one image file
MAX_RATIO = 50  # unpacked bytes per packed byte; images hardly compress, so more is a sign of a zip bomb
RATIO_CHECKED_ABOVE = 1 << 30  # unpacked bytes; smaller archives may have any ratio


def split_inside(path: Path) -> tuple[Path, str]:
    """Split `photos.zip/train` into (photos.zip, "train"): the file, and the folder inside it ("" if there is none)."""
    for parent in (path, *path.parents):
        if parent.is_file():
            return parent, path.relative_to(parent).as_posix() if parent != path else ""
    return path, ""


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open an archive after all its members were found safe.

    Errors: `UserError` where the file is no complete zip, and for members that would leave the archive's folder, are
    links, are encrypted, or unpack to too many bytes.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as problem:
        raise UserError(f"{path}: no complete zip archive ({problem}); fetch or pack it again") from None
    except OSError as problem:
        raise UserError(f"{path}: could not be read ({problem.strerror or problem})") from None
    try:
        _refuse(path, archive.infolist())
    except UserError:
        archive.close()
        raise
    return archive


def _refuse(path: Path, members: list[zipfile.ZipInfo]) -> None:
    for member in members:
        name = PurePosixPath(member.filename)
        if (
            name.is_absolute()
            or ".." in name.parts
            or "\\" in member.orig_filename
            or re.match("[A-Za-z]:", member.filename)
        ):
            raise UserError(
                f"{path}: member {member.filename!r} would leave the archive's folder; "
                "pack it again with plain relative names"
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise UserError(f"{path}: member {member.filename!r} is a link; pack the files themselves")
        if member.flag_bits & 1:
            raise UserError(f"{path}: member {member.filename!r} is encrypted; pack it again without a password")
        if member.file_size > MAX_FILE and not name.suffix == ".mdb":
            raise UserError(
                f"{path}: member {member.filename!r} unpacks to {member.file_size:,} bytes, "
                f"more than the {MAX_FILE:,} allowed for an image; take it out"
            )
    total, size = sum(member.file_size for member in members), path.stat().st_size
    if total > RATIO_CHECKED_ABOVE and total > MAX_RATIO * size:
        raise UserError(
            f"{path}: unpacks to {total:,} bytes, {total // size} times its size, more than the {MAX_RATIO} times "
            "allowed; images do not compress so well: unpack it yourself and point at the folder"
        )


def member_reader(path: Path, archive: zipfile.ZipFile) -> Callable[[str], bytes]:
    """A function from a member's name to its bytes. Several threads may call it.

    It unpacks no more than the size that the member declares. Errors of a call: `UserError` for a damaged member.
    """

    def read(name: str) -> bytes:
        with _damage(path, name), archive.open(name) as file:
            return file.read()

    return read


def copy_member(path: Path, archive: zipfile.ZipFile, name: str, target: BinaryIO) -> None:
    """Unpack one member into an open file.

    Errors: `UserError` where the archive is damaged, `OSError` where the target cannot be written.
    """
    with archive.open(name) as file:
        while True:
            with _damage(path, name):
                block = file.read(1 << 20)
            if not block:
                return
            target.write(block)


@contextmanager
def _damage(path: Path, name: str) -> Iterator[None]:
    """Turn the exceptions of zipfile for damaged members into a `UserError`."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as problem:
        raise UserError(f"{path}: member {name!r} is damaged ({problem}); fetch or pack the archive again") from None
