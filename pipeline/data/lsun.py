"""LSUN's databases of encoded images (LMDB).

torchvision's reader is not used: it writes a pickle into the working folder and decodes images one after the other.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import lmdb

from pipeline.base.errors import UserError
from pipeline.data.image_folder import ImageFile, ImageFiles, list_files, undamaged

NAME = "data.mdb"


def lmdb_images(path: Path, scratch: Path, stack: ExitStack) -> ImageFiles | None:
    """The images of a database in the order of their keys, to be read once. None where there is no database.

    `path`: data.mdb, or a folder or archive that holds it; from an archive it is unpacked into `scratch`.
    Errors: `UserError` where archive or database are damaged, and for several databases in an archive; `OSError` where
    it cannot be unpacked. LMDB itself does not compare the file's size: reading a page beyond the end of the file would
    kill the process.
    """
    file = _find(path, scratch, stack)
    if file is None:
        return None
    try:
        environment = stack.enter_context(lmdb.open(str(file.parent), readonly=True, lock=False, readahead=False))
    except lmdb.Error as problem:
        raise UserError(f"{file}: no readable LMDB database ({problem}); unpack or fetch it again") from None
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


def _find(path: Path, scratch: Path, stack: ExitStack) -> Path | None:
    if path.name == NAME:
        return path
    if path.is_dir():
        return next((file for file in (path / NAME, *sorted(path.glob(f"*/{NAME}"))) if file.is_file()), None)
    databases = [opens for name, opens in list_files(path, scratch, stack).items() if Path(name).name == NAME]
    if len(databases) > 1:
        raise UserError(f"{path}: holds {len(databases)} databases named {NAME}, expected one; name its folder in it")
    for opens in databases:
        with undamaged(f"{path}: {NAME} is damaged"), opens() as packed, open(scratch / NAME, "wb") as target:
            shutil.copyfileobj(packed, target, 1 << 20)
    return scratch / NAME if databases else None
