"""Zip and tar archives of images, read in place. Unsafe archives are refused before anything is unpacked."""

import bz2
import gzip
import io
import lzma
import re
import shutil
import stat
import struct
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, cast

from pipeline.base.errors import UserError
from pipeline.base.files import printable

MAX_FILE = 256 << 20  # bytes of one image file
MAX_RATIO = 50  # unpacked bytes per packed byte; images hardly compress, so more is a sign of a zip bomb
RATIO_CHECKED_ABOVE = 1 << 30  # unpacked bytes; smaller archives may have any ratio
LARGE = (".mdb", ".zip", ".tar", ".bin")  # files that are no image and may have more than MAX_FILE
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
METHOD_NAMES = {9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "AES"}
COMPRESSED: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
NOT_READ = {b"7z\xbc\xaf": "7z", b"Rar!": "RAR", b"\x28\xb5\x2f\xfd": "Zstandard"}
UNPACK = "unpack it yourself and name the folder"
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, struct.error)
Member = tuple[str, int, str, Callable[[], IO[bytes]]]  # name, bytes, why it is refused ("": it is not), opens it


@dataclass(frozen=True, kw_only=True)
class Archive:
    """An open archive, or a folder in one: the names of its files, with / between folders, and their bytes."""

    path: Path
    names: list[str]  # as often as they occur
    members: dict[str, Callable[[], IO[bytes]]]
    lock: AbstractContextManager[Any]  # held while a file is read

    def read(self, name: str) -> bytes:
        """The bytes of a file; several threads may call this. Errors: `UserError` for a damaged member."""
        content = io.BytesIO()
        self.copy(name, content)
        return content.getvalue()

    def copy(self, name: str, target: BinaryIO) -> None:
        """Unpack a file into an open one. Errors: `UserError` for a damaged member, `OSError` of the target."""
        with _complete(f"{self.path}: member {name!r} is damaged"), self.lock, self.members[name]() as file:
            shutil.copyfileobj(file, target, 1 << 20)


def split_inside(path: Path) -> tuple[Path, str]:
    """Split `photos.zip/train` into (photos.zip, "train"): the file, and the folder inside it ("" if there is none).

    Errors: `UserError` for a path that the system cannot look up: too long, or in a folder that may not be entered.
    """
    try:
        file = next((parent for parent in (path, *path.parents) if parent.is_file()), path)
    except (OSError, ValueError) as problem:
        name, reason = printable(path), problem.strerror if isinstance(problem, OSError) else problem
        name = name if len(name) <= 300 else f"{name[:100]}...{name[-100:]}"
        raise UserError(f"{name}: cannot be looked up ({reason})") from None
    return file, path.relative_to(file).as_posix() if file != path else ""


def open_archive(path: Path, scratch: Path, stack: ExitStack) -> Archive:
    """Open a zip or tar, or a folder inside one, after all members were found safe. `stack` closes it.

    A compressed tar is decompressed into `scratch` first, for its members are read in any order.
    Errors: `UserError` where the file is no complete archive of a kind that is read, has no such folder, and for
    members that would leave the archive's folder, are links, are encrypted, or unpack to too many bytes.
    """
    file, inside = split_inside(path)
    if not file.is_file():
        raise UserError(f"{printable(file)}: neither a file nor a folder")
    try:
        with open(file, "rb") as opened:
            head = opened.read(8)
        if kind := next((kind for magic, kind in NOT_READ.items() if head.startswith(magic)), None):
            raise UserError(f"{printable(file)}: a {kind} archive, which is not read; {UNPACK}")
        if head.startswith(tuple(COMPRESSED)) or (not head.startswith(b"PK") and tarfile.is_tarfile(file)):
            with _complete(f"{file}: no complete tar archive"):
                plain = _decompressed(file, head, scratch)
                members = _tar_members(stack.enter_context(tarfile.TarFile(plain)))
                return _checked(file, inside, members, threading.Lock())
        if head and not head.startswith(b"PK") and not zipfile.is_zipfile(file):
            raise UserError(f"{printable(file)}: neither a folder nor a zip or tar; name the folder of the images")
        with _complete(f"{file}: no complete zip archive"):
            return _checked(file, inside, _zip_members(stack.enter_context(zipfile.ZipFile(file))), nullcontext())
    except OSError as problem:
        raise UserError(f"{printable(file)}: could not be read ({problem.strerror or problem})") from None


def _decompressed(path: Path, head: bytes, scratch: Path) -> Path:
    opens = next((opens for magic, opens in COMPRESSED.items() if head.startswith(magic)), None)
    if opens is None:
        return path
    with opens(path) as packed, open(scratch / "archive.tar", "wb") as target:
        while block := packed.read(1 << 20):
            target.write(block)
            _check_ratio(path, target.tell())
    return scratch / "archive.tar"


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    for member in archive.infolist():
        refusal, method = "", member.compress_type
        if stat.S_ISLNK(member.external_attr >> 16):
            refusal = "is a link; pack the files themselves"
        elif member.flag_bits & 1:
            refusal = "is encrypted; pack it again without a password"
        elif method not in ZIP_METHODS:
            name = f"{METHOD_NAMES.get(method, 'compression')} (method {method})"
            refusal = f"is packed by {name}, which Python does not read; {UNPACK}, or pack it again as plain deflate"
        if not member.is_dir() and not member.filename.endswith("\\"):
            yield member.filename, member.file_size, refusal, partial(archive.open, member)


def _tar_members(archive: tarfile.TarFile) -> Iterator[Member]:
    extract = cast(Callable[[tarfile.TarInfo], IO[bytes]], archive.extractfile)
    for member in archive:
        refusal = "" if member.isreg() and not member.issparse() else "is no plain file; pack the files themselves"
        if member.issym() or member.islnk():
            refusal = "is a link; pack the files themselves"
        if not member.isdir():
            yield member.name, member.size, refusal, partial(extract, member)


def _checked(path: Path, inside: str, members: Iterable[Member], lock: AbstractContextManager[Any]) -> Archive:
    archive = Archive(path=path, names=[], members={}, lock=lock)
    total, folders = 0, set[str]()
    for name, size, refusal, opens in members:
        normal = PurePosixPath(name.replace("\\", "/"))  # as a program of Windows means it that wrote \
        if normal.is_absolute() or ".." in normal.parts or re.match("[A-Za-z]:", name):
            refusal = "would leave the archive's folder; pack it again with plain relative names"
        elif not refusal and size > MAX_FILE and normal.suffix not in LARGE:
            refusal = f"unpacks to {size:,} bytes, more than the {MAX_FILE:,} allowed for an image; take it out"
        if refusal:
            raise UserError(f"{path}: member {name!r} {refusal}")
        total += size
        folders.update(normal.parts[:-1][:1])
        if normal.is_relative_to(inside):
            archive.names.append(below := normal.relative_to(inside).as_posix())
            archive.members[below] = opens
    _check_ratio(path, total)
    if inside and not archive.names:
        listed = ", ".join(sorted(folders)[:5]) or "no folders"
        raise UserError(f"{printable(path)}: holds no folder {inside!r}; it has {listed}")
    return archive


def _check_ratio(path: Path, total: int) -> None:
    size = path.stat().st_size
    if total > RATIO_CHECKED_ABOVE and total > MAX_RATIO * size:
        raise UserError(
            f"{path}: unpacks to {total:,} bytes, {total // size} times its size, more than the {MAX_RATIO} times "
            f"allowed; images do not compress so well: {UNPACK}"
        )


@contextmanager
def _complete(failure: str) -> Iterator[None]:
    """Turn what the libraries raise for damaged archives into a `UserError`."""
    try:
        yield
    except (*DAMAGE, EOFError, ValueError, RuntimeError) as problem:
        raise UserError(f"{failure} ({problem}); fetch or pack it again") from None
