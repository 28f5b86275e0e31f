"""Lines for people that no work depends on: where nobody can read them they are lost, and the work goes on."""

import atexit
import errno
import os
import sys
from contextlib import suppress
from typing import TextIO


def say(text: str, *, end: str = "\n", stream: TextIO | None = None) -> None:
    """Print to `stream` (standard output) at once. It never raises."""
    stream = stream or sys.stdout
    if stream is None:  # closed before this process began
        return
    try:
        print(
            text.encode(stream.encoding or "utf-8", "replace").decode(stream.encoding or "utf-8"),
            end=end,
            file=stream,
            flush=True,
        )
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # there may be room for the next line
            atexit.register(_drop, stream)
        else:
            _drop(stream)


def _drop(stream: TextIO) -> None:
    """What is still to be written to `stream`, by the interpreter at its end too, goes nowhere."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
