"""The image files of a folder or a zip, found recursively, in an order that is the same on every machine."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.base.errors import UserError
from pipeline.data.archives import MAX_FILE, member_reader, open_zip, split_inside

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
ORDER = "by path below the folder, compared character by character (Unicode code points)"


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """Image files in the order of the dataset."""

    names: list[str]  # whole paths, or archive/member
    read: Callable[[int], bytes]  # the bytes of number i; called from several threads
    ignored: int  # number of other files: hidden ones, and those with another extension


def find_images(path: Path, stack: ExitStack) -> ImageFiles:
    """The images under `path`: a folder, a zip, or a folder inside a zip (photos.zip/train). `stack` closes the zip.

    Ignored are hidden files and folders (names that begin with a dot, and __MACOSX) and names without an extension of
    EXTENSIONS.
    Errors: `UserError` for a damaged or unsafe zip, a folder that cannot be read, a link to a folder, two names that
    differ only in upper and lower case, and where there is no image.
    """
    file, inside = split_inside(path)
    if file.is_dir():
        kept, ignored = _select(path, _walk(path))
        return ImageFiles(
            names=[str(path / name) for name in kept], read=lambda index: _read(path / kept[index]), ignored=ignored
        )
    archive = stack.enter_context(open_zip(file))
    prefix = f"{inside}/" if inside else ""
    members = [name[len(prefix) :] for name in archive.namelist() if name.startswith(prefix) and not name.endswith("/")]
    kept, ignored = _select(path, members)
    member = member_reader(file, archive)
    return ImageFiles(
        names=[str(path / name) for name in kept], read=lambda index: member(prefix + kept[index]), ignored=ignored
    )


def _walk(root: Path) -> list[str]:
    def refuse(problem: OSError) -> None:
        raise UserError(
            f"{problem.filename}: cannot be read ({problem.strerror}); change its permissions or take it out"
        )

    found: list[str] = []
    for folder, folders, files in os.walk(root, onerror=refuse):
        for name in folders:
            if os.path.islink(os.path.join(folder, name)):
                raise UserError(
                    f"{os.path.join(folder, name)}: a link to a folder, which is not followed; "
                    "put the folder itself there or take the link out"
                )
        below = Path(folder).relative_to(root)
        found += [(below / name).as_posix() for name in files]
    return found


def _select(path: Path, names: list[str]) -> tuple[list[str], int]:
    """The names of the images in order, and the number of the other files. Errors: `UserError`, see `find_images`."""
    kept = sorted(name for name in names if _is_image(name))
    if not kept:
        raise UserError(
            f"{path}: holds no images ({', '.join(EXTENSIONS)}), {len(names):,} other files; "
            "name a folder or zip of images (in params.yaml: datasets.<name>.data.path)"
        )
    seen: dict[str, str] = {}
    for name in kept:
        other = seen.setdefault(name.casefold(), name)
        if other is not name:
            problem = (
                "are the same name twice"
                if other == name
                else "differ only in case, so they are one file on some disks"
            )
            raise UserError(f"{path}: {other!r} and {name!r} {problem}; rename one of them")
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
