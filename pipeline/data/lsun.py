"""LSUN's databases of encoded images (LMDB).

torchvision's reader is not used: it writes a pickle into the working folder and decodes images one after the other.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import lmdb

from pipeline.base.errors import UserError
from pipeline.data.archives import open_archive, split_inside
from pipeline.data.decode import ImageFile


def find_lmdb(path: Path, scratch: Path, stack: ExitStack) -> Path | None:
    """The folder that holds data.mdb: `path` itself or a folder in it. From a zip or tar it is unpacked into `scratch`.

    None where there is no database. Errors: `UserError` for a damaged or unsafe archive, or one with several
    databases; `OSError` where it cannot be unpacked.
    """
    if path.is_dir():
        return next(
            (found.parent for found in (path / "data.mdb", *sorted(path.glob("*/data.mdb"))) if found.is_file()), None
        )
    if path.name == "data.mdb":
        return path.parent
    file, inside = split_inside(path)
    archive = open_archive(file, scratch, stack)
    prefix = f"{inside}/" if inside else ""
    names = [name for name in archive.names if name.startswith(prefix) and name.rpartition("/")[2] == "data.mdb"]
    if len(names) > 1:
        raise UserError(f"{path}: holds {len(names)} databases named data.mdb, expected one; name its folder in it")
    if not names:
        return None
    with open(scratch / "data.mdb", "wb") as target:
        archive.copy(names[0], target)
    return scratch


@contextmanager
def open_lmdb(folder: Path) -> Iterator[lmdb.Environment]:
    """Open a database for reading.

    Errors: `UserError` where it is damaged or cut short. LMDB itself does not compare the size: reading a page beyond
    the end of the file would kill the process.
    """
    try:
        environment = lmdb.open(str(folder), readonly=True, lock=False, readahead=False)
    except lmdb.Error as problem:
        raise UserError(
            f"{folder / 'data.mdb'}: no readable LMDB database ({problem}); unpack or fetch it again"
        ) from None
    with environment:
        needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
        size = (folder / "data.mdb").stat().st_size
        if size < needed:
            raise UserError(
                f"{folder / 'data.mdb'}: has {size:,} bytes, its database {needed:,}; unpack or fetch it again"
            )
        yield environment


def lmdb_chunks(environment: lmdb.Environment, folder: Path, size: int) -> Iterator[list[ImageFile]]:
    """Yield lists of `size` images, the last one shorter, in the order of the keys.

    Errors: `UserError` where the database is damaged.
    """
    chunk: list[ImageFile] = []
    try:
        with environment.begin() as transaction:
            for key, value in transaction.cursor():
                name = f"{folder / 'data.mdb'}: {key.decode('utf-8', 'backslashreplace')}"
                chunk.append(ImageFile(name, partial(bytes, value)))
                if len(chunk) == size:
                    yield chunk
                    chunk = []
    except lmdb.Error as problem:
        raise UserError(f"{folder / 'data.mdb'}: damaged ({problem}); unpack or fetch it again") from None
    if chunk:
        yield chunk
