"""Safe output of a process by itself: its log, uncaught exceptions (in threads too) and warnings.

Python prints the messages of such exceptions, and libraries log them; here they go through ``describe``.
"""

from __future__ import annotations

import copy
import logging
import sys
import threading
import warnings
from collections.abc import Mapping
from typing import Any, TextIO

from ops_platform.clients.safe_errors.frames import frames
from ops_platform.clients.safe_errors.lines import describe

FORMAT = "%(asctime)s %(levelname)s %(message)s"


def guard(level: int | None = None) -> None:
    """Make this process report errors through this package only; called by the main function of a program.

    With ``level``, the process logs to stderr from that level up; else only Python's own output changes.
    """
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_a_thread
    sys.unraisablehook = _unraisable
    warnings.showwarning = _warn
    if level is not None:
        handler = _Handler(sys.stderr)
        handler.setFormatter(Formatter(FORMAT))
        logging.basicConfig(level=level, handlers=[handler])
    # Of a record that cannot be written logging prints message and arguments as they are.
    logging.raiseExceptions = False
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(Formatter("%(message)s"))


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:
        """Say which line of code logged what cannot be written."""
        _print(f"{record.pathname}:{record.lineno}: cannot write what {record.name} logs here")


class Formatter(logging.Formatter):
    """Log formatter that describes exceptions among a record's arguments and keeps tracebacks' frames."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text, without the messages of foreign exceptions."""
        safe = copy.copy(record)
        # Another handler may have left its own rendering there.
        safe.exc_text = None
        if isinstance(safe.msg, BaseException):
            safe.msg = describe(safe.msg)
        if isinstance(safe.args, Mapping):
            safe.args = {name: _argument(value) for name, value in safe.args.items()}
        elif safe.args:
            safe.args = tuple(_argument(value) for value in safe.args)
        if safe.name == "asyncio":
            # The further lines of asyncio's records show the future, with its exception, and the first may
            # be "Exception in callback f('its', 'arguments')".
            first = safe.getMessage().partition("\n")[0].partition("(")[0]
            safe.msg, safe.args = first.replace("%", "%%"), ()
        return super().format(safe)

    def formatException(self, ei: Any) -> str:
        """Return the traceback as ``frames`` words it."""
        return frames(ei[1]) if ei[1] is not None else ""


def _argument(value: object) -> object:
    if isinstance(value, BaseException):
        return describe(value)
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(map(_argument, value))  # type: ignore[call-overload, call-arg]
    if type(value) is dict:
        return {name: _argument(item) for name, item in value.items()}
    return value


def _print(text: str) -> None:
    if sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)


def _uncaught(kind: type[BaseException], error: BaseException, trace: object) -> None:
    _print("interrupted" if issubclass(kind, KeyboardInterrupt) else frames(error))


def _uncaught_in_a_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None and not issubclass(arguments.exc_type, SystemExit):
        name = arguments.thread.name if arguments.thread is not None else "unknown"
        _print(f"Exception in thread {name}:\n{frames(arguments.exc_value)}")


def _unraisable(arguments: Any) -> None:
    if arguments.exc_value is not None:
        _print(f"Exception ignored in {type(arguments.object).__name__}:\n{frames(arguments.exc_value)}")


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning's place and category: its message may quote values."""
    _print(f"{filename}:{lineno}: {category.__name__}")
