"""Files that are written whole or not at all, lines that end no work, hashes, and options as a person gives them."""

import argparse
import csv
import errno
import hashlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from pipeline.base.errors import UserError

MARKS = ("params.yaml", "dvc.yaml")  # a folder that has both is a project
_typed_in: Path | None = None  # the folder the user was in, where that is another one than the project's


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`: on success it replaces `path` and is synced, on failure it is removed.

    Errors: `OSError` of the file system; that of a full disk names `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:80]}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # only then does the new name survive a power failure
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_output(path: str | Path, *, option: str, folder: bool = False) -> None:
    """Find out before any work whether `path`, given as `option`, can be written; `folder`: as a new folder of files.

    Errors: `UserError` where a folder is there already (one that holds something, with `folder`), where the name is too
    long, where it lies below a file, and where its folder cannot be made or written.
    """
    path = Path(path)
    given = f"{option}: given {str(path)!r},"
    try:
        if folder and path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(f"{given} which is there already; allowed: a new or empty folder")
        if path.is_dir() and not folder:
            raise UserError(f"{given} which is a folder; allowed: the name of a file")
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            os.lstat(path)  # raises for a name that is too long
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise UserError(f"{given} which cannot be written: {error.strerror}") from None


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all. Errors: `OSError` of the file system."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Any) -> None:
    """Write JSON, whole or not at all, keys in their order. Errors: `ValueError` for NaN and infinity; `OSError`."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def write_table(path: str | Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write a CSV file, whole or not at all: `kimg`, then a column a key; floats have seven significant digits.

    Errors: `OSError` of the file system.
    """
    rows, text = list(rows), io.StringIO()
    writer = csv.DictWriter(text, dict.fromkeys(["kimg", *(name for row in rows for name in row)]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: f"{value:.7g}" if isinstance(value, float) else value for name, value in row.items()})
    write_text(path, text.getvalue())


def read_json(path: str | Path, default: Any = None) -> Any:
    """The content of a JSON file; where there is no such file, `default` unless it is None.

    Errors: `UserError` where the file is missing, and no default given, and where it is no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        if default is not None:
            return default
        raise UserError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not readable as JSON ({error})") from None


def sha256(path: str | Path) -> str:
    """Hex digest of a file's bytes. Errors: `OSError` where the file cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: str | Path, expected: str) -> None:
    """Compare a file with its recorded hash. Errors: `UserError` where it is missing or has another hash."""
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file")
    if (digest := sha256(path)) != expected:
        raise UserError(f"{path}: sha256 is {digest}, recorded was {expected}; the file is damaged or was replaced")


def say(text: str, *, stream: TextIO | None = None) -> None:
    """Print to `stream` (standard output) at once. It never raises: where nobody can read it, the work goes on."""
    stream = stream or sys.stdout
    if stream is None:  # closed before this process began
        return
    try:
        encoding = stream.encoding or "utf-8"
        print(text.encode(encoding, "replace").decode(encoding), file=stream, flush=True)
    except (OSError, ValueError):  # what is still to be written, by the interpreter at its end too, goes nowhere
        with suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())


def expand_home(path: str | Path) -> Path:
    """A path whose ~ is the user's home. Errors: `UserError` where it has a ~ and the home is not known."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"{path}: the home folder is not known; set HOME, or give the path without ~") from None


def printable(path: str | Path) -> str:
    """A path for messages and lists: bytes that are no UTF-8 become escapes, so that every stream takes them."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def enter_project(command: str, *, needed: bool) -> None:
    """Go to the folder of the project that the current folder belongs to, from any folder inside it.

    Errors: `UserError` where it belongs to none and the command, as `command` says it, needs one.
    """
    global _typed_in
    here = Path.cwd()
    root = next((folder for folder in (here, *here.parents) if all((folder / name).is_file() for name in MARKS)), None)
    if root is None and needed:
        raise UserError(f"{command}: no project here: {here} and the folders above it have no {' and '.join(MARKS)}")
    if root not in (None, here):
        _typed_in = here
        os.chdir(root)


def user_path(text: str) -> Path:
    """A path as it was typed in the user's own folder; argparse takes this as a `type`."""
    return (_typed_in or Path()) / expand_home(text)


def existing_path(text: str) -> str:
    """As `user_path` where something is there; `text` itself otherwise, as it may be a name."""
    return str(user_path(text)) if user_path(text).exists() else text


def add_number(parser: argparse.ArgumentParser, option: str, least: int, **settings: Any) -> None:
    """Add an option for a whole number. Errors, when it is parsed: `UserError` for anything else or below `least`."""

    def whole_number(text: str) -> int:
        with suppress(ValueError):
            if int(text) >= least:
                return int(text)
        raise UserError(f"{option}: given {text}; allowed: a whole number, {least} or more")

    parser.add_argument(option, type=whole_number, **settings)
