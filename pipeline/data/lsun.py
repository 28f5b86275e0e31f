"""LSUN's databases of encoded images (LMDB).

torchvision's reader is not used: it writes a pickle into the working folder and decodes images one after the other.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import lmdb

from pipeline.base.errors import UserError
from pipeline.data.archives import open_archive
from pipeline.data.folder import ImageFile

DATABASE = "data.mdb"


def find_lmdb(path: Path, scratch: Path, stack: ExitStack) -> Path | None:
    """The folder that holds data.mdb: `path` itself or a folder in it. From a zip or tar it is unpacked into `scratch`.

    None where there is no database. Errors: `UserError` for a damaged or unsafe archive, or one with several
    databases; `OSError` where it cannot be unpacked.
    """
    if path.is_dir():
        return next(
            (file.parent for file in (path / DATABASE, *sorted(path.glob(f"*/{DATABASE}"))) if file.is_file()), None
        )
    if path.name == DATABASE:
        return path.parent
    archive = open_archive(path, scratch, stack)
    names = [name for name in archive.names if Path(name).name == DATABASE]
    if len(names) > 1:
        raise UserError(f"{path}: holds {len(names)} databases named {DATABASE}, expected one; name its folder in it")
    for name in names:
        with open(scratch / DATABASE, "wb") as target:
            archive.copy(name, target)
    return scratch if names else None


def open_lmdb(folder: Path, stack: ExitStack) -> lmdb.Environment:
    """Open a database for reading; `stack` closes it.

    Errors: `UserError` where it is damaged or cut short. LMDB itself does not compare the size: reading a page beyond
    the end of the file would kill the process.
    """
    file = folder / DATABASE
    try:
        environment = stack.enter_context(lmdb.open(str(folder), readonly=True, lock=False, readahead=False))
    except lmdb.Error as problem:
        raise UserError(f"{file}: no readable LMDB database ({problem}); unpack or fetch it again") from None
    size, needed = file.stat().st_size, (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    if size < needed:
        raise UserError(f"{file}: has {size:,} bytes, its database {needed:,}; unpack or fetch it again")
    return environment


def lmdb_images(environment: lmdb.Environment, folder: Path) -> Iterator[ImageFile]:
    """The images in the order of the keys. Errors: `UserError` where the database is damaged."""
    try:
        with environment.begin() as transaction:
            for key, value in transaction.cursor():
                name = f"{folder / DATABASE}: {key.decode('utf-8', 'backslashreplace')}"
                yield ImageFile(name, partial(bytes, value))
    except lmdb.Error as problem:
        raise UserError(f"{folder / DATABASE}: damaged ({problem}); unpack or fetch it again") from None
