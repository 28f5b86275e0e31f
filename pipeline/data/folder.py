"""The image files of a folder or an archive, found recursively, in an order that is the same on every machine."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pipeline.base.errors import UserError
from pipeline.base.files import printable
from pipeline.data.archives import MAX_FILE, open_source

EXTENSIONS = (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
ORDER = "by path below the folder, compared character by character (Unicode code points)"
SAMPLED = 16  # files whose bytes are in the digest of a collection


class ImageFile(NamedTuple):
    """An image file that is read later, in the thread that decodes it."""

    name: str  # for messages: a whole path, or archive/member
    read: Callable[[], bytes]


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """Image files in the order of the dataset."""

    files: list[ImageFile]
    below: list[str]  # their names from the folder or archive on
    ignored: int  # number of other files: hidden ones, and those with another extension

    def digest(self) -> str:
        """A digest of all names and of the bytes of some files, evenly spread: the same wherever a copy lies."""
        digest = hashlib.sha256("\0".join(map(printable, self.below)).encode())
        for file in self.files[:: max(1, len(self.files) // SAMPLED)]:
            with suppress(UserError):  # `decode_files` reports what cannot be read
                digest.update(file.read())
        return digest.hexdigest()


def find_images(path: Path, scratch: Path, stack: ExitStack) -> ImageFiles:
    """The images under `path`: a folder, a zip or tar, or a folder inside one (photos.zip/train).

    `stack` closes a zip; a tar is unpacked into `scratch`. Ignored are hidden files and folders
    (names that begin with a dot, and __MACOSX) and names without an extension of EXTENSIONS.
    Errors: `UserError` for a damaged or unsafe archive, a folder that cannot be read, a link to a folder, two names
    that differ only in upper and lower case, and where there is no image.
    """
    read: Callable[[str], bytes]
    source = open_source(path, scratch, stack)
    if isinstance(source, Path):
        names, read = _walk(source), lambda name: _read(source / name)
    else:
        names, read = source.names, source.read
    kept = sorted(filter(_is_image, names))
    if not kept:
        raise _no_images(path, names)
    for one, other in pairwise(sorted(kept, key=str.casefold)):
        if one.casefold() == other.casefold():
            problem = "are the same name twice" if one == other else "differ only in case: one file on some disks"
            raise UserError(f"{printable(path)}: {one!r} and {other!r} {problem}; rename one of them")
    files = [ImageFile(str(path / name), partial(read, name)) for name in kept]
    return ImageFiles(files=files, below=kept, ignored=len(names) - len(kept))


def _walk(root: Path) -> list[str]:
    def refuse(problem: OSError) -> None:
        raise _unreadable(problem.filename, problem)

    found: list[str] = []
    for folder, folders, files in os.walk(root, onerror=refuse):
        for name in folders:
            if os.path.islink(os.path.join(folder, name)):
                raise UserError(
                    f"{printable(os.path.join(folder, name))}: a link to a folder, which is not followed; "
                    "put the folder itself there or take the link out"
                )
        below = Path(folder).relative_to(root)
        found += [(below / name).as_posix() for name in files]
    return found


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return not hidden and path.suffix.lower() in EXTENSIONS


def _no_images(path: Path, names: list[str]) -> UserError:
    endings = Counter(PurePosixPath(name).suffix.lower() for name in names if PurePosixPath(name).suffix)
    listed = f" ({', '.join(ending for ending, _ in endings.most_common(4))})" if endings else ""
    nested = next((name for name in sorted(names) if name.lower().endswith(ARCHIVES)), None)
    advice = f"unpack {nested} and name that folder" if nested else "name a folder, zip or tar of images"
    return UserError(
        f"{printable(path)}: holds no images ({', '.join(EXTENSIONS)}), {len(names):,} other files{listed}; "
        f"{advice} (data.path of conf/dataset/<name>.yaml)"
    )


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as problem:
        raise _unreadable(path, problem) from None
    if len(content) > MAX_FILE:
        raise UserError(f"{printable(path)}: more than the {MAX_FILE:,} bytes allowed for an image; take it out")
    return content


def _unreadable(path: str | Path, problem: OSError) -> UserError:
    advice = "change its permissions or take it out"
    return UserError(f"{printable(path)}: cannot be read ({problem.strerror}); {advice}")
