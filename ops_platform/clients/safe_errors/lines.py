"""One line of text for any exception. PostgreSQL's errors have a module of their own.

No library is imported for this: whoever raised an error has imported its library, and the error is
recognised by the module of its class.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
import ssl
import traceback
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from ops_platform.clients.safe_errors import postgresql
from ops_platform.clients.safe_errors.tls import tls_fault
from ops_platform.clients.safe_errors.words import reason, sentence, server
from ops_platform.errors import OpsError


def describe(error: BaseException) -> str:
    """Return an exception as one line that quotes no value.

    Our own errors are shown with their message. Others are shown with their kind, code, the object or
    server concerned, and those words of their message that cannot be data. An unforeseen error is named by
    its type and its place in our code.
    """
    if isinstance(error, OpsError):
        return " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, BaseExceptionGroup):
        leaves = itertools.islice(_leaves(error), 3)
        parts = "; ".join(describe(leaf) for leaf in leaves)
        return f"{type(error).__name__} of {len(error.exceptions)}: {parts}"
    for kind in type(error).__mro__:
        known = _KNOWN.get(kind.__module__.partition(".")[0])
        if known is not None:
            try:
                return known(error)
            except Exception:
                # A library changed the shape of its errors: an error while wording one would show both.
                break
    if isinstance(error, OSError):
        return _operating_system(error)
    return f"unexpected {type(error).__name__}{_where_in_text(error)}{_place(error)}"


def why(error: BaseException) -> str:
    """Return the reason alone, for a sentence that names the server already; else what ``describe`` says."""
    if isinstance(error, OpsError):
        return describe(error)
    return postgresql.why(error) or reason(str(error)) or describe(error)


def code(error: BaseException) -> str:
    """Return Redis' error code (OOM, READONLY ...), else the name of the error's type."""
    # The words behind it may quote the command.
    word = (str(error).split() or [""])[0]
    return word if word.isascii() and word.isalpha() and word.isupper() else type(error).__name__


def _s3(error: Any) -> str:
    head = f"S3: {type(error).__name__}"
    response = getattr(error, "response", None)
    if isinstance(response, dict) and "Error" in response:
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = _word(response["Error"].get("Code"))
        parts = (code, f"HTTP {status}" if isinstance(status, int) else "", _word(error.operation_name))
        return sentence(head, why=", ".join(part for part in parts if part))
    details = getattr(error, "kwargs", {})
    return sentence(
        head, where=_host(str(details.get("endpoint_url") or "")) if isinstance(details, dict) else ""
    )


def _redis(error: Any) -> str:
    text, kind, word = str(error), type(error).__name__, code(error)
    return sentence(f"Redis: {kind}", where=server(text), why=reason(text) or (word if word != kind else ""))


def _smtp(error: Any) -> str:
    codes = [getattr(error, "smtp_code", None)]
    recipients = getattr(error, "recipients", None)
    if isinstance(recipients, dict):
        codes = [answer[0] for answer in recipients.values()]
    numbers = sorted({str(code) for code in codes if isinstance(code, int)})
    return sentence(f"SMTP: {type(error).__name__}", why=f"code {', '.join(numbers)}" if numbers else "")


def _http(error: Any) -> str:
    response, request = getattr(error, "response", None), getattr(error, "_request", None)
    why = reason(str(error)) if response is None else f"status {response.status_code}"
    where = "" if request is None else _host(str(request.url))
    return sentence(f"HTTP: {type(error).__name__}", where=where, why=why)


def _pydantic(error: Any) -> str:
    if not hasattr(error, "errors"):
        return f"unexpected {type(error).__name__}{_place(error)}"
    kinds = sorted({_word(entry["type"]) for entry in error.errors(include_url=False, include_input=False)})
    return sentence(f"{type(error).__name__} of {error.title}", why=", ".join(kinds[:5]))


_KNOWN: dict[str, Callable[[Any], str]] = {
    "psycopg": postgresql.describe,
    "psycopg_pool": postgresql.describe,
    "psycopg2": postgresql.describe,
    "sqlalchemy": postgresql.describe_sqlalchemy,
    "botocore": _s3,
    "redis": _redis,
    "smtplib": _smtp,
    "httpx": _http,
    "pydantic_core": _pydantic,
}


def _operating_system(error: OSError) -> str:
    kind = type(error).__name__
    if isinstance(error, ssl.SSLError):
        reasons = ", ".join(part for part in (_word(error.reason), tls_fault(error) or "") if part)
        return f"{kind}: {reasons or 'TLS failed'}"
    if isinstance(error, socket.gaierror):
        return f"{kind}: {reason(str(error.strerror)) or 'the name cannot be resolved'}"
    if error.errno is not None and error.errno in errno.errorcode:
        return f"{kind}: {os.strerror(error.errno)}"
    return f"{kind}: {reason(str(error)) or 'failed'}"


def _leaves(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    waiting = list(reversed(group.exceptions))
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(reversed(one.exceptions))
        else:
            yield one


def _where_in_text(error: BaseException) -> str:
    """Return the line in a text that could not be parsed, as ' at line 3'; empty when it is not known."""
    line, mark = getattr(error, "lineno", None), getattr(error, "problem_mark", None)
    if line is None and mark is not None:
        line = mark.line + 1
    return f" at line {line}" if isinstance(line, int) else ""


def _place(error: BaseException) -> str:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = [frame for frame in frames if str(frame.f_globals.get("__name__", "")).startswith("ops_platform")]
    return f" in {ours[-1].f_globals['__name__']}, {ours[-1].f_code.co_qualname}" if ours else ""


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    return f"{host}:{port}" if host and port else host


def _word(value: Any) -> str:
    """Return ``value`` when it looks like a code (letters, digits and a few signs), else nothing."""
    text = str(value or "")
    plain = text.replace("_", "").replace(".", "").replace("-", "")
    return text if plain.isascii() and plain.isalnum() and len(text) <= 60 else ""
