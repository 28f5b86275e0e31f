"""Published files: where a copy is looked for, and how one is fetched (by pooch), checked and kept.

Data sets and the weights of metric networks use the same folder: the one that the environment variable TRANSGAN_DATA
names, or the cache ($XDG_CACHE_HOME/transgan, else ~/.cache/transgan) where TRANSGAN_DATA is not set.
"""

import logging
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests
from filelock import FileLock

from pipeline.base.errors import UserError
from pipeline.base.files import expand_home

ROOT = "TRANSGAN_DATA"
TIMEOUT = 60  # seconds without a byte


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

    def check(self, path: Path) -> None:
        """Errors: `Mismatch` unless the file at `path` has the published size and checksum."""
        if (size := path.stat().st_size) != self.size:
            raise Mismatch(f"it has {size:,} bytes, {self.size:,} were expected")
        algorithm, expected = self.checksum.split()
        if (digest := pooch.file_hash(str(path), alg=algorithm)) != expected:
            raise Mismatch(f"its {algorithm} is {digest}, expected was {expected}")


def data_root() -> Path | None:
    """The folder that TRANSGAN_DATA names, None where it is not set. Errors: `UserError` where it does not exist."""
    name = os.environ.get(ROOT)
    if name and not os.path.isdir(name):
        raise UserError(f"{ROOT}={name}: no such folder; let it name the folder that holds the datasets, or unset it")
    return Path(name) if name else None


def search_paths(file: str) -> list[Path]:
    """Where a published file of this name may lie, in the order of the search. A download goes to the first place."""
    try:
        cache = expand_home(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "transgan"
    except UserError:  # no home
        cache = Path(tempfile.gettempdir()) / f"transgan-{os.getuid()}"
    return [folder / file for folder in (data_root(), cache) if folder is not None]


def download(published: PublishedFile, path: Path, advice: str = "") -> Path:
    """Fetch a published file to `path`, which gets its name only after the checksum was compared, and return that.

    Two processes that need the same file fetch it once: the second waits for the first.
    Errors: `UserError` that ends in `advice`: no network, no space, no permission, an answer that broke off or is
    another file.
    """
    logging.getLogger("filelock").setLevel(logging.WARNING)
    pooch.get_logger().setLevel("WARNING")  # the caller says the same
    headers = {"User-Agent": "Mozilla/5.0", "Accept-Encoding": "identity"}
    hooks = {"response": _check_answer}
    fetch = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT, headers=headers, hooks=hooks)
    digest = published.checksum.replace(" ", ":")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(path.parent).free
        if free < published.size:
            raise OSError(f"{published.size / 1e9:.1f} GB are needed at {path.parent}, {free / 1e9:.1f} GB are free")
        with FileLock(path.with_name(f".{path.name}.lock")) as lock:
            pooch.retrieve(published.address, known_hash=digest, fname=path.name, path=path.parent, downloader=fetch)
            path.chmod(0o644)  # pooch's temporary files are private
            Path(lock.lock_file).unlink(missing_ok=True)  # a process that waits for it finds the file
    except (Mismatch, OSError, ValueError) as problem:  # ValueError: pooch compared the checksum
        cause: BaseException = problem  # requests wraps the few words that say what happened
        while isinstance(problem, requests.RequestException) and cause.__context__ is not None:
            cause = cause.__context__
        reason = " ".join(str(cause).partition(". Deleted")[0].split())
        raise UserError(f"{published.file} could not be fetched ({reason}){advice}") from None
    return path


def _check_answer(answer: requests.Response, *_: object, **__: object) -> None:
    if not answer.ok or answer.is_redirect:
        return
    if "text/html" in answer.headers.get("Content-Type", ""):
        raise Mismatch("a web page came in place of the file; perhaps the server's quota is used up")
    # Servers that call a .tar.gz an encoded .tar must not make requests unpack it.
    answer.raw.headers.pop("Content-Encoding", None)
