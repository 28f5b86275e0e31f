"""Archives of images: a zip is read in place, a tar is unpacked first. Unsafe members are refused."""

import gzip
import io
import lzma
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pipeline.base.errors import UserError
from pipeline.base.files import printable

MAX_FILE = 256 << 20  # bytes of one image file
LARGE = (".mdb", ".zip", ".tar", ".bin")  # files that are no image and may have more than MAX_FILE
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
METHOD_NAMES = {9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd", 99: "AES"}
NOT_READ = {b"7z\xbc\xaf": "7z", b"Rar!": "RAR", b"\x28\xb5\x2f\xfd": "Zstandard"}
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")  # gzip, bzip2, xz
UNPACK = "unpack it yourself and name the folder"
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, struct.error)


@dataclass(frozen=True, kw_only=True)
class Zip:
    """An open zip, or a folder in one: its files by their names, with / between folders. Several threads may read."""

    archive: zipfile.ZipFile
    path: Path
    names: list[str]  # as often as they occur
    members: dict[str, zipfile.ZipInfo]

    def read(self, name: str) -> bytes:
        """The bytes of a file. Errors: `UserError` for a damaged member."""
        content = io.BytesIO()
        self.copy(name, content)
        return content.getvalue()

    def copy(self, name: str, target: BinaryIO) -> None:
        """Unpack a file into an open one. Errors: `UserError` for a damaged member, `OSError` of the target."""
        with _undamaged(f"{self.path}: member {name!r} is damaged"), self.archive.open(self.members[name]) as file:
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


def open_source(path: Path, scratch: Path, stack: ExitStack) -> Path | Zip:
    """What `path` means: a folder, that of an unpacked tar, or a zip whose members are safe, which `stack` closes.

    A tar is unpacked into `scratch`; `path` may be a folder inside an archive.
    Errors: `UserError` where there is neither, no such folder in an archive, an archive of another kind or a damaged
    one, and for members that would leave the archive's folder, are links (in a tar: to a file outside of it), are
    encrypted, or unpack to too many bytes.
    """
    file, inside = split_inside(path)
    if path.is_dir():
        return path
    if not file.is_file():
        raise UserError(f"{printable(file)}: neither a file nor a folder")
    try:
        if not is_tar(file):
            return _open_zip(file, inside, stack)
        unpack_tar(file, scratch)
    except OSError as problem:
        raise UserError(f"{printable(file)}: could not be read ({problem.strerror or problem})") from None
    if not (scratch / inside).is_dir():
        raise _no_folder(file, inside, (found.name for found in scratch.iterdir() if found.is_dir()))
    return scratch / inside


def is_tar(path: Path) -> bool:
    """Whether a file is a tar, compressed or not, and no zip. Errors: `UserError` where it is neither."""
    with open(path, "rb") as file:
        head = file.read(8)
    for magic, kind in NOT_READ.items():
        if head.startswith(magic):
            raise UserError(f"{printable(path)}: a {kind} archive, which is not read; {UNPACK}")
    if head.startswith(b"PK") or not head:
        return False
    if head.startswith(COMPRESSED) or tarfile.is_tarfile(path):
        return True
    if not zipfile.is_zipfile(path):
        raise UserError(f"{printable(path)}: neither a folder nor a zip or tar; name the folder of the images")
    return False


def unpack_tar(path: Path, folder: Path) -> None:
    """Errors: `UserError` where it is damaged, or has members that tarfile's data filter refuses; `OSError`."""
    with _undamaged(f"{path}: cannot be unpacked"), tarfile.open(path) as archive:
        archive.extractall(folder, filter="data")


def _open_zip(path: Path, inside: str, stack: ExitStack) -> Zip:
    with _undamaged(f"{path}: no complete zip archive"):
        archive = stack.enter_context(zipfile.ZipFile(path))
    opened, folders = Zip(archive=archive, path=path, names=[], members={}), set[str]()
    for member in archive.infolist():
        if member.is_dir() or member.filename.endswith("\\"):
            continue
        name = PurePosixPath(member.filename.replace("\\", "/"))  # as a program of Windows means it that wrote \
        if refusal := _refusal(member, name):
            raise UserError(f"{path}: member {member.filename!r} {refusal}")
        folders.update(name.parts[:-1][:1])
        if name.is_relative_to(inside):
            opened.names.append(below := name.relative_to(inside).as_posix())
            opened.members[below] = member
    if inside and not opened.names:
        raise _no_folder(path, inside, folders)
    return opened


def _refusal(member: zipfile.ZipInfo, name: PurePosixPath) -> str:
    """Why a member of a zip cannot be used; "" where it can."""
    method = member.compress_type
    if name.is_absolute() or ".." in name.parts or re.match("[A-Za-z]:", member.filename):
        return "would leave the archive's folder; pack it again with plain relative names"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a link; pack the files themselves"
    if member.flag_bits & 1:
        return "is encrypted; pack it again without a password"
    if method not in ZIP_METHODS:
        packed = f"{METHOD_NAMES.get(method, 'compression')} (method {method})"
        return f"is packed by {packed}, which Python does not read; {UNPACK}, or pack it again as plain deflate"
    if member.file_size > MAX_FILE and name.suffix not in LARGE:
        return f"unpacks to {member.file_size:,} bytes, more than the {MAX_FILE:,} allowed for an image; take it out"
    return ""


def _no_folder(path: Path, inside: str, folders: Iterable[str]) -> UserError:
    listed = ", ".join(sorted(folders)[:5]) or "no folders"
    return UserError(f"{printable(path)}: holds no folder {inside!r}; it has {listed}")


@contextmanager
def _undamaged(failure: str) -> Iterator[None]:
    """Turn what the libraries raise for damaged archives into a `UserError`."""
    try:
        yield
    except (*DAMAGE, EOFError, ValueError, RuntimeError, LookupError) as problem:
        reason = " ".join(str(problem).split())
        raise UserError(f"{failure} ({reason}); fetch or pack it again") from None
