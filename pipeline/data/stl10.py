"""STL-10's binary files, read as a stream.

torchvision's reader is not used: it would hold three gigabytes of pixels twice.
"""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from pipeline.base.download import Mismatch, check
from pipeline.base.errors import UserError
from pipeline.data.array import Split

NATIVE = 96  # pixels a side
COUNTS = {"train": 5_000, "unlabeled": 100_000, "test": 8_000}  # images
IMAGE = 3 * NATIVE * NATIVE  # bytes
CHUNK = 128  # images read at a time


class Stl10:
    """The official archive, or the folder it unpacks to.

    The archive must have been compared with its checksum before; the files of a folder are compared here.
    Errors of the constructor: `UserError` for a missing or wrong file.
    """

    def __init__(self, path: Path):
        self.path = path
        if path.is_dir():
            self.path = path if (path / "train_X.bin").is_file() else path / "stl10_binary"
            self._check_files()

    def images(self, *splits: str) -> Split:
        """The splits one after another, (N, 3, 96, 96) uint8.

        The files store images column by column, so height and width are swapped here.
        Errors, when the chunks are read: `UserError` for a damaged archive.
        """

        def chunks() -> Iterator[np.ndarray]:
            for split in splits:
                with self._open(f"{split}_X.bin") as file:
                    for start in range(0, COUNTS[split], CHUNK):
                        content = self._exactly(file, min(CHUNK, COUNTS[split] - start) * IMAGE)
                        yield np.frombuffer(content, dtype=np.uint8).reshape(-1, 3, NATIVE, NATIVE).swapaxes(2, 3)

        return Split(shape=(sum(COUNTS[split] for split in splits), 3, NATIVE, NATIVE), chunks=chunks)

    def labels(self) -> np.ndarray:
        """The labels of train and unlabeled, (N,) int64: 0..9 (1..10 in the file), and -1 for an unlabeled image.

        Errors: `UserError` for a damaged archive.
        """
        with self._open("train_y.bin") as file:
            known = np.frombuffer(self._exactly(file, COUNTS["train"]), dtype=np.uint8)
        return np.concatenate([known.astype(np.int64) - 1, np.full(COUNTS["unlabeled"], -1, dtype=np.int64)])

    def _check_files(self) -> None:
        from torchvision.datasets import STL10  # imported here: it takes seconds, and the archive does not need it

        for name, md5 in STL10.train_list + STL10.test_list:
            path = self.path / name
            if not path.is_file():
                raise UserError(
                    f"{path}: no such file; unpack stl10_binary.tar.gz again, or point at the archive itself"
                )
            try:
                check(path, path.stat().st_size, f"md5 {md5}")
            except Mismatch as problem:
                raise UserError(f"{path}: {problem}; unpack stl10_binary.tar.gz again") from None

    @contextmanager
    def _open(self, name: str) -> Iterator[IO[bytes]]:
        if self.path.is_dir():
            with open(self.path / name, "rb") as file:
                yield file
            return
        try:
            with tarfile.open(self.path, "r|gz") as archive:
                member = next(
                    (member for member in archive if Path(member.name).name == name and member.isfile()), None
                )
                content = archive.extractfile(member) if member is not None else None
                if content is None:
                    raise UserError(f"{self.path}: holds no {name}; fetch it again")
                yield content
        except (tarfile.TarError, EOFError) as problem:
            raise UserError(f"{self.path}: cannot be unpacked ({problem}); fetch it again") from None

    def _exactly(self, file: IO[bytes], size: int) -> bytes:
        content = file.read(size)
        if len(content) != size:
            raise UserError(f"{self.path}: ends too early; fetch it again")
        return content
