"""Safe text for errors of PostgreSQL, psycopg and SQLAlchemy.

The server's message is shown when the class of its SQLSTATE names objects and never values. Not shown are the
messages for data (22) and integrity (23), those that a function's author wrote (RAISE) and those of a foreign
server. Detail, context and queries are never shown.
"""

from __future__ import annotations

import re
from typing import Any

from ops_platform.clients.safe_errors.words import reason, scrub, sentence, server

_NAMING = frozenset(
    {
        "08",
        "0A",
        "0L",
        "0P",
        "21",
        "25",
        "26",
        "28",
        "2B",
        "2D",
        "34",
        "3B",
        "3D",
        "3F",
        "40",
        "42",
        "44",
        "53",
        "54",
        "55",
        "57",
        "58",
        "F0",
        "XX",
    }
)
"""Classes of SQLSTATE whose messages name objects, limits and states."""

_RAISE = re.compile(
    r"\APL/pgSQL function (?P<name>[\w.$]+\([\w ,.\[\]$\"]*\)) line (?P<line>\d+) at RAISE", re.ASCII
)


_OTHERS = frozenset({"exec_stmt_raise", "pgfdw_report_error", "dblink_res_error"})
"""Functions of the server that hand on what an author or another server said, with any SQLSTATE."""
_SYNTAX = re.compile(r"syntax error|unterminated [a-z/* -]+|zero-length delimited identifier")
_QUOTED = re.compile(r'".*"')
_REFUSED = "42501"
_OBJECT = re.compile(r'for (?:table|view|relation|sequence|schema|database|function) "[^"]+"$')
"""How a refusal names what the catalogue holds, whoever asked for it."""


def describe(error: Any) -> str:
    """Return kind, SQLSTATE, the object and, where it is safe, the message of a driver's error."""
    kind = type(error).__name__
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if not state:
        text = str(error)
        return sentence(f"PostgreSQL: {kind}", where=server(text), why=reason(text))
    diag = getattr(error, "diag", None)
    line = sentence(f"PostgreSQL: {kind} (SQLSTATE {state})", why=_message(str(state), diag))
    return _with(line, diag)


def why(error: Any) -> str:
    """Return the server's message, else kind and SQLSTATE; empty for an error that no server raised."""
    state = str(getattr(error, "sqlstate", None) or "")
    diag = getattr(error, "diag", None)
    if not state or diag is None:
        return ""
    return _with(_message(state, diag) or f"{type(error).__name__} (SQLSTATE {state})", diag)


def describe_sqlalchemy(error: Any) -> str:
    """Describe the driver's error inside one of SQLAlchemy, whose text quotes statement and parameters."""
    original = getattr(error, "orig", None)
    if isinstance(original, BaseException):
        return describe(original)
    return f"SQLAlchemy: {type(error).__name__}"


def advice(error: BaseException) -> str | None:
    """Advise a user at a terminal on an error of psycopg; None for an error of something else."""
    names = {kind.__name__ for kind in type(error).__mro__ if kind.__module__.partition(".")[0] == "psycopg"}
    if not names:
        return None
    state, reason_given = getattr(error, "sqlstate", None) or "none", why(error)
    said = f"{reason_given} (SQLSTATE {state})" if reason_given else f"SQLSTATE {state}"
    if names & {"UndefinedTable", "UndefinedColumn", "UndefinedFunction"}:
        return f"{said}: where that is the platform's own, run 'ops-platform migrate': its schema is older"
    if "InsufficientPrivilege" in names:
        return (
            f"the database role may not do this: {said}: use the URL of the role it is for, or grant it that"
        )
    if "QueryCanceled" in names:
        return f"{said}: {LET_RUN}"
    if "LockNotAvailable" in names:
        return f"{said}: another session holds the lock (see pg_locks): wait for its end, then try again"
    if "OperationalError" in names:
        remedy = _REMEDIES.get(state[:2], "see that it runs, then try again")
        return f"the database ended the work: {said}: {remedy}"
    return f"the database refused it: {type(error).__name__}, {said}; --debug says more"


LET_RUN = (
    "where statement_timeout ended it, raise that for this role (ALTER ROLE ... SET statement_timeout), then "
    "run it again"
)
"""What to do about a statement that the server cancelled."""
_REMEDIES = {
    "53": "give the server what it lacks, then try again",
    "54": "the server's limit is reached: report it with --debug",
    "55": "wait until it is in the state for this, then try again",
}
"""What to do by the class of SQLSTATE, where waiting for a server to run would not help."""


def _message(state: str, diag: Any) -> str:
    raised = _RAISE.match(getattr(diag, "context", None) or "")
    if raised is not None:
        return f"raised by {raised['name']}, line {raised['line']}"
    if state[:2] not in _NAMING or state == "XX000" or getattr(diag, "source_function", None) in _OTHERS:
        return ""
    text = getattr(diag, "message_primary", None) or ""
    if state == "42601":
        # An unterminated string is quoted up to the statement's end.
        text = text.partition(" at or near ")[0]
        text = text if _SYNTAX.fullmatch(text) else "syntax error"
    if getattr(diag, "statement_position", None) is None:
        # Without a place in the statement the name may be a row's: regclass, to_tsquery, set_config.
        text = _QUOTED.sub('"***"', text) if state != _REFUSED or not _OBJECT.search(text) else text
    hint = getattr(diag, "message_hint", None)
    return scrub(f"{text} ({hint})" if hint else text)


def _with(line: str, diag: Any) -> str:
    """Append the names of the objects concerned, but what RAISE ... USING COLUMN can set to anything."""
    if getattr(diag, "source_function", None) in _OTHERS:
        return line

    def name(field: str) -> str:
        return scrub(getattr(diag, field, None) or "")

    schema, table = name("schema_name"), name("table_name")
    kind = name("datatype_name")
    prefix = f"{schema}." if schema else ""
    objects = (
        f"table {prefix}{table}" if table else "",
        f"column {name('column_name')}" if name("column_name") else "",
        f"type {prefix}{kind}" if kind else "",
        f"constraint {name('constraint_name')}" if name("constraint_name") else "",
    )
    names = ", ".join(part for part in objects if part)
    return f"{line} ({names})" if names else line
