"""A file from an address, checked before it gets its name."""

import hashlib
import http.client
import shutil
import urllib.request
from pathlib import Path

from tqdm import tqdm

from pipeline.files import atomic_write

TIMEOUT = 60            # seconds without a byte
BLOCK = 1 << 20         # bytes


class Mismatch(Exception):
    """A file is not the one it should be; the message says in what."""


def check(path: Path, size: int, checksum: str) -> None:
    """Errors: `Mismatch` unless the file has `size` bytes and the checksum, given as "<algorithm> <hex digest>"."""
    if path.stat().st_size != size:
        raise Mismatch(f"it has {path.stat().st_size:,} bytes, {size:,} were expected")
    algorithm, expected = checksum.split()
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if found != expected:
        raise Mismatch(f"its {algorithm} is {found}, expected was {expected}")


def download(address: str, path: Path, size: int, checksum: str) -> None:
    """Fetch `address` to `path`: under a temporary name beside it, renamed once size and checksum are right.

    Errors: `OSError` (no network, no space, no permission, an incomplete answer), `Mismatch`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    if free < size:
        raise OSError(f"{size / 1e9:.1f} GB are needed at {path.parent}, {free / 1e9:.1f} GB are free")
    request = urllib.request.Request(address, headers={"User-Agent": "Mozilla/5.0"})
    with atomic_write(path) as temporary:
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer, open(temporary, "wb") as file:
                _copy(answer, file, size, path.name)
        except http.client.HTTPException as problem:
            raise OSError(f"the answer broke off: {problem!r}") from None
        check(temporary, size, checksum)


def _copy(answer, file, size: int, name: str) -> None:
    """Errors: `Mismatch` as soon as more than `size` bytes come, or a web page in place of the file."""
    if "text/html" in (answer.headers.get("Content-Type") or ""):
        raise Mismatch("a web page came in place of the file; perhaps the server's quota is used up")
    with tqdm(total=size, desc=name, unit="B", unit_scale=True, disable=None) as bar:
        while block := answer.read(BLOCK):
            file.write(block)
            bar.update(len(block))
            if file.tell() > size:
                raise Mismatch(f"more than the expected {size:,} bytes came")
