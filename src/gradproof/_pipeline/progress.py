"""How far a check is, for who waits for it.

The decision behind it: a library is silent unless it is asked to speak. Asked, it writes one line that it keeps
overwriting and takes away in the end, which terminals and notebooks understand and files do not; so a file gets none.
"""

import sys
import time
from collections.abc import Callable
from typing import TextIO

from gradproof._errors import InputError

#: Seconds before the first line, as most checks are done by then, and between two lines.
PATIENCE, PAUSE = 0.5, 0.1


class Progress:
    """Tells how many evaluations there were; a context, at whose end what was written is taken away.

    Attributes:
        tell: to be called with the number of evaluations so far; None where nobody listens.
    """

    def __init__(self, listener: Callable[[int], object] | None, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._next = time.perf_counter() + PATIENCE
        self._written = 0
        self.tell = listener if stream is None else self._write

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self._written and self._stream is not None:
            self._stream.write("\r" + " " * self._written + "\r")
            self._stream.flush()

    def _write(self, evaluations: int) -> None:
        now = time.perf_counter()
        if now < self._next or self._stream is None:
            return
        self._next = now + PAUSE
        line = f"gradproof: {evaluations:,} cost evaluations"
        self._written = max(self._written, len(line))
        self._stream.write("\r" + line)
        self._stream.flush()


def read_progress(progress: Callable[[int], object] | bool | None) -> Progress:
    """What ``progress=`` means.

    Args:
        progress: a callable, True for a line on standard error where someone can see it, or None.

    Raises:
        InputError: neither of them.
    """
    if progress is None or progress is False:
        return Progress(None)
    if progress is True:
        return Progress(None, sys.stderr if _seen(sys.stderr) else None)
    if callable(progress):
        return Progress(progress)
    raise InputError.of(
        "setting up the check", "`progress`", "True, or a callable that takes a number", repr(progress),
        "Pass True to see how far the check is.",
    )  # fmt: skip


def _seen(stream: TextIO | None) -> bool:
    """Whether what is written to a stream and overwritten is seen so: by a terminal, or below a notebook's cell."""
    if stream is None:
        return False
    return stream.isatty() or type(stream).__module__.startswith("ipykernel.")
