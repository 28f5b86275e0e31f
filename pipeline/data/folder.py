"""The image files of a folder or an archive, found recursively, in an order that is the same on every machine."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.base.errors import UserError
from pipeline.base.files import printable
from pipeline.data.archives import MAX_FILE, open_archive, split_inside

EXTENSIONS = (".bmp", ".gif", ".jfif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
ORDER = "by path below the folder, compared character by character (Unicode code points)"
SAMPLED = 16  # files whose bytes are in the digest of a collection


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """Image files in the order of the dataset."""

    names: list[str]  # whole paths, or archive/member
    below: list[str]  # the same, from the folder or archive on
    read: Callable[[int], bytes]  # the bytes of number i; called from several threads
    ignored: int  # number of other files: hidden ones, and those with another extension

    def digest(self) -> str:
        """A digest of all names and of the bytes of some files, evenly spread: the same wherever a copy lies."""
        digest = hashlib.sha256("\0".join(map(printable, self.below)).encode())
        for index in range(0, len(self.names), max(1, len(self.names) // SAMPLED)):
            with suppress(UserError):  # `decode_chunks` reports what cannot be read
                digest.update(self.read(index))
        return digest.hexdigest()


def find_images(path: Path, scratch: Path, stack: ExitStack) -> ImageFiles:
    """The images under `path`: a folder, a zip or tar, or a folder inside one (photos.zip/train).

    `stack` closes the archive; a compressed tar is decompressed into `scratch`. Ignored are hidden files and folders
    (names that begin with a dot, and __MACOSX) and names without an extension of EXTENSIONS.
    Errors: `UserError` for a damaged or unsafe archive, a folder that cannot be read, a link to a folder, two names
    that differ only in upper and lower case, and where there is no image.
    """
    file, inside = split_inside(path)
    read: Callable[[int], bytes]
    if file.is_dir():
        kept, ignored = _select(path, _walk(path))
        read = lambda index: _read(path / kept[index])  # noqa: E731
    elif not file.is_file():
        raise UserError(f"{printable(file)}: neither a file nor a folder")
    else:
        archive, prefix = open_archive(file, scratch, stack), f"{inside}/" if inside else ""
        members = [name.removeprefix(prefix) for name in archive.names if name.startswith(prefix)]
        if inside and not members:
            tops = sorted({name.partition("/")[0] for name in archive.names if "/" in name})[:5]
            raise UserError(f"{printable(file)}: holds no folder {inside!r}; it has {', '.join(tops) or 'no folders'}")
        kept, ignored = _select(path, members)
        read = lambda index: archive.read(prefix + kept[index])  # noqa: E731
    return ImageFiles(names=[str(path / name) for name in kept], below=kept, read=read, ignored=ignored)


def _walk(root: Path) -> list[str]:
    def refuse(problem: OSError) -> None:
        raise UserError(
            f"{printable(problem.filename)}: cannot be read ({problem.strerror}); change its permissions or take it out"
        )

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


def _select(path: Path, names: list[str]) -> tuple[list[str], int]:
    """The names of the images in order, and the number of the other files. Errors: `UserError`, see `find_images`."""
    kept = sorted(name for name in names if _is_image(name))
    if not kept:
        endings = Counter(PurePosixPath(name).suffix.lower() for name in names if PurePosixPath(name).suffix)
        listed = f" ({', '.join(ending for ending, _ in endings.most_common(4))})" if endings else ""
        nested = next((name for name in sorted(names) if name.lower().endswith(ARCHIVES)), None)
        advice = f"unpack {nested} and name that folder" if nested else "name a folder, zip or tar of images"
        raise UserError(
            f"{printable(path)}: holds no images ({', '.join(EXTENSIONS)}), {len(names):,} other files{listed}; "
            f"{advice} (data.path of conf/dataset/<name>.yaml)"
        )
    seen: dict[str, str] = {}
    for name in kept:
        other = seen.get(name.casefold())
        if other is not None:
            same = "are the same name twice"
            problem = same if other == name else "differ only in case, so they are one file on some disks"
            raise UserError(f"{printable(path)}: {other!r} and {name!r} {problem}; rename one of them")
        seen[name.casefold()] = name
    return kept, len(names) - len(kept)


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return not hidden and path.suffix.lower() in EXTENSIONS


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FILE + 1)
    except OSError as problem:
        raise UserError(
            f"{printable(path)}: cannot be read ({problem.strerror}); change its permissions or take it out"
        ) from None
    if len(content) > MAX_FILE:
        raise UserError(f"{printable(path)}: more than the {MAX_FILE:,} bytes allowed for an image; take it out")
    return content
