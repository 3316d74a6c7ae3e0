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
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(Formatter(FORMAT))
        logging.basicConfig(level=level, handlers=[handler])
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(Formatter("%(message)s"))


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
            # The further lines of asyncio's records show the future, with its exception.
            safe.msg, safe.args = safe.getMessage().partition("\n")[0], ()
        return super().format(safe)

    def formatException(self, ei: Any) -> str:
        """Return the traceback as ``frames`` words it."""
        return frames(ei[1]) if ei[1] is not None else ""


def _argument(value: object) -> object:
    return describe(value) if isinstance(value, BaseException) else value


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
