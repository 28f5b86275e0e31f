"""Errors that the user can mend: shown as one line, without a traceback."""

import difflib
import functools
import sys
from collections.abc import Callable, Iterable


class UserError(Exception):
    """An error that the user can mend. The message is one line: what is wrong, where, and what to do."""


class ConfigError(UserError):
    """A refused setting. The message names the file, the key, the given value and what is allowed."""

    def __init__(self, file: str, key: str, given: object, allowed: str):
        super().__init__(f"{file}: {key}: given {given!r}; allowed: {allowed}")
        self.key = key


def choices(names: Iterable[str], given: object = None) -> str:
    """`a | b | c`, with a hint where `given` is close to one of the names."""
    names = list(names)
    text = " | ".join(names)
    close = difflib.get_close_matches(str(given), names, n=1)
    return f"{text} (did you mean {close[0]!r}?)" if close else text


def command_line(main: Callable[[], None]) -> Callable[[], None]:
    """Decorate a script's `main`: a `UserError` becomes one line on stderr and exit status 1.

    An interrupt (Ctrl-C) gives exit status 130, as in a shell.
    """

    @functools.wraps(main)
    def run() -> None:
        try:
            main()
        except UserError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            sys.exit(1)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr, flush=True)
            sys.exit(130)

    return run
