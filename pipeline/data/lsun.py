"""LSUN's databases of encoded images (LMDB). torchvision's reader keeps pickles in the working folder and reads one by one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb

from pipeline.data.archives import copy_member, open_zip
from pipeline.errors import UserError


def find_lmdb(path: Path, scratch: Path) -> Path | None:
    """The folder of data.mdb in `path`: itself, one below it, or, of a zip, unpacked into `scratch`. None: there is none.

    Errors: `UserError` for a damaged or unsafe zip; `OSError` where it cannot be unpacked.
    """
    if path.is_dir():
        return next((found.parent for found in (path / "data.mdb", *sorted(path.glob("*/data.mdb"))) if found.is_file()), None)
    with open_zip(path) as archive:
        names = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.mdb"]
        if len(names) != 1:
            raise UserError(f"{path}: holds {len(names)} databases named data.mdb, expected one; fetch church_outdoor_train_lmdb.zip again")
        with open(scratch / "data.mdb", "wb") as file:
            copy_member(path, archive, names[0], file)
    return scratch


@contextmanager
def open_lmdb(folder: Path) -> Iterator[lmdb.Environment]:
    """Errors: `UserError` where the database is damaged or cut short (reading a mapped page that is not there would kill the process)."""
    try:
        environment = lmdb.open(str(folder), readonly=True, lock=False, readahead=False)
    except lmdb.Error as problem:
        raise UserError(f"{folder / 'data.mdb'}: no readable LMDB database ({problem}); unpack or fetch it again") from None
    with environment:
        needed = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
        size = (folder / "data.mdb").stat().st_size
        if size < needed:
            raise UserError(f"{folder / 'data.mdb'}: has {size:,} bytes, its database {needed:,}; unpack or fetch it again")
        yield environment


def lmdb_chunks(environment: lmdb.Environment, folder: Path, size: int) -> Iterator[list[tuple[str, Callable[[], bytes]]]]:
    """Lists of `size` (name, bytes when called), in the order of the keys."""
    chunk = []
    try:
        with environment.begin() as transaction:
            for key, value in transaction.cursor():
                chunk.append((f"{folder / 'data.mdb'}: {key.decode('utf-8', 'backslashreplace')}", lambda value=value: value))
                if len(chunk) == size:
                    yield chunk
                    chunk = []
    except lmdb.Error as problem:
        raise UserError(f"{folder / 'data.mdb'}: damaged ({problem}); unpack or fetch it again") from None
    if chunk:
        yield chunk
