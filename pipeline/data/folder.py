"""Image files of a folder or a zip, found recursively and put into one order that is the same everywhere."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.data.archives import MAX_FILE, member_reader, open_zip, split_inside
from pipeline.errors import UserError

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
ORDER = "by path below the folder, compared character by character (Unicode code points)"


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """Image files in the order of the dataset."""

    names: list[str]                    # as a person finds them: whole paths, or archive/member
    read: Callable[[int], bytes]        # the bytes of number i; called from several threads
    ignored: int                        # files that are no images by name, and hidden ones


def find_images(path: Path, stack: ExitStack) -> ImageFiles:
    """Images under `path`: a folder, a zip, or a folder inside a zip (photos.zip/train). `stack` closes what is opened.

    Files and folders whose names begin with a dot and __MACOSX are ignored, as is every file without one of EXTENSIONS.
    Errors: `UserError` for a damaged or unsafe zip, a folder that cannot be read or holds linked folders, two names that
    differ in case alone, and no image at all.
    """
    file, inside = split_inside(path)
    if file.is_dir():
        kept, ignored = _select(path, _walk(path))
        return ImageFiles(names=[str(path / name) for name in kept], read=lambda index: _read(path / kept[index]), ignored=ignored)
    archive = stack.enter_context(open_zip(file))
    prefix = f"{inside}/" if inside else ""
    members = [name[len(prefix) :] for name in archive.namelist() if name.startswith(prefix) and not name.endswith("/")]
    kept, ignored = _select(path, members)
    member = member_reader(file, archive)
    return ImageFiles(names=[str(path / name) for name in kept], read=lambda index: member(prefix + kept[index]), ignored=ignored)


def _walk(root: Path) -> list[str]:
    def refuse(problem: OSError):
        raise UserError(f"{problem.filename}: cannot be read ({problem.strerror}); change its permissions or take it out")

    found = []
    for folder, folders, files in os.walk(root, onerror=refuse):
        for name in folders:
            if os.path.islink(os.path.join(folder, name)):
                raise UserError(f"{os.path.join(folder, name)}: a link to a folder, which is not followed; put the folder itself there or take the link out")
        below = Path(folder).relative_to(root)
        found += [(below / name).as_posix() for name in files]
    return found


def _select(path: Path, names: list[str]) -> tuple[list[str], int]:
    """Names of images in order, and how many others there were."""
    kept = sorted(name for name in names if _is_image(name))
    if not kept:
        raise UserError(f"{path}: holds no images ({', '.join(EXTENSIONS)}), {len(names):,} other files; point datasets.<name>.data.path at a folder or zip of images")
    seen = {}
    for name in kept:
        other = seen.setdefault(name.casefold(), name)
        if other is not name:
            raise UserError(f"{path}: {other!r} and {name!r} {'are the same name twice' if other == name else 'differ in case alone, so they are one file on some disks'}; rename one of them")
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
        raise UserError(f"{path}: cannot be read ({problem.strerror}); change its permissions or take it out") from None
    if len(content) > MAX_FILE:
        raise UserError(f"{path}: more than the {MAX_FILE:,} bytes allowed for an image; take it out")
    return content
