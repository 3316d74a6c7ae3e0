"""Tracebacks without the exceptions' own messages, for ``--debug`` and for unforeseen errors."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from ops_platform.clients.safe_errors.lines import describe

_CAUSED = "The above exception was the direct cause of the following exception:"
_DEEPEST = 30
"""Exceptions behind each other that are shown; Python's own limit would be met in sys.excepthook."""
_MEANWHILE = "During handling of the above exception, another exception occurred:"


class Note(str):
    """A note of ours on an exception (``error.add_note(Note(...))``); notes of others are not shown."""

    __slots__ = ()


def frames(error: BaseException) -> str:
    """Return the traceback with its causes: files, lines, code, and exceptions as ``describe`` has them."""
    return "\n".join(_lines(error, set()))


def _lines(error: BaseException, seen: set[int], depth: int = 0) -> Iterator[str]:
    seen.add(id(error))
    earlier, link = error.__cause__, _CAUSED
    if earlier is None and not error.__suppress_context__:
        earlier, link = error.__context__, _MEANWHILE
    if earlier is not None and id(earlier) not in seen:
        if depth < _DEEPEST:
            yield from _lines(earlier, seen, depth + 1)
        else:
            yield "(earlier exceptions are left out)"
        yield from ("", link, "")
    yield "Traceback (most recent call last):"
    for entry in traceback.format_tb(error.__traceback__):
        yield from entry.rstrip("\n").splitlines()
    yield f"{type(error).__module__}.{type(error).__qualname__}: {describe(error)}"
    yield from (str(note) for note in getattr(error, "__notes__", ()) if isinstance(note, Note))
    if isinstance(error, BaseExceptionGroup):
        for number, member in enumerate(error.exceptions, 1):
            if id(member) not in seen and depth < _DEEPEST:
                yield f"--- {number} of {len(error.exceptions)} ---"
                yield from _lines(member, seen, depth + 1)
