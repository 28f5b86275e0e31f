"""The image files of a folder, zip, tar or LMDB, in an order that is the same on every machine.

A zip is read in place, a tar is unpacked first. Unsafe members are refused. torchvision's reader of LSUN's databases is
not used: it writes a pickle into the working folder and decodes images one after the other.
"""

import gzip
import lzma
import os
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

import lmdb

from pipeline.base.errors import UserError
from pipeline.base.files import printable

EXTENSIONS = (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
ORDER = "by path below the folder, compared character by character (Unicode code points)"
DATABASE = "data.mdb"
MAX_FILE = 256 << 20  # bytes of one image file
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0")  # gzip, bzip2, xz
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, struct.error)
Files = dict[str, Callable[[], IO[bytes]]]  # names below a folder, with / between folders -> opens the file


class ImageFile(NamedTuple):
    """An image file that is read later, in the thread that decodes it."""

    name: str  # for messages: a whole path, or archive/member
    read: Callable[[], bytes]


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """Image files in the order of the dataset, and what the manifest says of them."""

    files: Iterable[ImageFile]
    number: int
    facts: dict[str, Any]


def find_images(path: Path, scratch: Path, stack: ExitStack) -> ImageFiles:
    """The images under `path`, as for `list_files`; those of a database (data.mdb), where there are no image files.

    Ignored are hidden files and folders (names that begin with a dot, and __MACOSX) and names without an extension of
    EXTENSIONS. Errors: `UserError` as for `list_files`, where there is no image, and for several databases.
    """
    if path.name == DATABASE and path.is_file():
        return _database_images(path, stack)
    members = list_files(path, scratch, stack)
    hidden = re.compile(r"(^|/)(\.|__MACOSX(/|$))")
    kept = sorted(name for name in members if name.lower().endswith(EXTENSIONS) and not hidden.search(name))
    databases = [name for name in members if PurePosixPath(name).name == DATABASE]
    if not kept and not databases:
        raise _no_images(path, members)
    if kept:
        files = [ImageFile(str(path / name), partial(_read, path / name, members[name])) for name in kept]
        facts = {"order": ORDER, "ignored_files": len(members) - len(kept)}
        return ImageFiles(files=files, number=len(files), facts=facts)
    if len(databases) > 1:
        raise UserError(f"{path}: holds {len(databases)} databases named {DATABASE}; name the folder of one of them")
    file = path / databases[0]
    if not path.is_dir():
        damaged, file = _undamaged(f"{path}: {databases[0]} cannot be read"), scratch / DATABASE
        with open(file, "wb") as target, damaged, members[databases[0]]() as packed:
            shutil.copyfileobj(packed, target, 1 << 20)
    return _database_images(file, stack)


def _no_images(path: Path, members: Collection[str]) -> UserError:
    endings = Counter(PurePosixPath(name).suffix.lower() for name in members if PurePosixPath(name).suffix)
    listed = f" ({', '.join(ending for ending, _ in endings.most_common(4))})" if endings else ""
    nested = next((name for name in sorted(members) if name.lower().endswith(ARCHIVES)), None)
    advice = f"unpack {nested} and name that folder" if nested else "name a folder, zip or tar of images"
    return UserError(
        f"{printable(path)}: holds no images ({', '.join(EXTENSIONS)}), {len(members):,} other files{listed}; "
        f"{advice} (data.path of conf/dataset/<name>.yaml)"
    )


def _read(path: Path, opens: Callable[[], IO[bytes]]) -> bytes:
    try:
        with _undamaged(f"{printable(path)}: cannot be read"), opens() as file:
            content = file.read(MAX_FILE + 1)
    except OSError as problem:
        raise UserError(f"{printable(path)}: cannot be read ({problem.strerror or problem}); take it out") from None
    if len(content) > MAX_FILE:
        raise UserError(f"{printable(path)}: more than the {MAX_FILE:,} bytes allowed for an image; take it out")
    return content


def _database_images(file: Path, stack: ExitStack) -> ImageFiles:
    """The images of an LMDB in the order of their keys, to be read once. Errors: `UserError` where it is damaged."""
    try:
        environment = stack.enter_context(lmdb.open(str(file.parent), readonly=True, lock=False, readahead=False))
    except lmdb.Error as problem:
        raise UserError(f"{file}: no readable LMDB database ({problem}); unpack or fetch it again") from None
    # LMDB does not compare the file's size: reading a page beyond the end of the file would kill the process.
    size, needed = file.stat().st_size, (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if size < needed:
        raise UserError(f"{file}: has {size:,} bytes, its database {needed:,}; unpack or fetch it again")

    def images() -> Iterator[ImageFile]:
        try:
            with environment.begin() as transaction:
                for key, value in transaction.cursor():
                    yield ImageFile(f"{file}: {key.decode('utf-8', 'backslashreplace')}", partial(bytes, value))
        except lmdb.Error as problem:
            raise UserError(f"{file}: damaged ({problem}); unpack or fetch it again") from None

    return ImageFiles(files=images(), number=environment.stat()["entries"], facts={"order": "by key"})


def list_files(path: Path, scratch: Path, stack: ExitStack) -> Files:
    """All files below `path`: a folder, a zip or tar, or a folder inside one (photos.zip/train).

    `stack` closes a zip; a tar is unpacked into `scratch`.
    Errors: `OSError` for what cannot be read. `UserError` where there is nothing, for a link to a folder, an archive
    that is damaged or of another kind, and members that would leave the archive's folder, are links (in a tar: out of
    it), or have a name twice.
    """
    file, inside = split_inside(path)
    if path.is_dir():
        return _walk(path)
    if not file.is_file():
        raise UserError(f"{printable(file)}: neither a file nor a folder")
    with open(file, "rb") as opened:
        head = opened.read(8)
    if head.startswith(COMPRESSED) or tarfile.is_tarfile(file):
        unpack_tar(file, scratch / "tar")
        members = _walk(scratch / "tar")
    elif head and not head.startswith(b"PK") and not zipfile.is_zipfile(file):
        raise UserError(f"{printable(file)}: neither a folder nor a zip or tar; unpack another archive yourself")
    else:
        members = _zip_files(file, stack)
    prefix = f"{inside}/" if inside else ""
    below = {name.removeprefix(prefix): opens for name, opens in members.items() if name.startswith(prefix)}
    if inside and not below:
        tops = sorted({name.partition("/")[0] for name in members if "/" in name})[:5]
        raise UserError(f"{printable(file)}: holds no folder {inside!r}; it has {', '.join(tops) or 'no folders'}")
    return below


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


def unpack_tar(path: Path, folder: Path) -> None:
    """Unpack a tar; a backslash in a name parts folders, as a program of Windows means it and as in a zip.

    Errors: `UserError` where it is damaged, or has members that tarfile's data filter refuses; `OSError`.
    """

    def plain(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
        return tarfile.data_filter(member.replace(name=member.name.replace("\\", "/"), deep=False), folder)

    with _undamaged(f"{path}: cannot be unpacked"), tarfile.open(path) as archive:
        archive.extractall(folder, filter=plain)


def _walk(root: Path) -> Files:
    def refuse(problem: OSError) -> None:
        raise problem

    members: Files = {}
    for folder, folders, files in os.walk(root, onerror=refuse):
        if link := next((path for path in (Path(folder, name) for name in folders) if path.is_symlink()), None):
            advice = "put the folder itself there or take the link out"
            raise UserError(f"{printable(link)}: a link to a folder, which is not followed; {advice}")
        for path in (Path(folder, name) for name in files):
            members[path.relative_to(root).as_posix()] = partial(_open, path)
    return members


def _open(path: Path) -> IO[bytes]:
    return open(path, "rb")  # noqa: SIM115


def _zip_files(path: Path, stack: ExitStack) -> Files:
    with _undamaged(f"{path}: no complete zip archive"):
        archive = stack.enter_context(zipfile.ZipFile(path))
    members: Files = {}
    for member in archive.infolist():
        name = PurePosixPath(member.filename.replace("\\", "/"))  # \: of Windows programs
        if member.is_dir() or member.filename.endswith("\\"):
            continue
        outside = name.is_absolute() or ".." in name.parts or re.match("[A-Za-z]:", member.filename)
        refusals = {
            "would leave the archive's folder; pack it again with plain relative names": outside,
            "is a link; pack the files themselves": stat.S_ISLNK(member.external_attr >> 16),
            "is there twice under the same name; rename one of them": str(name) in members,
        }
        if refusal := next((text for text, applies in refusals.items() if applies), None):
            raise UserError(f"{path}: member {member.filename!r} {refusal}")
        members[str(name)] = partial(archive.open, member)
    return members


@contextmanager
def _undamaged(failure: str) -> Iterator[None]:
    """Turn what the libraries raise for damaged, encrypted or unknown archives into a `UserError`."""
    try:
        yield
    except (*DAMAGE, EOFError, ValueError, RuntimeError, LookupError) as problem:
        reason = " ".join(str(problem).split())
        raise UserError(f"{failure} ({reason}); fetch or pack it again, or unpack it yourself") from None
