"""Zip and tar archives of images, read in place. Unsafe archives are refused before anything is unpacked."""

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO

from pipeline.base.errors import UserError
from pipeline.base.files import printable

MAX_FILE = 256 << 20  # bytes of one image file
MAX_RATIO = 50  # unpacked bytes per packed byte; images hardly compress, so more is a sign of a zip bomb
RATIO_CHECKED_ABOVE = 1 << 30  # unpacked bytes; smaller archives may have any ratio
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
METHOD_NAMES = {9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "AES"}
COMPRESSED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
NOT_READ = {b"7z\xbc\xaf": "7z", b"Rar!": "RAR", b"\x28\xb5\x2f\xfd": "Zstandard"}
UNPACK = "unpack it yourself and name the folder"


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An open archive: the names of its files, with / between folders, and their bytes."""

    path: Path
    names: list[str]  # as often as they occur
    open: Callable[[str], IO[bytes] | io.RawIOBase]

    def read(self, name: str) -> bytes:
        """The bytes of a file; several threads may call this. Errors: `UserError` for a damaged member."""
        with _damage(self.path, name), self.open(name) as file:
            return file.read() or b""

    def copy(self, name: str, target: BinaryIO) -> None:
        """Unpack a file into an open one. Errors: `UserError` for a damaged member, `OSError` of the target."""
        with self.open(name) as file:
            while True:
                with _damage(self.path, name):
                    block = file.read(1 << 20)
                if not block:
                    return
                target.write(block)


def split_inside(path: Path) -> tuple[Path, str]:
    """Split `photos.zip/train` into (photos.zip, "train"): the file, and the folder inside it ("" if there is none).

    Errors: `UserError` for a path that the system cannot look up: too long, or in a folder that may not be entered.
    """
    try:
        for parent in (path, *path.parents):
            if parent.is_file():
                return parent, path.relative_to(parent).as_posix() if parent != path else ""
        return path, ""
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise UserError(f"{_short(path)}: cannot be looked up ({reason})") from None


def open_archive(path: Path, scratch: Path, stack: ExitStack) -> Archive:
    """Open a zip or tar after all its members were found safe. `stack` closes it.

    A compressed tar is decompressed into `scratch` first, for its members are read in any order.
    Errors: `UserError` where the file is no complete archive of a kind that is read, and for members that would leave
    the archive's folder, are links, are encrypted, or unpack to too many bytes.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(512)
        for magic, kind in NOT_READ.items():
            if head.startswith(magic):
                raise UserError(f"{printable(path)}: a {kind} archive, which is not read; {UNPACK}")
        if any(head.startswith(magic) for magic in COMPRESSED) or (head[:2] != b"PK" and tarfile.is_tarfile(path)):
            return _open_tar(path, head, scratch, stack)
        if head and not zipfile.is_zipfile(path) and head[:2] != b"PK":
            raise UserError(f"{printable(path)}: neither a folder nor a zip or tar; name the folder of the images")
        return _open_zip(path, stack)
    except OSError as problem:
        raise UserError(f"{printable(path)}: could not be read ({problem.strerror or problem})") from None


def _open_zip(path: Path, stack: ExitStack) -> Archive:
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except NotImplementedError as problem:
        raise UserError(f"{path}: packed in a way that Python does not read ({problem}); {UNPACK}") from None
    except (zipfile.BadZipFile, ValueError, struct.error) as problem:
        raise UserError(f"{path}: no complete zip archive ({problem}); fetch or pack it again") from None
    names, members = [], {}
    for member in archive.infolist():
        name = _safe_name(path, member.filename)
        where = f"{path}: member {member.filename!r}"
        if member.is_dir() or member.filename.endswith("\\"):
            continue
        if stat.S_ISLNK(member.external_attr >> 16):
            raise UserError(f"{where} is a link; pack the files themselves")
        if member.flag_bits & 1:
            raise UserError(f"{where} is encrypted; pack it again without a password")
        if member.compress_type not in ZIP_METHODS:
            method = METHOD_NAMES.get(member.compress_type, "compression")
            raise UserError(
                f"{where} is packed by {method} (method {member.compress_type}), which Python does not read; "
                f"{UNPACK}, or pack it again as plain deflate"
            )
        _check_size(path, name, member.file_size)
        names.append(name)
        members[name] = member
    _check_ratio(path, sum(member.file_size for member in members.values()))
    return Archive(path=path, names=names, open=lambda name: archive.open(members[name]))


def _open_tar(path: Path, head: bytes, scratch: Path, stack: ExitStack) -> Archive:
    plain = path
    opener = next((opener for magic, opener in COMPRESSED.items() if head.startswith(magic)), None)
    if opener is not None:
        plain = scratch / "archive.tar"
        with opener(path) as packed, open(plain, "wb") as target:
            while True:
                try:
                    block = packed.read(1 << 20)
                except (OSError, EOFError, zlib.error, lzma.LZMAError) as problem:
                    raise UserError(f"{path}: no complete archive ({problem}); fetch or pack it again") from None
                if not block:
                    break
                target.write(block)
                _check_ratio(path, target.tell())
    names, members = [], {}
    try:
        with tarfile.open(plain, "r:") as archive:
            for member in archive:
                name = _safe_name(path, member.name)
                if member.isdir():
                    continue
                if not member.isreg() or member.issparse():
                    kind = "a link" if member.issym() or member.islnk() else "no plain file"
                    raise UserError(f"{path}: member {member.name!r} is {kind}; pack the files themselves")
                _check_size(path, name, member.size)
                names.append(name)
                members[name] = member
    except (tarfile.TarError, EOFError) as problem:
        raise UserError(f"{path}: no complete tar archive ({problem}); fetch or pack it again") from None
    descriptor = os.open(plain, os.O_RDONLY)
    stack.callback(os.close, descriptor)
    return Archive(
        path=path,
        names=names,
        open=lambda name: _Slice(descriptor, members[name].offset_data, members[name].size),
    )


class _Slice(io.RawIOBase):
    """Bytes of an open file from one position on. Threads may read several slices of one file at a time."""

    def __init__(self, descriptor: int, start: int, size: int):
        self.descriptor, self.at, self.end = descriptor, start, start + size

    def read(self, size: int | None = -1, /) -> bytes:
        left = self.end - self.at
        content = os.pread(self.descriptor, left if size is None or size < 0 else min(size, left), self.at)
        self.at += len(content)
        return content


def _safe_name(path: Path, name: str) -> str:
    """A member's name with / between folders, as also a program of Windows means it that wrote \\."""
    normal = PurePosixPath(name.replace("\\", "/"))
    if normal.is_absolute() or ".." in normal.parts or re.match("[A-Za-z]:", name):
        raise UserError(
            f"{path}: member {name!r} would leave the archive's folder; pack it again with plain relative names"
        )
    return str(normal)


def _check_size(path: Path, name: str, size: int) -> None:
    if size > MAX_FILE and not name.endswith((".mdb", ".zip", ".tar", ".bin")):
        raise UserError(
            f"{path}: member {name!r} unpacks to {size:,} bytes, "
            f"more than the {MAX_FILE:,} allowed for an image; take it out"
        )


def _check_ratio(path: Path, total: int) -> None:
    size = path.stat().st_size
    if total > RATIO_CHECKED_ABOVE and total > MAX_RATIO * size:
        raise UserError(
            f"{path}: unpacks to {total:,} bytes, {total // size} times its size, more than the {MAX_RATIO} times "
            f"allowed; images do not compress so well: {UNPACK}"
        )


def _short(path: Path) -> str:
    text = printable(path)
    return text if len(text) <= 300 else f"{text[:100]}...{text[-100:]}"


@contextmanager
def _damage(path: Path, name: str) -> Iterator[None]:
    """Turn the exceptions of zipfile for damaged members into a `UserError`."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, OSError) as p:
        raise UserError(f"{path}: member {name!r} is damaged ({p}); fetch or pack the archive again") from None
