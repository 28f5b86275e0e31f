"""Published files: where a copy is looked for, and how one is fetched, checked and kept.

Data sets and the weights of metric networks use the same folder: the one that the environment variable TRANSGAN_DATA
names, or the cache ($XDG_CACHE_HOME/transgan, else ~/.cache/transgan) where TRANSGAN_DATA is not set.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pooch
import requests
from filelock import FileLock
from tqdm import tqdm

from pipeline.base.errors import UserError

ROOT = "TRANSGAN_DATA"
TIMEOUT = 60  # seconds without a byte
BLOCK = 1 << 18  # bytes written at a time
RESUMED = 206  # HTTP status "Partial Content": the server sends only the bytes that are missing


class Mismatch(Exception):
    """A file is not the published one; the message says what differs."""


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """A file as its authors hand it out."""

    file: str  # its name
    address: str
    size: int  # bytes
    checksum: str  # "md5 <hex digest>" or "sha256 <hex digest>"
    published: str  # who published the checksum

    def __str__(self) -> str:
        return f"{self.file} ({self.size:,} bytes, {self.checksum})"


def data_root() -> Path | None:
    """The folder that TRANSGAN_DATA names, None where it is not set. Errors: `UserError` where it does not exist."""
    name = os.environ.get(ROOT)
    if not name:
        return None
    if not Path(name).is_dir():
        raise UserError(f"{ROOT}={name}: no such folder; let it name the folder that holds the datasets, or unset it")
    return Path(name)


def cache() -> Path:
    """The user's cache folder for published files; it need not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "transgan"


def places(file: str) -> list[Path]:
    """Where a published file of this name may lie, in the order of the search. A download goes to the first place."""
    root = data_root()
    return [folder / file for folder in (root, cache()) if folder is not None]


def first_existing(paths: Iterable[Path]) -> Path | None:
    """The first of the paths that exists."""
    return next((path for path in paths if path.exists()), None)


def check(path: Path, size: int, checksum: str) -> None:
    """Errors: `Mismatch` unless the file has `size` bytes and the checksum, given as "<algorithm> <hex digest>"."""
    if path.stat().st_size != size:
        raise Mismatch(f"it has {path.stat().st_size:,} bytes, {size:,} were expected")
    algorithm, expected = checksum.split()
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found != expected:
        raise Mismatch(f"its {algorithm} is {found}, expected was {expected}")


def download(published: PublishedFile, path: Path) -> None:
    """Fetch a published file to `path`, which gets its name only after size and checksum were compared.

    A download that breaks off is kept as `.<name>.part`; the next call continues it where the server allows that.
    Two processes that need the same file fetch it once: the second waits for the first.
    Errors: `OSError` (no network, no space, no permission, an answer that broke off), `Mismatch`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("filelock").setLevel(logging.WARNING)
    pooch.get_logger().setLevel("WARNING")  # the progress bar says the same
    with FileLock(path.with_name(f".{path.name}.lock")) as lock:
        if not path.exists():
            _fetch(published, path)
        # Nobody needs the lock any more: a process that waits for it finds the file.
        Path(lock.lock_file).unlink(missing_ok=True)


def _fetch(published: PublishedFile, path: Path) -> None:
    part = path.with_name(f".{path.name}.part")
    missing = published.size - (part.stat().st_size if part.exists() else 0)
    free = shutil.disk_usage(path.parent).free
    if free < missing:
        raise OSError(f"{missing / 1e9:.1f} GB are needed at {path.parent}, {free / 1e9:.1f} GB are free")
    try:
        pooch.retrieve(
            published.address,
            known_hash=published.checksum.replace(" ", ":"),
            fname=path.name,
            path=path.parent,
            downloader=_Downloader(published, part),
        )
    except requests.exceptions.ChunkedEncodingError:
        raise OSError("the answer broke off; the same command continues it") from None
    except requests.Timeout:
        raise OSError(f"no byte came for {TIMEOUT} s") from None
    except requests.ConnectionError as problem:
        raise OSError(str(_cause(problem))) from None
    except requests.RequestException:  # some of them are a `ValueError` too
        raise
    except ValueError as problem:  # pooch compared the checksum
        raise Mismatch(str(problem).partition(". Deleted")[0]) from None
    path.chmod(0o644)  # pooch's temporary files are private


def _cause(problem: BaseException) -> BaseException:
    while problem.__context__ is not None:
        problem = problem.__context__
    return problem


class _Downloader:
    """A downloader for pooch: it continues `part`, stops as soon as too much comes, and refuses web pages."""

    def __init__(self, published: PublishedFile, part: Path):
        self.published, self.part = published, part

    def __call__(self, url: str, output_file: str, _: object) -> None:
        """Fetch `url` to `output_file`. Errors: `requests.RequestException`, `OSError`, `Mismatch`."""
        size = self.published.size
        try:
            with open(self.part, "ab") as file:
                if file.tell() >= size:
                    _empty(file)
                self._receive(url, file)
                if file.tell() != size:
                    raise Mismatch(f"{file.tell():,} bytes came, {size:,} were expected")
            os.replace(self.part, output_file)
        except Mismatch:
            self.part.unlink()
            raise
        finally:
            if self.part.exists() and not self.part.stat().st_size:
                self.part.unlink()

    def _receive(self, url: str, file: BinaryIO) -> None:
        """Append to `file` what is missing of it, or write it anew where the server does not continue."""
        start = file.tell()
        headers = {"User-Agent": "Mozilla/5.0", "Accept-Encoding": "identity"}

        def begin(answer: requests.Response, *_: object, **__: object) -> None:
            if not answer.ok or answer.is_redirect:
                return
            if "text/html" in answer.headers.get("Content-Type", ""):
                raise Mismatch("a web page came in place of the file; perhaps the server's quota is used up")
            # Servers that call a .tar.gz an encoded .tar must not make requests unpack it.
            answer.raw.headers.pop("Content-Encoding", None)
            if answer.status_code != RESUMED:
                _empty(file)

        fetch = pooch.HTTPDownloader(
            chunk_size=BLOCK,
            timeout=TIMEOUT,
            headers=headers | ({"Range": f"bytes={start}-"} if start else {}),
            hooks={"response": begin},
        )
        total, name = self.published.size, self.published.file
        with tqdm(total=total, desc=name, unit="B", unit_scale=True, disable=None) as bar:
            fetch(url, _Bounded(file, total, bar.update), None)


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


class _Bounded:
    """A file for writing that refuses more than `limit` bytes and reports the number of bytes in it."""

    def __init__(self, file: BinaryIO, limit: int, report: Callable[[int], object]):
        self.file, self.limit, self.report = file, limit, report
        self.reported = 0

    def write(self, block: bytes) -> None:
        """Errors: `Mismatch` where the file would grow beyond the limit."""
        self.file.write(block)
        position = self.file.tell()
        if position > self.limit:
            raise Mismatch(f"more than the expected {self.limit:,} bytes came")
        self.report(position - self.reported)
        self.reported = position

    def flush(self) -> None:
        """Needed by pooch, which flushes after every block; the file is flushed once, at its end."""
