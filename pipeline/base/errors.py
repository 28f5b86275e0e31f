"""Errors that the user can mend: shown as one line, without a traceback."""

import argparse
import difflib
import functools
import io
import os
import sys
from collections.abc import Callable, Iterable
from typing import NoReturn


class UserError(Exception):
    """An error that the user can mend. The message is one line: what is wrong, where, and what to do."""


class ConfigError(UserError):
    """A refused setting. The message names the file, the key, the given value and what is allowed."""

    def __init__(self, file: str, key: str, given: object, allowed: str):
        super().__init__(f"{file}: {key}: given {given!r}; allowed: {allowed}")
        self.key = key


class ArgumentParser(argparse.ArgumentParser):
    """argparse's, for mains under `command_line`: a refused argument is one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog}: {message}; {self.prog} --help lists what there is")


def amount(count: int, noun: str) -> str:
    """`1 training`, `2,000 trainings`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def choices(names: Iterable[str], given: object = None) -> str:
    """`a | b | c`, with a hint where `given` is close to one of the names."""
    names = list(names)
    text = " | ".join(names)
    close = difflib.get_close_matches(str(given), names, n=1)
    return f"{text} (did you mean {close[0]!r}?)" if close else text


def command_line(main: Callable[[], None]) -> Callable[[], None]:
    """Decorate a script's `main`: what a user can mend becomes one line on stderr and exit status 1, not a traceback.

    That is `UserError`, and every `OSError` (a full disk, a folder that cannot be written). An interrupt (Ctrl-C) gives
    exit status 130, as in a shell, and a reader of the output that went away (`| head`) 141. Characters that the
    terminal cannot show are escaped.
    """

    @functools.wraps(main)
    def run() -> None:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        message, status = "", 0
        try:
            main()
            sys.stdout.flush()
        except UserError as error:
            message, status = f"error: {error}", 1
        except BrokenPipeError:
            status = 141
        except OSError as error:
            about = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
            message, status = f"error: {' '.join(about.split())}", 1
        except KeyboardInterrupt:
            message, status = "interrupted", 130
        try:
            print(end=message and f"{message}\n", file=sys.stderr, flush=True)
            sys.stdout.flush()
        except OSError:  # nobody takes the output: nothing is flushed once more at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if status:
            sys.exit(status)

    return run
